//! `/v1/free-busy`: when calendars are taken, from the hub's own records or asked at the provider.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::expand;
use model::{CollectionId, Fields, Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{EventFilter, RecordView};
use sync::plan;
use sync::ports::{Providers as _, Store as _};
use sync::state::Collection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::calendars;
use super::envelope::Data;
use super::error::{ApiError, Code, Failures, provider_code};
use super::extract::{Body, Caller};
use super::window::{Place, Window, zone};
use crate::state::AppState;

/// Calendars that one question may name.
const MAX_CALENDARS: usize = 50;
/// Events of one calendar that one question may look at.
const MAX_EVENTS: u32 = 5_000;

/// A question.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "from": "2026-01-05T00:00:00Z",
    "to": "2026-01-12T00:00:00Z",
    "calendar_ids": ["coll_01jd3m8y6q0000000000000000"]
}))]
pub struct FreeBusyIn {
    /// From this moment (RFC 3339).
    from: String,
    /// To this moment, at most 366 days later.
    to: String,
    /// The calendars, at most 50.
    calendar_ids: Vec<CollectionId>,
    /// Ask the providers now, instead of the hub's own records. The hub answers where a provider has no such query.
    #[serde(default)]
    live: bool,
    /// The zone of floating times and whole days in calendars that name none: `UTC` unless given.
    #[serde(default)]
    zone: Option<String>,
}

/// When calendars are taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct FreeBusyOut {
    /// From this moment.
    #[schema(value_type = String, example = "2026-01-05T00:00:00Z")]
    pub from: Timestamp,
    /// To this moment.
    #[schema(value_type = String, example = "2026-01-12T00:00:00Z")]
    pub to: Timestamp,
    /// Each calendar, in the order of the question.
    pub calendars: Vec<CalendarBusy>,
}

/// When one calendar is taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarBusy {
    /// The calendar.
    pub calendar_id: CollectionId,
    /// Who answered.
    pub source: Source,
    /// When it is taken, in order, overlaps merged.
    pub busy: Vec<Busy>,
    /// Why the provider did not answer, or which series could not be looked at; `busy` is then what the hub knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The hub, from its own records.
    Hub,
    /// The provider, just now.
    Provider,
}

/// A stretch of time that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Busy {
    /// From this moment.
    #[schema(value_type = String, example = "2026-01-05T08:00:00Z")]
    pub from: Timestamp,
    /// To this moment, not included.
    #[schema(value_type = String, example = "2026-01-05T09:00:00Z")]
    pub to: Timestamp,
}

/// What is missing from an answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A code of the API's closed list.
    pub code: Code,
    /// What happened.
    pub message: String,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(ask))
}

/// When calendars are taken. Events that are marked as free, cancelled, or declined by the calendar's account do not
/// count.
#[utoipa::path(post, path = "/v1/free-busy", tag = "calendars", security(("api_key" = [])),
    request_body = FreeBusyIn, responses((status = 200, body = Data<FreeBusyOut>), Failures))]
async fn ask(caller: Caller, body: Body<FreeBusyIn>) -> Result<Data<FreeBusyOut>, ApiError> {
    let question = body.value;
    let window = Window::read(Some(&question.from), Some(&question.to), Place::Body)?
        .ok_or_else(|| ApiError::invalid_field("from", "is missing"))?;
    let count = question.calendar_ids.len();
    if count == 0 || count > MAX_CALENDARS {
        let problem = format!("must name 1 to {MAX_CALENDARS} calendars");
        return Err(ApiError::invalid_field("calendar_ids", &problem));
    }
    let usual = question
        .zone
        .as_deref()
        .map_or(Ok(TimeZone::UTC), |name| zone(name, Place::Body))?;
    let mut found = Vec::with_capacity(count);
    for (index, id) in question.calendar_ids.iter().enumerate() {
        let calendar = calendars::found(&caller, id)
            .await
            .map_err(|error| match error.code {
                Code::NotFound => {
                    ApiError::invalid_field(&format!("calendar_ids[{index}]"), "names no calendar of yours")
                }
                _ => error,
            })?;
        found.push(calendar);
    }
    let mut calendars = Vec::with_capacity(count);
    for calendar in found {
        calendars.push(answer(&caller, calendar, window, question.live, &usual).await?);
    }
    Ok(Data {
        data: FreeBusyOut {
            from: window.from,
            to: window.to,
            calendars,
        },
    })
}

async fn answer(
    caller: &Caller,
    calendar: Collection,
    window: Window,
    live: bool,
    usual: &TimeZone,
) -> Result<CalendarBusy, ApiError> {
    let mut problem = None;
    if live {
        match from_provider(caller, &calendar, window).await? {
            Ok(busy) => {
                let (calendar_id, source) = (calendar.id, Source::Provider);
                return Ok(CalendarBusy {
                    calendar_id,
                    source,
                    busy,
                    problem: None,
                });
            }
            Err(error) => {
                problem = Some(Problem {
                    code: provider_code(&error),
                    message: error.to_string(),
                });
            }
        }
    }
    let (busy, missing) = from_hub(caller, &calendar, window, usual).await?;
    let problem = problem.or(missing);
    Ok(CalendarBusy {
        calendar_id: calendar.id,
        source: Source::Hub,
        busy,
        problem,
    })
}

