//! A vendor's rate is kept by two nodes together: through the server, without it, and while that changes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connector_sdk::layers::Budget;
use futures::future::join_all;
use hub::redis::{Address, Budgets, Nodes, look};
use model::ConnectionId;
use secrecy::SecretString;
use testkit::harness::{Redis, until};
use tokio::time::Instant;

use super::{LIMIT, Link};

/// Requests each second, and as many at once.
const RATE: usize = 20;
/// Requests of a node that are under way at once.
const PARALLEL: usize = 4;

/// Two nodes with the budget of one connection.
struct Two {
    links: [Link; 2],
    budgets: [Arc<dyn Budget>; 2],
    key: String,
}

impl Two {
    async fn start(url: &str) -> Self {
        let connection = ConnectionId::new(1, 7);
        let links = [Link::to(url), Link::to(url)];
        for link in &links {
            link.is(true).await;
        }
        let rate = NonZeroU32::new(RATE as u32).unwrap();
        let budget = |link: &Link| Budgets::new(link.redis.clone(), Nodes::new(2)).of(&connection, rate);
        Self {
            budgets: [budget(&links[0]), budget(&links[1])],
            links,
            key: format!("concord:budget:{connection}"),
        }
    }

    /// Both nodes take turns as fast as they get them, until so many were taken. Answers how long that took. `taken`
    /// counts meanwhile.
    async fn take(&self, turns: usize, taken: &AtomicUsize) -> Duration {
        let begun = Instant::now();
        let asked = AtomicUsize::new(0);
        let work = self
            .budgets
            .iter()
            .flat_map(|budget| std::iter::repeat_n(budget, PARALLEL));
        let work = work.map(async |budget| {
            while asked.fetch_add(1, Ordering::SeqCst) < turns {
                budget.turn().await;
                taken.fetch_add(1, Ordering::SeqCst);
            }
        });
        tokio::time::timeout(LIMIT, join_all(work)).await.unwrap();
        begun.elapsed()
    }

    async fn end(self) {
        for link in self.links {
            link.end().await;
        }
    }
}

/// No faster than that may so many turns be: whoever is slow takes longer.
fn least(turns: usize) -> Duration {
    // The server's clock and ours are not one; they differ by less than this in a test's time.
    Duration::from_secs_f64((turns - RATE) as f64 / RATE as f64 * 0.98)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_together_keep_a_rate() {
    let server = Redis::start().await.unwrap();
    let two = Two::start(&server.url()).await;
    let taken = AtomicUsize::new(0);
    let took = two.take(3 * RATE, &taken).await;
    // On a machine so slow that an answer came too late, a node had its own share for a while.
    let lost = two.links.iter().any(|link| link.redis.outages() > 0);
    let slack = if lost { 2 * PARALLEL } else { 0 };
    assert!(took >= least(3 * RATE - slack), "{took:?}");
    for link in &two.links {
        link.is(true).await;
    }
    two.budgets[0].turn().await;
    assert_eq!(server.ask(&["EXISTS", &two.key]).unwrap(), "1");
    let left: i64 = server.ask(&["PTTL", &two.key]).unwrap().parse().unwrap();
    assert!(
        (1..=20_000).contains(&left),
        "what nobody uses goes by itself: {left}"
    );
    two.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_kept_and_work_goes_on_while_the_server_goes_and_comes_back_empty() {
    let mut server = Redis::start().await.unwrap();
    let two = Two::start(&server.url()).await;
    let taken = AtomicUsize::new(0);
    let reached = async |turns: usize| {
        until("turns", LIMIT, async || {
            (taken.load(Ordering::SeqCst) >= turns).then_some(())
        })
        .await
        .unwrap();
    };
    let trouble = async {
        reached(RATE + RATE / 2).await;
        server.kill().unwrap();
        reached(3 * RATE).await;
        server.go_up().await.unwrap();
        for link in &two.links {
            link.is(true).await;
        }
    };
    let all = 5 * RATE;
    let (took, ()) = tokio::join!(two.take(all, &taken), trouble);
    // A node does not know of the turns that the other one booked ahead before the server was lost.
    assert!(took >= least(all - 2 * PARALLEL), "{took:?}");
    assert!(two.links.iter().all(|link| link.redis.outages() >= 1));
    // The server is asked again.
    two.budgets[0].turn().await;
    assert_eq!(server.ask(&["EXISTS", &two.key]).unwrap(), "1");
    two.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_server_that_hangs() {
    let server = Redis::start().await.unwrap();
    let two = Two::start(&server.url()).await;
    server.hang().unwrap();
    let taken = AtomicUsize::new(0);
    // Were each turn to wait for the server in vain, that would not be done in time.
    two.take(2 * RATE, &taken).await;
    assert!(
        two.links
            .iter()
            .all(|link| link.redis.outages() >= 1 && !link.redis.is_up())
    );
    server.go_on().unwrap();
    for link in &two.links {
        link.is(true).await;
    }
    two.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_wrote_at_its_place_stops_no_work() {
    let server = Redis::start().await.unwrap();
    let two = Two::start(&server.url()).await;
    let far = format!("{}", u64::MAX);
    for words in [
        vec!["SET", &two.key, "nonsense"],
        vec!["SET", &two.key, &far],
        vec!["SET", &two.key, "-1"],
        vec!["SET", &two.key, "nan"],
        vec!["DEL", &two.key],
        vec!["RPUSH", &two.key, "a", "list"],
    ] {
        server.ask(&words).unwrap();
        let taken = AtomicUsize::new(0);
        two.take(4, &taken).await;
        for link in &two.links {
            link.is(true).await;
        }
        // It is replaced, and does not break the line again and again.
        let replaced = async || {
            two.budgets[0].turn().await;
            let text = server.ask(&["TYPE", &two.key]).unwrap() == "string";
            let held = text.then(|| server.ask(&["GET", &two.key]).unwrap())?;
            held.parse::<u64>()
                .ok()
                .filter(|whole| (1..u64::MAX).contains(whole))
        };
        until("a turn that is counted", LIMIT, replaced).await.unwrap();
    }
    two.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_the_runbook_names_are_enough_and_no_fewer() {
    const RUNBOOK: &str = include_str!("../../../docs/runbooks/lost-redis.md");
    let server = Redis::start().await.unwrap();
    let rights = RUNBOOK
        .split('`')
        .find(|text| text.starts_with("+evalsha"))
        .unwrap();
    let allow = |rights: &str| {
        let mut words = vec!["ACL", "SETUSER", "ada", "reset", "on", ">hunter2"];
        words.extend(rights.split_whitespace());
        server.ask(&words).unwrap();
    };
    allow(rights);
    let url = server.url_as("ada", "hunter2");
    let two = Two::start(&url).await;
    two.budgets[0].turn().await;
    assert_eq!(server.ask(&["EXISTS", &two.key]).unwrap(), "1");
    let address = Address::parse(&SecretString::from(url), &[]).unwrap();
    look(&address).await.unwrap();
    allow(&rights.replace("+time", ""));
    let reason = look(&address).await.unwrap_err();
    assert!(!reason.to_string().contains("hunter2"), "{reason}");
    two.end().await;
}
