//! Finding the event that an occurrence of a series is written to.
//!
//! An occurrence that nobody changed has an event of its own at Google, which its series implies. Its id looks like
//! `{master}_{start}`, but the vendor says that ids are opaque and that this form is to change, and after a "this
//! and following" edit it does not hold already (`{id}_R{start}` and `{id}_{start}`). So Google is asked for it.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/instances#originalStart>

use connector_sdk::{Error, ErrorKind, RemoteCollection, RemoteId, RemoteVersion, SeriesPart};
use http::Method;
use jiff::tz::TimeZone;
use model::{Content, EventTime, PartKey};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, Body};
use crate::connector::zone_of;

#[derive(Deserialize)]
struct Instances {
    #[serde(default)]
    items: Vec<Value>,
}

/// An occurrence as Google shows it, beside its series.
pub(crate) struct Instance {
    pub(crate) event: Value,
    master: Value,
}

impl Instance {
    /// Whether the series implies it, unchanged: then it has the etag of its series. (Google's etags of events stand
    /// for the time of change, which such an occurrence shares with its series.)
    pub(crate) fn is_implied(&self) -> bool {
        let etag = self.event.get("etag");
        etag.is_some() && etag == self.master.get("etag")
    }

    pub(crate) fn version(&self) -> Option<RemoteVersion> {
        let etag = self.event.get("etag")?.as_str()?;
        Some(RemoteVersion(etag.to_owned()))
    }

    pub(crate) fn id(&self, api: &Api<'_>) -> Result<RemoteId, Error> {
        let id = self.event.get("id").and_then(Value::as_str);
        id.map(|id| RemoteId(id.to_owned()))
            .ok_or_else(|| api.error(ErrorKind::Unexpected, "an occurrence has no id"))
    }
}

/// The occurrence of a series that was to start then, cancelled or not. One that the master excludes by an EXDATE
/// line of its own is let in again.
///
/// # Errors
/// `NotFound` when the series has no such occurrence.
pub(crate) async fn find(
    api: &Api<'_>,
    collection: &RemoteCollection,
    part: &SeriesPart,
    key: &PartKey,
) -> Result<Instance, Error> {
    let url = api.url(&["calendars", &collection.id.0, "events", &part.series.0], &[])?;
    let master: Value = api.get(url).await?;
    if let Some(event) = ask(api, collection, part).await? {
        return Ok(Instance { event, master });
    }
    let none = || {
        api.error(
            ErrorKind::NotFound,
            "the series has no occurrence that was to start then",
        )
    };
    let master = readmit(api, collection, part, master, key)
        .await?
        .ok_or_else(none)?;
    let event = ask(api, collection, part).await?.ok_or_else(none)?;
    Ok(Instance { event, master })
}

async fn ask(
    api: &Api<'_>,
    collection: &RemoteCollection,
    part: &SeriesPart,
) -> Result<Option<Value>, Error> {
    let start = original_start(&part.original_start, zone_of(collection));
    let segments = [
        "calendars",
        &collection.id.0,
        "events",
        &part.series.0,
        "instances",
    ];
    let url = api.url(&segments, &[("originalStart", &start), ("showDeleted", "true")])?;
    let found: Instances = api.get(url).await?;
    Ok(found.items.into_iter().next())
}

/// Takes the occurrence out of the master's EXDATE lines; `None` when it stands in none.
async fn readmit(
    api: &Api<'_>,
    collection: &RemoteCollection,
    part: &SeriesPart,
    master: Value,
    key: &PartKey,
) -> Result<Option<Value>, Error> {
    let invalid = |error: mapping::MappingError| api.error(ErrorKind::Invalid, error.to_string());
    let read = mapping::google::read(&master, None).map_err(invalid)?;
    let mut content = Content {
        fields: read.fields,
        overrides: read.exdates,
    };
    if content.overrides.remove(key).is_none() {
        return Ok(None);
    }
    let changed = ["recurrence".to_owned()].into();
    let zone = zone_of(collection);
    let body = mapping::google::patch(Some(&master), &content, &PartKey::MASTER, &changed, zone);
    let body = body.map_err(invalid)?;
    let etag = master.get("etag").and_then(Value::as_str);
    let version = etag.map(|etag| RemoteVersion(etag.to_owned()));
    let url = api.url(&["calendars", &collection.id.0, "events", &part.series.0], &[])?;
    let body = Body {
        json: &body,
        only_if: version.as_ref(),
    };
    let raw = api.write(Method::PATCH, url, body).await?;
    let unreadable = |error| api.error(ErrorKind::Unexpected, format!("{error}"));
    serde_json::from_str(raw.get())
        .map(Some)
        .map_err(|error: serde_json::Error| unreadable(error))
}

/// A day as it is, anything else as an instant.
fn original_start(time: &EventTime, calendar_zone: &str) -> String {
    match time {
        EventTime::Date { date } => date.to_string(),
        EventTime::Zoned { .. } | EventTime::Floating { .. } => {
            let zone = model::zone::time_zone(calendar_zone).unwrap_or(TimeZone::UTC);
            time.instant(&zone).to_string()
        }
    }
}
