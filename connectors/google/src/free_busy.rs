//! When a calendar's owner is busy.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/freebusy/query>

use std::collections::BTreeMap;

use async_trait::async_trait;
use connector_sdk::{Actions, BusyPeriod, Context, Error, ErrorKind, RemoteCollection};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::connector::GoogleConnector;

#[derive(Deserialize)]
struct Answer {
    calendars: BTreeMap<String, Calendar>,
}

#[derive(Deserialize)]
struct Calendar {
    #[serde(default)]
    busy: Vec<Period>,
    /// The status of the answer is 200 all the same.
    #[serde(default)]
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Period {
    start: Timestamp,
    end: Timestamp,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    reason: String,
}

#[async_trait]
impl Actions for GoogleConnector {
    async fn free_busy(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<BusyPeriod>, Error> {
        let api = Api::new(ctx, "free_busy");
        let url = api.url(&["freeBusy"], &[])?;
        let question = json!({
            "timeMin": from.to_string(),
            "timeMax": to.to_string(),
            "items": [{"id": collection.id.0}],
        });
        let mut answer: Answer = api.query(url, &question).await?;
        let calendar = answer
            .calendars
            .remove(&collection.id.0)
            .ok_or_else(|| api.error(ErrorKind::Unexpected, "the answer leaves the calendar out"))?;
        match calendar.errors.first().map(|problem| problem.reason.as_str()) {
            None => Ok(merged(calendar.busy)),
            Some("notFound") => Err(api.error(
                ErrorKind::NotFound,
                "the calendar is not there, or its busy times are not shared with this account",
            )),
            Some(reason) => Err(api.error(
                ErrorKind::Unavailable,
                format!("the calendar's busy times cannot be told [{reason}]"),
            )),
        }
    }
}

/// In order, overlaps and neighbours joined.
fn merged(mut periods: Vec<Period>) -> Vec<BusyPeriod> {
    periods.sort_by_key(|period| (period.start, period.end));
    let mut joined: Vec<BusyPeriod> = Vec::new();
    for period in periods {
        match joined.last_mut() {
            Some(last) if period.start <= last.to => last.to = last.to.max(period.end),
            Some(_) | None => joined.push(BusyPeriod {
                from: period.start,
                to: period.end,
            }),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_periods_become_one() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let period = |from, to| Period {
            start: at(from),
            end: at(to),
        };
        let busy = merged(vec![
            period(50, 60),
            period(0, 20),
            period(10, 30),
            period(30, 40),
        ]);
        let spans: Vec<_> = busy
            .iter()
            .map(|one| (one.from.as_second(), one.to.as_second()))
            .collect();
        assert_eq!(spans, [(0, 40), (50, 60)]);
    }
}
