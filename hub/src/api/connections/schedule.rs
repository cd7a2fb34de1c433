//! Schedules as clients set and see them.

use model::{CollectionId, ConnectionId};
use serde::{Deserialize, Deserializer};
use store::{Scheduled, Schedules, next_usual_sync};
use sync::state::{Connection, Health};

use super::ConnectionPatchIn;
use crate::api::envelope::moment;
use crate::api::error::ApiError;
use crate::api::extract::Caller;
use crate::schedules::Schedule;

/// `null` said, told from nothing said.
pub(super) fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Schedule>>, D::Error> {
    Option::<Schedule>::deserialize(from).map(Some)
}

/// What is to be stored: of the connection, and of its collections.
#[derive(Default)]
pub(super) struct Wanted {
    connection: Option<Scheduled>,
    collections: Vec<(CollectionId, Scheduled)>,
}

/// Reads all schedules of a change, before anything of it is done.
pub(super) fn checked(caller: &Caller, patch: &ConnectionPatchIn) -> Result<Wanted, ApiError> {
    let mut wanted = Wanted::default();
    if let Some(schedule) = &patch.schedule {
        wanted.connection = Some(scheduled(caller, schedule.as_ref(), "schedule")?);
    }
    for (id, patch) in patch.collections.iter().flatten() {
        if let Some(schedule) = &patch.schedule {
            let path = format!("collections.{id}.schedule");
            wanted
                .collections
                .push((id.clone(), scheduled(caller, schedule.as_ref(), &path)?));
        }
    }
    Ok(wanted)
}

fn scheduled(caller: &Caller, schedule: Option<&Schedule>, path: &str) -> Result<Scheduled, ApiError> {
    let Some(schedule) = schedule else {
        return Ok(Scheduled::default());
    };
    let wrong = |field: &str, problem: &str| {
        let path = if field.is_empty() {
            path.to_owned()
        } else {
            format!("{path}.{field}")
        };
        ApiError::invalid_field(&path, problem)
    };
    let rule = schedule
        .rule()
        .map_err(|problem| wrong(problem.field, &problem.text))?;
    let state = caller.state();
    let next = rule.next(state.clock().now_ms(), state.entropy().random());
    let next = next.ok_or_else(|| wrong("", "names no time that comes any more"))?;
    Ok(Scheduled {
        schedule: serde_json::to_string(schedule).ok(),
        next_at: Some(next),
    })
}

/// Stores them.
pub(super) async fn store(caller: &Caller, id: &ConnectionId, wanted: Wanted) -> Result<(), ApiError> {
    let (store, organization) = (caller.store(), &caller.organization);
    if let Some(scheduled) = &wanted.connection {
        store.put_schedule(organization, id, scheduled).await?;
    }
    for (collection, scheduled) in &wanted.collections {
        store
            .put_collection_schedule(organization, collection, scheduled)
            .await?;
    }
    Ok(())
}

/// A schedule and its next time.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) schedule: Option<Schedule>,
    pub(super) next_sync_at: Option<String>,
}

/// The connection's. Of one without a schedule the next time is the setting's; of one that rests there is none.
pub(super) fn of_connection(caller: &Caller, connection: &Connection, schedules: &Schedules) -> Shown {
    let awake = matches!(connection.health, Health::Active | Health::Degraded);
    let mut shown = of(&schedules.connection, awake);
    if awake && shown.schedule.is_none() {
        let interval_ms = i64::try_from(caller.state().sync_interval().as_millis()).unwrap_or(i64::MAX);
        let attempted_at = schedules.attempted_at.unwrap_or_default();
        let next = next_usual_sync(&connection.id, attempted_at, interval_ms);
        shown.next_sync_at = Some(moment(next.max(caller.state().clock().now_ms())));
    }
    shown
}

/// A collection's own.
pub(super) fn of_collection(connection: &Connection, scheduled: Option<&Scheduled>, enabled: bool) -> Shown {
    let awake = enabled && matches!(connection.health, Health::Active | Health::Degraded);
    scheduled
        .map(|scheduled| of(scheduled, awake))
        .unwrap_or_default()
}

fn of(scheduled: &Scheduled, awake: bool) -> Shown {
    let text = scheduled.schedule.as_deref();
    Shown {
        schedule: text.and_then(|text| serde_json::from_str(text).ok()),
        next_sync_at: scheduled.next_at.filter(|_| awake).map(moment),
    }
}
