//! The queue: lanes, leases, fences, joining.

use std::collections::BTreeSet;

use anyhow::ensure;
use futures::future::try_join_all;
use model::MirrorId;
use serde_json::json;
use sync::ports::{Effect, JobFailure};
use sync::state::{ClaimedJob, JobTask, NewJob};

use super::Subject;
use super::world::{START_MS, World, job};

const LEASE_MS: i64 = 1_000;

async fn enqueue(subject: &dyn Subject, jobs: &[&NewJob]) -> anyhow::Result<()> {
    let Some(first) = jobs.first() else { return Ok(()) };
    let effects = jobs
        .iter()
        .map(|&job| Effect::Enqueue(Box::new(job.clone())))
        .collect();
    Ok(subject.store().commit(&first.organization, None, effects).await?)
}

async fn claim(subject: &dyn Subject, now_ms: i64) -> anyhow::Result<Vec<ClaimedJob>> {
    Ok(subject.jobs().claim("node", now_ms, LEASE_MS, 10).await?)
}

fn mirror(world: &World, number: u128) -> NewJob {
    job(
        &world.organization,
        JobTask::Mirror {
            mirror: MirrorId::new(1, number),
        },
        START_MS,
    )
}

fn failure(retry_at: Option<i64>) -> JobFailure {
    JobFailure {
        code: "unavailable".to_owned(),
        message: "the provider does not answer".to_owned(),
        retry_at,
    }
}

/// Whatever the tasks; other lanes go on.
pub async fn a_lane_is_worked_on_by_one_at_a_time(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    // Far enough apart for the push's head start.
    let (sync, push, other) = (
        world.sync(START_MS),
        world.push(START_MS + 6_000),
        mirror(&world, 1),
    );
    enqueue(subject, &[&sync, &push, &other]).await?;
    ensure!(claim(subject, START_MS - 1).await?.is_empty(), "nothing is due");
    let now = START_MS + 6_000;
    let first = claim(subject, now).await?;
    let ids: BTreeSet<_> = first.iter().map(|job| job.id.clone()).collect();
    ensure!(
        ids == BTreeSet::from([sync.id.clone(), other.id.clone()]),
        "{first:?}"
    );
    ensure!(
        first
            .iter()
            .all(|job| job.attempts == 0 && job.organization == world.organization)
    );
    ensure!(first.iter().any(|job| job.task == sync.task));
    ensure!(claim(subject, now).await?.is_empty(), "the lane is taken");
    for done in first {
        subject
            .jobs()
            .finish(&done.fence, now, Ok(json!({"pulled": 3})))
            .await?;
    }
    let second = claim(subject, now).await?;
    ensure!(second.len() == 1 && second[0].id == push.id && second[0].task == push.task);
    Ok(())
}

/// Many nodes, or one node that asks twice.
pub async fn a_job_is_claimed_once_by_however_many_ask(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let waiting: Vec<NewJob> = (0..30).map(|number| mirror(&world, number)).collect();
    enqueue(subject, &waiting.iter().collect::<Vec<_>>()).await?;
    let jobs = subject.jobs();
    let claims = (0..8).map(|node| {
        let jobs = jobs.clone();
        async move {
            let mut taken = Vec::new();
            loop {
                let some = jobs.claim(&format!("node {node}"), START_MS, LEASE_MS, 3).await?;
                if some.is_empty() {
                    return anyhow::Ok(taken);
                }
                ensure!(some.len() <= 3);
                taken.extend(some);
            }
        }
    });
    let taken: Vec<ClaimedJob> = try_join_all(claims).await?.into_iter().flatten().collect();
    let ids: BTreeSet<_> = taken.iter().map(|job| &job.id).collect();
    ensure!(
        taken.len() == 30 && ids.len() == 30,
        "{} claims of {} jobs",
        taken.len(),
        ids.len()
    );
    Ok(())
}

/// As long as nobody has taken a job over its old holder could still commit.
pub async fn a_lost_lease_is_taken_over_before_other_work_of_its_lane(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let (sync, push) = (world.sync(START_MS), world.push(START_MS - 5_000));
    enqueue(subject, &[&sync]).await?;
    let first = claim(subject, START_MS).await?.remove(0);
    enqueue(subject, &[&push]).await?;
    ensure!(
        claim(subject, START_MS + LEASE_MS - 1).await?.is_empty(),
        "the lease lasts"
    );
    let second = claim(subject, START_MS + LEASE_MS).await?;
    ensure!(second.len() == 1 && second[0].id == sync.id, "{second:?}");
    ensure!(second[0].attempts == 1 && second[0].fence.token > first.fence.token);
    Ok(())
}

