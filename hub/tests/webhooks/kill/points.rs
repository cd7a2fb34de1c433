//! A kill at every point of a delivery's way: on PostgreSQL before and after each of its commits, on SQLite before each
//! write, cut and sync of the database and its log, from a node's start to its rest.

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use testkit::harness::until;

use super::disk::library;
use super::sender::{Mail, Parcel, parcels, seen};
use super::site::{Engine, Site};
use super::size;
use super::verdict::check;
use super::wire::{Commit, Moment, Wire};
use crate::scene::LIMIT;

/// Deliveries for each point, and who sends them.
const EACH: usize = 10;
const SENDERS: usize = 4;
/// More points than there are on a node's way from start to rest.
const MOST: usize = 2_000;
/// Connections: the work of a dead node rests on one, and goes on on the others.
const LINES: usize = 4;

/// Deliveries for so many points; both of an object belong to the same.
fn shares(points: usize) -> Vec<Parcel> {
    let mut rng = StdRng::seed_from_u64(20_260_306);
    let objects = EACH / 2;
    (0..points)
        .flat_map(|number| parcels(number * objects..(number + 1) * objects, LINES, &mut rng))
        .collect()
}

/// Waits until all that the senders were allowed to send is acknowledged.
async fn acknowledged(site: &Site, mail: &Mail, wanted: usize) {
    let enough = async || (seen(&mail.tally.acknowledged) >= wanted).then_some(());
    let waited = until("deliveries to be acknowledged", LIMIT, enough).await;
    waited.unwrap_or_else(|error| panic!("{error}: {:#?}", site.running[0].output()));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_and_after_every_commit_on_postgres_nothing_is_lost_or_doubled() {
    let mut site = Site::start(Engine::Postgres, 1).await;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        lines.push(site.connect().await);
    }
    let wire = Wire::to(site.postgres.as_ref().unwrap().folder());
    site.database = wire.url();
    site.kill(0);
    site.restart(0).await;
    let moments = [Moment::Before, Moment::After];
    let points: Vec<_> = (0..size(1, 10))
        .flat_map(|_| Commit::ALL)
        .flat_map(|commit| moments.map(|moment| (commit, moment)))
        .collect();
    let mail = Mail::new(shares(points.len()), lines, site.nodes.clone());
    mail.allow(0);
    let sending = mail.send(SENDERS);
    let mut killed: BTreeMap<(Commit, Moment), usize> = BTreeMap::new();
    for (number, point) in points.iter().enumerate() {
        wire.want(point.0, point.1);
        mail.allow((number + 1) * EACH);
        let reached = tokio::time::timeout(LIMIT, wire.reached()).await;
        assert!(reached.is_ok(), "{point:?}: {:#?}", site.running[0].output());
        site.kill(0);
        *killed.entry(*point).or_default() += 1;
        site.restart(0).await;
        acknowledged(&site, &mail, (number + 1) * EACH).await;
    }
    sending.join_all().await;
    site.idle().await;
    let effects = check(&site, &mail).await;
    println!(
        "PostgreSQL: killed at {killed:?}; {} deliveries, each stored once: {} had their effect once, {} came late and had \
         none.",
        mail.allowed(),
        effects.applied,
        effects.outdated
    );
}

/// Whether the node lives until all is acknowledged and worked off, the jobs' ends included.
async fn survives(site: &mut Site, mail: &Mail, wanted: usize) -> bool {
    let mut outcome = None;
    let decided = until("the node to die or to be done", LIMIT, async || {
        if site.running[0].ended().is_some() {
            outcome = Some(false);
        } else if seen(&mail.tally.acknowledged) >= wanted && site.is_idle().await && site.has_no_work().await
        {
            outcome = Some(true);
        }
        outcome
    });
    decided.await.unwrap()
}

/// What a node died before, by its own words; they may be read a moment after its end.
async fn last_words(site: &Site) -> String {
    let said = until("its last words", LIMIT, async || {
        let said = site.running[0].output();
        let what = said.iter().find_map(|line| line.strip_prefix("died before "));
        what.map(str::to_owned)
    });
    let output = || site.running[0].output();
    said.await
        .unwrap_or_else(|error| panic!("it died for another reason: {error}: {:#?}", output()))
}

/// Kills a node at one point after the other until it comes to rest before; at how many of each sort it died.
async fn sweep(variable: &'static str, step: usize) -> (BTreeMap<String, usize>, usize) {
    let mut site = Site::start_with(Engine::Sqlite, 1, |folder| {
        vec![("LD_PRELOAD", library(folder).into_os_string())]
    })
    .await;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        lines.push(site.connect().await);
    }
    let mail = Mail::new(shares(MOST), lines, site.nodes.clone());
    mail.allow(0);
    let mut sending = mail.send(SENDERS);
    let mut died = BTreeMap::<String, usize>::new();
    for number in 0..MOST {
        site.kill(0);
        site.set(variable, (number * step + 1).to_string());
        let wanted = (number + 1) * EACH;
        let serves = site.try_restart(0).await;
        mail.allow(wanted);
        let lives = serves && survives(&mut site, &mail, wanted).await;
        if !lives {
            *died.entry(last_words(&site).await).or_default() += 1;
        }
        site.kill(0);
        site.unset(variable);
        site.restart(0).await;
        if lives {
            break;
        }
        acknowledged(&site, &mail, wanted).await;
    }
    sending.shutdown().await;
    site.idle().await;
    check(&site, &mail).await;
    (died, mail.allowed())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_every_write_and_sync_on_sqlite_nothing_is_lost_or_doubled() {
    let variables = ["TROUBLE_DIES_AT", "TROUBLE_DIES_AT_SYNC"];
    // Every one at full size; else so many that some of each sort are met.
    for (variable, step) in variables.into_iter().zip([size(67, 1), size(2, 1)]) {
        let (died, sent) = sweep(variable, step).await;
        println!(
            "SQLite, at every point no. 1 + {step} n: killed before {died:?}; {sent} deliveries, each stored once and with its \
             effect once"
        );
        let points: usize = died.values().sum();
        assert!(points > 4 && points < MOST, "{died:?}");
        let log = |sort: &str| died.contains_key(&format!("{sort} of concord.db-wal"));
        assert!(
            log("a sync") || variable == variables[0] && log("a write"),
            "{died:?}"
        );
    }
}
