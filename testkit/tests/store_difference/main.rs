//! Two stores, one behaviour: random schedules of commits, reads and work on the queue, run on the store in memory
//! and on SQLite or PostgreSQL side by side. Every answer must be the same: success or refusal with its words, every list with its
//! order. The ids come from a small space, so that rows clash, links exchange their remote objects, fences are lost.
//!
//! `STORE_SCHEDULES` sets how many schedules are run, `STORE_SCHEDULE` runs one of them alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test cannot unwrap fails the test"
)]

mod draw;
mod names;
mod sides;

use draw::Draw;
use names::Operation;
use sides::{Other, Sides};

/// Operations of one schedule.
const OPERATIONS: usize = 60;
/// Schedules of one run, unless it is told another number.
const SCHEDULES: u64 = 150;
/// Each with a database of its own, and a server between: slower.
const SCHEDULES_ON_POSTGRES: u64 = 25;

/// How many commits ended how.
#[derive(Debug, Default)]
struct Ends {
    done: usize,
    stale: usize,
    fenced: usize,
    claimed: usize,
}

/// Everything that was done, one operation in a line.
fn shown(before: &[Operation]) -> String {
    let lines = before.iter().map(|operation| format!("\n  {operation:?}"));
    lines.collect()
}

async fn run(other: Other, seed: u64, ends: &mut Ends) {
    let mut sides = Sides::open(other).await;
    let mut draw = Draw::new(seed, &sides.memory);
    for connection in draw.connections() {
        sides.add_connection(&connection).await;
    }
    let mut before = Vec::new();
    let beginnings = draw.beginnings();
    for number in 0..OPERATIONS {
        let operation = match beginnings.get(number) {
            Some(operation) => operation.clone(),
            None => draw.operation(),
        };
        let (memory, sql) = sides.ask(&operation).await;
        assert!(
            memory == sql,
            "schedule {seed} after{}\nthen operation {number}: {operation:?}\nin memory: {memory}\non {other:?}: {sql}",
            shown(&before)
        );
        draw.learn(&operation);
        if operation.is_commit() {
            ends.done += usize::from(memory.starts_with("Ok"));
            ends.stale += usize::from(memory.starts_with("Err(Stale"));
            ends.fenced += usize::from(memory.starts_with("Err(Fenced"));
        }
        ends.claimed += usize::from(operation.is_claim() && memory != "Ok([])");
        before.push(operation);
    }
    for question in draw.every_question() {
        let (memory, sql) = sides.ask(&question).await;
        assert!(
            memory == sql,
            "schedule {seed} after{}\nin the end: {question:?}\nin memory: {memory}\non {other:?}: {sql}",
            shown(&before)
        );
    }
    for (what, memory, sql) in sides.all_rows(&draw.organizations()).await {
        assert!(
            memory == sql,
            "schedule {seed} after{}\nin the end, {what}:\nin memory: {memory}\non {other:?}: {sql}",
            shown(&before)
        );
    }
    sides.sql.close().await;
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn compare(other: Other, schedules: u64) {
    let mut ends = Ends::default();
    if let Some(seed) = number("STORE_SCHEDULE") {
        return run(other, seed, &mut ends).await;
    }
    let schedules = number("STORE_SCHEDULES").unwrap_or(schedules);
    for seed in 0..schedules {
        run(other, seed, &mut ends).await;
    }
    // Schedules that only fail, or never do, would say little.
    let commits = ends.done + ends.stale + ends.fenced;
    assert!(
        ends.done * 4 > commits && ends.stale * 10 > commits,
        "too much of one sort: {ends:?}"
    );
    assert!(
        ends.fenced > 0 && ends.claimed > 0,
        "the queue was idle: {ends:?}"
    );
}

#[tokio::test]
async fn both_stores_answer_the_same_to_any_schedule() {
    compare(Other::Sqlite, SCHEDULES).await;
}

#[tokio::test]
async fn postgresql_answers_the_same_to_any_schedule() {
    compare(Other::Postgres, SCHEDULES_ON_POSTGRES).await;
}