/// Live work before polls and backfill, in its lane too.
pub async fn live_work_has_a_head_start_and_nothing_starves(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let (backfill, poll) = (mirror(&world, 1), world.sync(START_MS));
    let live = world.push(START_MS + 4_000);
    enqueue(subject, &[&backfill, &poll, &live]).await?;
    let now = START_MS + 4_000;
    let first = subject.jobs().claim("node", now, LEASE_MS, 1).await?;
    ensure!(first.len() == 1 && first[0].id == live.id, "{first:?}");
    subject
        .jobs()
        .finish(&first[0].fence, now, Ok(json!(null)))
        .await?;
    let late = world.push(START_MS + 6_000);
    enqueue(subject, &[&late]).await?;
    let now = START_MS + 6_000;
    let second = subject.jobs().claim("node", now, LEASE_MS, 2).await?;
    let ids: BTreeSet<_> = second.iter().map(|job| &job.id).collect();
    ensure!(
        ids == BTreeSet::from([&poll.id, &backfill.id]),
        "the poll has waited long enough: {second:?}"
    );
    Ok(())
}

/// For as long as it says.
pub async fn a_heartbeat_keeps_a_job(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    enqueue(subject, &[&world.sync(START_MS)]).await?;
    let job = claim(subject, START_MS).await?.remove(0);
    subject
        .jobs()
        .heartbeat(&job.fence, START_MS + 5_000, 10, Some(40))
        .await?;
    ensure!(claim(subject, START_MS + 4_999).await?.is_empty());
    ensure!(claim(subject, START_MS + 5_000).await?.len() == 1);
    Ok(())
}

/// A hundred edits make one push.
pub async fn identical_work_that_waits_is_joined_and_the_earlier_time_holds(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    let (later, now, latest) = (
        world.push(START_MS + 500),
        world.push(START_MS),
        world.push(START_MS + 900),
    );
    enqueue(subject, &[&later, &now]).await?;
    enqueue(subject, &[&latest]).await?;
    let claimed = claim(subject, START_MS).await?;
    ensure!(claimed.len() == 1 && claimed[0].id == later.id, "{claimed:?}");
    // It has begun: what changes now may be missed by it, so this is new work.
    let next = world.push(START_MS);
    enqueue(subject, &[&next]).await?;
    subject
        .jobs()
        .finish(&claimed[0].fence, START_MS, Ok(json!(null)))
        .await?;
    let claimed = claim(subject, START_MS + 10_000).await?;
    ensure!(claimed.len() == 1 && claimed[0].id == next.id, "{claimed:?}");
    Ok(())
}

/// When it says so, and with its count.
pub async fn a_failed_job_waits_for_its_next_attempt_and_one_without_ends(
    subject: &dyn Subject,
) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    enqueue(subject, &[&world.sync(START_MS)]).await?;
    let first = claim(subject, START_MS).await?.remove(0);
    subject
        .jobs()
        .finish(&first.fence, START_MS, Err(failure(Some(START_MS + 60_000))))
        .await?;
    ensure!(claim(subject, START_MS + 59_999).await?.is_empty());
    let second = claim(subject, START_MS + 60_000).await?.remove(0);
    ensure!(second.id == first.id && second.attempts == 1);
    subject
        .jobs()
        .finish(&second.fence, START_MS + 60_001, Err(failure(None)))
        .await?;
    ensure!(
        claim(subject, i64::MAX / 2).await?.is_empty(),
        "it ended for good"
    );
    Ok(())
}

/// Two identical jobs never wait side by side, and the pauses between attempts go on growing.
pub async fn a_retry_joins_identical_work_that_waits_by_then(subject: &dyn Subject) -> anyhow::Result<()> {
    let world = World::build(subject).await?;
    enqueue(subject, &[&world.push(START_MS)]).await?;
    let first = claim(subject, START_MS).await?.remove(0);
    let edit = world.push(START_MS + 1);
    enqueue(subject, &[&edit]).await?;
    subject
        .jobs()
        .finish(&first.fence, START_MS + 2, Err(failure(Some(START_MS + 60_000))))
        .await?;
    let second = claim(subject, START_MS + 3).await?;
    ensure!(
        second.len() == 1 && second[0].id == edit.id && second[0].attempts == 1,
        "{second:?}"
    );
    subject
        .jobs()
        .finish(&second[0].fence, START_MS + 4, Ok(json!(null)))
        .await?;
    ensure!(claim(subject, START_MS + 120_000).await?.is_empty());
    Ok(())
}