async fn from_provider(
    caller: &Caller,
    calendar: &Collection,
    window: Window,
) -> Result<Result<Vec<Busy>, connector_sdk::Error>, ApiError> {
    let connection = caller
        .store()
        .connection(&caller.organization, &calendar.connection)
        .await?;
    let connection = connection.ok_or_else(|| ApiError::not_found("connection"))?;
    let provider = match caller.state().providers().open(&connection).await {
        Ok(provider) => provider,
        Err(error) => return Ok(Err(error)),
    };
    let Some(actions) = provider.connector.actions() else {
        let message = "this provider has no query for free and busy time";
        let error = connector_sdk::Error::new(connector_sdk::ErrorKind::Unsupported, "free_busy", message);
        return Ok(Err(error));
    };
    let answered = actions
        .free_busy(&provider.ctx, &calendar.remote, window.from, window.to)
        .await;
    Ok(answered.map(|periods| {
        merged(
            periods
                .into_iter()
                .map(|period| Busy {
                    from: period.from,
                    to: period.to,
                })
                .collect(),
            window,
        )
    }))
}

async fn from_hub(
    caller: &Caller,
    calendar: &Collection,
    window: Window,
    usual: &TimeZone,
) -> Result<(Vec<Busy>, Option<Problem>), ApiError> {
    let filter = EventFilter {
        collections: vec![calendar.id.clone()],
        connection: None,
    };
    let (from_ms, to_ms) = (window.from.as_millisecond(), window.to.as_millisecond());
    let views = caller
        .store()
        .events_between(&caller.organization, from_ms, to_ms, &filter, MAX_EVENTS + 1)
        .await?;
    if views.len() > MAX_EVENTS as usize {
        let message = format!(
            "{} has more than {MAX_EVENTS} events in that time; ask for a shorter one",
            calendar.id
        );
        return Err(ApiError::new(Code::InvalidField, message));
    }
    let own = calendar.remote.fields.get("zone").and_then(Value::as_str);
    let zone = own
        .and_then(model::zone::time_zone)
        .unwrap_or_else(|| usual.clone());
    let id = calendar.id.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let mut busy = Vec::new();
        let mut unread = 0_usize;
        for view in &views {
            match taken(view, &id, window, &zone) {
                Ok(found) => busy.extend(found),
                Err(_) => unread += 1,
            }
        }
        (merged(busy, window), unread)
    });
    let (busy, unread) = looked
        .await
        .map_err(|error| ApiError::new(Code::Internal, error.to_string()))?;
    let problem = (unread > 0).then(|| Problem {
        code: Code::InvalidField,
        message: format!(
            "{unread} series repeat too often, or by a rule that cannot be read, and are not counted"
        ),
    });
    Ok((busy, problem))
}

/// When an event takes the calendar, as the calendar's own account sees it.
fn taken(
    view: &RecordView,
    calendar: &CollectionId,
    window: Window,
    zone: &TimeZone,
) -> Result<Vec<Busy>, expand::ExpandError> {
    debug_assert_eq!(view.record.kind, Kind::Event);
    let link = view.links.iter().find(|link| link.collection == *calendar);
    let content = link.map_or_else(
        || view.record.content.clone(),
        |link| plan::hub_side(&view.record, link),
    );
    let found = expand::occurrences(&content, window.from, window.to, zone)?;
    let taking = found
        .into_iter()
        .filter(|occurrence| takes_time(&occurrence.fields));
    Ok(taking
        .map(|occurrence| Busy {
            from: occurrence.starts_at,
            to: occurrence.ends_at,
        })
        .collect())
}

fn takes_time(fields: &Fields) -> bool {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    fields.get("busy").and_then(Value::as_bool).unwrap_or(true)
        && text("status") != Some("cancelled")
        && text("my_response") != Some("declined")
}

/// Periods inside the window, in order, overlapping and touching ones made one.
fn merged(mut periods: Vec<Busy>, window: Window) -> Vec<Busy> {
    periods.sort_unstable();
    let mut found: Vec<Busy> = Vec::with_capacity(periods.len());
    for period in periods {
        let (from, to) = (period.from.max(window.from), period.to.min(window.to));
        if from >= to {
            continue;
        }
        match found.last_mut() {
            Some(last) if from <= last.to => last.to = last.to.max(to),
            Some(_) | None => found.push(Busy { from, to }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn busy(from: i64, to: i64) -> Busy {
        Busy {
            from: at(from),
            to: at(to),
        }
    }

    #[test]
    fn periods_that_overlap_or_touch_are_one_and_stay_inside_the_window() {
        let window = Window {
            from: at(0),
            to: at(24),
        };
        let found = merged(
            vec![
                busy(9, 10),
                busy(22, 30),
                busy(10, 11),
                busy(13, 16),
                busy(14, 15),
                busy(-3, 1),
                busy(5, 5),
            ],
            window,
        );
        assert_eq!(found, [busy(0, 1), busy(9, 11), busy(13, 16), busy(22, 24)]);
    }

    #[test]
    fn free_cancelled_and_declined_events_take_no_time() {
        let takes = |value: Value| takes_time(&serde_json::from_value(value).unwrap());
        assert!(takes(json!({})));
        assert!(takes(
            json!({"busy": true, "status": "tentative", "my_response": "accepted"})
        ));
        for value in [
            json!({"busy": false}),
            json!({"status": "cancelled"}),
            json!({"my_response": "declined"}),
        ] {
            assert!(!takes(value));
        }
    }
}
