//! PostgreSQL goes away and comes back: what senders are told meanwhile, and how soon they are heard again.

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use testkit::harness::until;

use super::sender::{Mail, parcels};
use super::site::{Engine, Site};
use super::size;
use super::verdict::check;
use super::wire::Wire;
use crate::scene::LIMIT;

const NODES: usize = 2;
const SENDERS: usize = 16;
/// Addresses, where all are to be looked up.
const LINES: usize = 8;
/// Bound of one answer: it is a second where nothing else runs. This tells it from one that waits for the server.
const SOON: Duration = Duration::from_secs(20);
/// Requests to each node while the server is away, at least.
const LOOKS: usize = 5;

/// Asks each node again and again while the server is away; how long the answers took.
async fn told(site: &Site, mail: &Mail, at: usize, outage: Duration) -> Vec<Duration> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while took.len() < LOOKS * NODES || began.elapsed() < outage {
        for url in site.nodes.urls() {
            let asked = Instant::now();
            assert_eq!(mail.once_to(&url, at).await, Some(503));
            took.push(asked.elapsed());
        }
    }
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_senders_are_told_to_come_again_and_are_heard_once_it_is_back() {
    let (outages, share) = (size(2, 20), size(100, 1_000));
    // Longer than a node believes what it knows of an address.
    let outage_lasts = Duration::from_secs(size(0, 8) as u64);
    let mut site = Site::start(Engine::Postgres, NODES).await;
    let line = site.connect().await;
    // The last ones ask: a delivery for each outage and node.
    let sent = share * (outages + 1) + outages * NODES;
    let mut rng = StdRng::seed_from_u64(20_260_308);
    let mail = Mail::new(
        parcels(0..sent.div_ceil(2), 1, &mut rng),
        vec![line],
        site.nodes.clone(),
    );
    let mut asking = mail.parcels.len();
    mail.allow(share);
    let sending = mail.send(SENDERS);
    let (mut slowest, mut asked, mut back) = (Duration::ZERO, 0, Vec::new());
    for outage in 0..outages {
        let postgres = site.postgres.as_mut().unwrap();
        if outage.is_multiple_of(2) {
            postgres.stop().await.unwrap();
        } else {
            postgres.stop_at_once().await.unwrap();
        }
        mail.allow(share * (outage + 2));
        let took = told(&site, &mail, asking - 1, outage_lasts).await;
        asked += took.len();
        slowest = took.into_iter().fold(slowest, Duration::max);
        let urls = site.nodes.urls();
        let up = site.postgres.as_mut().unwrap().go_up();
        asking -= NODES;
        let (mail, first) = (&mail, asking);
        let heard = urls.iter().zip(first..).map(async |(url, at)| {
            let heard = async || (mail.once_to(url, at).await == Some(200)).then_some(Instant::now());
            until("a delivery to be taken", LIMIT, heard).await.unwrap()
        });
        let (up, heard) = tokio::join!(
            async {
                up.await.unwrap();
                Instant::now()
            },
            futures::future::join_all(heard)
        );
        back.extend(heard.into_iter().map(|heard| heard.saturating_duration_since(up)));
    }
    mail.allow(mail.parcels.len());
    sending.join_all().await;
    site.idle().await;
    check(&site, &mail).await;
    assert!(slowest < SOON, "{slowest:?}");
    back.sort();
    println!(
        "PostgreSQL away {outages} times, {NODES} nodes, {SENDERS} senders beside: {asked} requests meanwhile, each answered 503, the \
         slowest after {slowest:.3?}; after its return a node's first 2xx came within {:.0?} (median {:.0?}).",
        back[back.len() - 1],
        back[back.len() / 2]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_postgres_that_says_nothing_senders_are_told_to_come_again_too() {
    let mut site = Site::start(Engine::Postgres, 1).await;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        lines.push(site.connect().await);
    }
    let wire = Wire::to(site.postgres.as_ref().unwrap().folder());
    site.database = wire.url();
    site.kill(0);
    site.restart(0).await;
    let mut rng = StdRng::seed_from_u64(20_260_309);
    let sent = LINES * 2;
    let mail = Mail::new(parcels(0..sent / 2, LINES, &mut rng), lines, site.nodes.clone());
    // Its connections have just answered, and it knows nothing of the addresses yet.
    futures::future::join_all((0..LINES).map(|_| site.is_idle())).await;
    wire.silence(true);
    let at_once = futures::future::join_all((0..sent).map(|at| mail.once(at))).await;
    assert!(
        at_once.iter().all(|answered| *answered == Some(503)),
        "{at_once:?}"
    );
    let took = told(&site, &mail, 0, Duration::ZERO).await;
    wire.silence(false);
    mail.send(SENDERS).join_all().await;
    site.idle().await;
    check(&site, &mail).await;
    println!(
        "PostgreSQL hangs: {} requests, each answered 503: {took:.0?}",
        took.len()
    );
}
