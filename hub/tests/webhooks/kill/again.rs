//! Kills at random moments, on one node with SQLite and on several with PostgreSQL, which is restarted, and Redis, which
//! stops and comes back.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use testkit::harness::{Redis, until};

use super::sender::{Mail, parcels, seen};
use super::site::{Engine, Site};
use super::verdict::check;
use super::{REDIS, size};

/// Connections that the deliveries concern, so that several nodes have work.
const LINES: usize = 4;
/// After so many kills of one node all nodes are killed at once.
const ALL: usize = 7;

/// How long a kill waits for requests on their way to the node.
const BUSY_WITHIN: Duration = Duration::from_secs(1);

/// What was done to the nodes and their database.
#[derive(Default)]
struct Blows {
    kills: usize,
    /// Of these with requests on their way to who was killed.
    amid: usize,
    restarts: usize,
    /// How often Redis went away.
    outages: usize,
}

impl Blows {
    async fn kill_amid(&mut self, site: &mut Site, place: usize) {
        // In vain when a slow machine has nothing to send to it just now: that is a moment, too.
        let busy = async || site.nodes.is_busy(place).then_some(());
        let _ = until("requests on their way", BUSY_WITHIN, busy).await;
        self.amid += usize::from(site.kill(place) > 0);
        self.kills += 1;
    }

    async fn kill(&mut self, site: &mut Site, places: &[usize]) {
        for place in places {
            self.kill_amid(site, *place).await;
        }
        for place in places {
            site.restart(*place).await;
        }
    }

    /// PostgreSQL stops, in its two ways by turns; a node dies, and both come back.
    async fn restart_database(&mut self, site: &mut Site, place: usize) {
        self.kill_amid(site, place).await;
        let postgres = site.postgres.as_mut().unwrap();
        if self.restarts.is_multiple_of(2) {
            postgres.stop().await.unwrap();
        } else {
            postgres.stop_at_once().await.unwrap();
        }
        postgres.go_up().await.unwrap();
        site.restart(place).await;
        self.restarts += 1;
    }

    /// Redis stops or crashes, by turns, or comes back. Nodes are not told.
    async fn turn_redis(&mut self, redis: &mut Redis) {
        if !redis.is_up() {
            return redis.go_up().await.unwrap();
        }
        match self.outages.is_multiple_of(2) {
            true => redis.stop().await.unwrap(),
            false => redis.kill().unwrap(),
        }
        self.outages += 1;
    }
}

/// How many to send: so many as somebody asks for who has less time, or the size's own.
fn deliveries() -> usize {
    let asked = std::env::var("CONCORD_DELIVERIES").ok();
    asked.map_or(size(1_200, 200_000), |asked| asked.parse().unwrap())
}

/// What was counted, in words.
async fn killed_again_and_again(engine: Engine, nodes: usize) -> String {
    // Two deliveries each.
    let (objects, kills) = (deliveries().div_ceil(2), size(6, 100));
    let restart_after = size(3, 10);
    let senders = size(16, 64);
    let mut rng = StdRng::seed_from_u64(20_260_304);
    let mut redis = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(Redis::start().await.unwrap()),
    };
    let address = redis.as_ref().map(|redis| (REDIS, redis.url().into()));
    let mut site = Site::start_with(engine, nodes, |_| Vec::from_iter(address)).await;
    let mut lines = Vec::new();
    for _ in 0..LINES {
        lines.push(site.connect().await);
    }
    let mail = Mail::new(parcels(0..objects, LINES, &mut rng), lines, site.nodes.clone());
    let sent = mail.parcels.len();
    let began = Instant::now();
    let share = sent / (kills + 1);
    mail.allow(share * 2);
    let mut sending = mail.send(senders);
    let mut blows = Blows::default();
    while blows.kills < kills {
        // Somewhere in its share of the deliveries.
        let wanted = share * (blows.kills + 1) - rng.random_range(0..share / 2 + 1);
        let enough = async || {
            // A sender that gave up says why.
            if let Some(ended) = sending.try_join_next() {
                ended.unwrap();
            }
            (seen(&mail.tally.acknowledged) >= wanted).then_some(())
        };
        let waited = until("deliveries to be acknowledged", Duration::from_secs(120), enough).await;
        waited.unwrap_or_else(|error| panic!("{error}: {:#?}", site.running[0].output()));
        if let Some(redis) = &mut redis {
            blows.turn_redis(redis).await;
        }
        let round = blows.kills + 1;
        let place = rng.random_range(0..nodes);
        if site.postgres.is_some() && round.is_multiple_of(restart_after) {
            blows.restart_database(&mut site, place).await;
        } else if nodes > 1 && round.is_multiple_of(ALL) && round + nodes <= kills {
            let all: Vec<usize> = (0..nodes).collect();
            blows.kill(&mut site, &all).await;
        } else {
            blows.kill(&mut site, &[place]).await;
        }
        // However fast the others are meanwhile, the next one falls among deliveries, too.
        mail.allow(share * (blows.kills + 2));
    }
    mail.allow(sent);
    while let Some(ended) = sending.join_next().await {
        ended.unwrap();
    }
    let taken_in = began.elapsed();
    site.idle().await;
    let worked_off = began.elapsed();
    let effects = check(&site, &mail).await;

    let tally = &mail.tally;
    let (doubled, unanswered) = (seen(&tally.doubled), seen(&tally.unanswered));
    assert!(doubled > sent / 5, "{doubled} of {sent} came twice");
    assert!(
        blows.kills == kills && blows.amid * 2 > kills && unanswered > 0,
        "{} kills, {} of them with requests on their way, {unanswered} requests without an answer: this proves little",
        blows.kills,
        blows.amid
    );
    let turned_away = seen(&tally.turned_away);
    assert!(engine == Engine::Sqlite || (blows.restarts > 0 && blows.outages > 0 && turned_away > 0));
    format!(
        "{engine:?}, {nodes} node(s), {senders} senders: {sent} deliveries, {doubled} of them twice; {kills} kills, {} with \
         requests on their way; {} restarts of the database, {} outages of Redis; {unanswered} requests without an answer, {turned_away} \
         answered 503; acknowledged within {taken_in:.1?}, worked off within {worked_off:.1?}. Every one stored once: \
         {} had their effect once, {} came late and had none.",
        blows.amid, blows.restarts, blows.outages, effects.applied, effects.outdated
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_every_acknowledged_delivery_has_its_effect_once() {
    println!("{}", killed_again_and_again(Engine::Sqlite, 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_killed_and_their_servers_restarted_every_acknowledged_delivery_has_its_effect_once() {
    println!("{}", killed_again_and_again(Engine::Postgres, size(2, 3)).await);
}
