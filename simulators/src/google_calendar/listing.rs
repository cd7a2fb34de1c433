//! Lists of events: full, incremental, by instance.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::config::Role;
use super::errors::ApiError;
use super::occurrences::{Finder, occurrence};
use super::paging::{finish, page, read_sync_token};
use super::params::Params;
use super::recurrence::Series;
use super::render::{self, Viewer};
use super::state::{Calendar, Event, World, etag};
use super::times::{When, rfc3339_ms, zone_or_utc};

/// "The page size can never be larger than 2500 events."
const LARGEST_PAGE: usize = 2500;
const DEFAULT_PAGE: usize = 250;
/// Expanding an endless series stops here, in time from now.
const EXPANSION_HORIZON: SignedDuration = SignedDuration::from_hours(24 * 365 * 2);
/// Older `updatedMin` values are refused; the vendor names the error, not the limit.
const UPDATED_MIN_WINDOW: SignedDuration = SignedDuration::from_hours(24 * 28);

/// "There are several query parameters that cannot be specified together with nextSyncToken."
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events/list#syncToken>
const NOT_WITH_SYNC_TOKEN: &[&str] = &[
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
];

/// Queries that are no basis for incremental sync: their last page has no sync token.
const WITHOUT_SYNC_TOKEN: &[&str] = &[
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "updatedMin",
];

/// `events.list`.
pub(crate) fn events(
    world: &mut World,
    email: &str,
    calendar_id: &str,
    role: Role,
    params: &Params,
) -> Result<Value, ApiError> {
    let query = Query::read(world, calendar_id, params)?;
    let scope = format!("{email}/{calendar_id}/events");
    let page = page(world, &scope, params, (DEFAULT_PAGE, LARGEST_PAGE), |world| {
        query.run(world, calendar_id)
    })?;
    let calendar = world.calendar(calendar_id)?;
    let viewer = viewer(calendar, email, role, params)?;
    // Without `showDeleted`, cancelled events give no details away.
    let details = params.flag("showDeleted")? == Some(true);
    let finder = Finder::new(calendar);
    let shown = |id: &String| {
        let event = finder.find(id).ok()?;
        let bare = event.is_cancelled() && !details;
        Some(if bare {
            render::tombstone(&event, &viewer.tz)
        } else {
            render::event(calendar, &event, &viewer)
        })
    };
    let items = page.ids.iter().filter_map(shown).collect();
    let mut answer = envelope(world, calendar, email, role, items);
    finish(&mut answer, world, calendar_id, calendar.epoch, page);
    Ok(Value::Object(answer))
}

fn envelope(
    world: &World,
    calendar: &Calendar,
    email: &str,
    role: Role,
    items: Vec<Value>,
) -> Map<String, Value> {
    let entry = world
        .accounts
        .get(email)
        .and_then(|account| account.list.get(&calendar.id));
    let reminders = entry.and_then(|entry| entry.props.get("defaultReminders").cloned());
    let newest = calendar.events.values().max_by_key(|event| event.revision);
    let updated = newest.and_then(|event| event.text("updated").map(str::to_owned));
    let mut answer = Map::new();
    answer.insert("kind".to_owned(), json!("calendar#events"));
    answer.insert("etag".to_owned(), json!(etag(calendar.revision)));
    answer.insert(
        "summary".to_owned(),
        calendar
            .props
            .get("summary")
            .cloned()
            .unwrap_or_else(|| json!("")),
    );
    if let Some(description) = calendar.props.get("description") {
        answer.insert("description".to_owned(), description.clone());
    }
    answer.insert(
        "updated".to_owned(),
        json!(updated.unwrap_or_else(|| rfc3339_ms(world.now()))),
    );
    answer.insert("timeZone".to_owned(), json!(calendar.time_zone()));
    answer.insert("accessRole".to_owned(), json!(role.as_str()));
    answer.insert(
        "defaultReminders".to_owned(),
        reminders.unwrap_or_else(|| json!([])),
    );
    answer.insert("items".to_owned(), Value::Array(items));
    answer
}

/// How this account sees this calendar with these parameters.
pub(crate) fn viewer<'a>(
    calendar: &Calendar,
    email: &'a str,
    role: Role,
    params: &Params,
) -> Result<Viewer<'a>, ApiError> {
    let tz = match params.get("timeZone") {
        Some(name) => {
            TimeZone::get(name).map_err(|_| ApiError::invalid_parameter("timeZone", "Invalid time zone."))?
        }
        None => zone_or_utc(calendar.time_zone()),
    };
    Ok(Viewer {
        email,
        role,
        tz,
        max_attendees: params.positive("maxAttendees")?,
    })
}

/// `events.instances`.
pub(crate) fn instances(
    world: &mut World,
    email: &str,
    calendar_id: &str,
    role: Role,
    event_id: &str,
    params: &Params,
) -> Result<Value, ApiError> {
    let window = Window::read(params)?;
    let deleted = params.flag("showDeleted")? == Some(true);
    let original = params.get("originalStart").map(str::to_owned);
    let scope = format!("{email}/{calendar_id}/{event_id}/instances");
    let page = page(world, &scope, params, (DEFAULT_PAGE, LARGEST_PAGE), |world| {
        let calendar = world.calendar(calendar_id)?;
        let master = calendar.events.get(event_id).ok_or_else(ApiError::not_found)?;
        let tz = zone_or_utc(calendar.time_zone());
        let now = world.now();
        let ids = expand(calendar, event_id, master, &window, now)?;
        let finder = Finder::new(calendar);
        let wanted = |id: &String| {
            let Ok(event) = finder.find(id) else {
                return false;
            };
            let start = When::of(&event.body, "originalStartTime");
            let is_asked = original
                .as_deref()
                .is_none_or(|asked| start.is_some_and(|start| names(&start, asked, &tz)));
            is_asked && (deleted || !event.is_cancelled())
        };
        Ok((ids.into_iter().filter(wanted).collect(), None))
    })?;
    let calendar = world.calendar(calendar_id)?;
    let viewer = viewer(calendar, email, role, params)?;
    let finder = Finder::new(calendar);
    let found = page.ids.iter().filter_map(|id| finder.find(id).ok());
    let items = found
        .map(|event| render::event(calendar, &event, &viewer))
        .collect();
    let mut answer = envelope(world, calendar, email, role, items);
    finish(&mut answer, world, calendar_id, calendar.epoch, page);
    Ok(Value::Object(answer))
}

fn names(start: &When, asked: &str, tz: &TimeZone) -> bool {
    match (start, asked.parse::<Timestamp>()) {
        (When::Day(date), _) => asked.get(..10) == Some(date.to_string().as_str()),
        (When::Instant { .. }, Ok(at)) => start.instant(tz) == at,
        (When::Instant { .. }, Err(_)) => false,
    }
}

#[derive(Clone, Copy)]
struct Window {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Window {
    fn read(params: &Params) -> Result<Self, ApiError> {
        let window = Self {
            from: params.moment("timeMin")?,
            to: params.moment("timeMax")?,
        };
        if let (Some(from), Some(to)) = (window.from, window.to)
            && to <= from
        {
            return Err(ApiError::time_range_empty());
        }
        Ok(window)
    }

    fn is_open(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// `timeMin` bounds the end, `timeMax` the start, both exclusively.
    fn overlaps(&self, event: &Event, tz: &TimeZone) -> bool {
        let side = |name: &str| When::of(&event.body, name).map(|when| when.instant(tz));
        self.from
            .is_none_or(|from| side("end").is_some_and(|end| end > from))
            && self
                .to
                .is_none_or(|to| side("start").is_some_and(|start| start < to))
    }
}

/// Ids of a series' instances that overlap the window, moved ones included, in the order of their original starts.
fn expand(
    calendar: &Calendar,
    master_id: &str,
    master: &Event,
    window: &Window,
    now: Timestamp,
) -> Result<Vec<String>, ApiError> {
    if !master.is_series() {
        return Ok(Vec::new());
    }
    let tz = zone_or_utc(calendar.time_zone());
    let series = Series::read(&master.body)?;
    let horizon = || {
        now.checked_add(EXPANSION_HORIZON)
            .ok()
            .filter(|_| series.is_endless())
    };
    let to = window.to.or_else(horizon).unwrap_or(Timestamp::MAX);
    // An instance that began long before the window may still reach into it; so look back by its own length.
    let earliest = window
        .from
        .and_then(|from| from.checked_sub(series.length(&tz)).ok())
        .unwrap_or(Timestamp::MIN);
    let mut found = Vec::new();
    for start in series.starts(Some((earliest, to))) {
        let event = occurrence(master_id, master, &series, &start);
        let id = event.text("id").unwrap_or_default().to_owned();
        if !calendar.events.contains_key(&id) && window.overlaps(&event, &tz) {
            found.push((start.instant(&tz), id));
        }
    }
    for (id, event) in calendar
        .events
        .iter()
        .filter(|(_, event)| event.master_id() == Some(master_id))
    {
        if let Some(start) = When::of(&event.body, "originalStartTime")
            && !event.deleted
            && window.overlaps(event, &tz)
        {
            found.push((start.instant(&tz), id.clone()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, id)| id).collect())
}

struct Query {
    since: Option<u64>,
    single_events: bool,
    show_deleted: bool,
    window: Window,
    updated_min: Option<Timestamp>,
    order_by: Option<String>,
    uid: Option<String>,
    private: Vec<String>,
    shared: Vec<String>,
    event_types: Vec<String>,
    text: Option<String>,
    gives_sync_token: bool,
}

impl Query {
    fn read(world: &World, calendar_id: &str, params: &Params) -> Result<Self, ApiError> {
        let epoch = world.calendar(calendar_id)?.epoch;
        let show_deleted = params.flag("showDeleted")?;
        let since = match params.get("syncToken") {
            Some(token) => {
                if let Some(name) = NOT_WITH_SYNC_TOKEN.iter().find(|name| params.has(name)) {
                    let message = format!("{name} cannot be specified together with a sync token.");
                    return Err(ApiError::invalid_parameter(name, message));
                }
                if show_deleted == Some(false) {
                    let message = "showDeleted cannot be false together with a sync token.";
                    return Err(ApiError::invalid_parameter("showDeleted", message));
                }
                Some(read_sync_token(world, token, calendar_id, epoch)?)
            }
            None => None,
        };
        let single_events = params.flag("singleEvents")? == Some(true);
        let order_by = params.get("orderBy").map(str::to_owned);
        match order_by.as_deref() {
            // "This is only available when querying single events (i.e. the parameter singleEvents is True)."
            Some("startTime") if !single_events => {
                let message = "The requested ordering is not available for the particular query.";
                return Err(ApiError::invalid_parameter("orderBy", message));
            }
            Some("startTime" | "updated") | None => {}
            Some(_) => return Err(ApiError::invalid_parameter("orderBy", "Invalid string value.")),
        }
        let updated_min = params.moment("updatedMin")?;
        if updated_min.is_some_and(|from| world.now().duration_since(from) > UPDATED_MIN_WINDOW) {
            return Err(ApiError::updated_min_too_long_ago());
        }
        Ok(Self {
            since,
            single_events,
            show_deleted: show_deleted == Some(true),
            window: Window::read(params)?,
            updated_min,
            order_by,
            uid: params.get("iCalUID").map(str::to_owned),
            private: params.all("privateExtendedProperty").map(str::to_owned).collect(),
            shared: params.all("sharedExtendedProperty").map(str::to_owned).collect(),
            event_types: params.all("eventTypes").map(str::to_owned).collect(),
            text: params.get("q").map(str::to_lowercase),
            gives_sync_token: !WITHOUT_SYNC_TOKEN.iter().any(|name| params.has(name)),
        })
    }

    fn run(&self, world: &World, calendar_id: &str) -> Result<(Vec<String>, Option<u64>), ApiError> {
        let calendar = world.calendar(calendar_id)?;
        let tz = zone_or_utc(calendar.time_zone());
        let mut ids = Vec::new();
        for (id, event) in &calendar.events {
            if !self.concerns(event) {
                continue;
            }
            let living_series = event.is_series() && !event.is_cancelled();
            if living_series && self.single_events {
                let instances = expand(calendar, id, event, &self.window, world.now())?;
                // Exceptions are events of their own in this loop.
                ids.extend(
                    instances
                        .into_iter()
                        .filter(|id| !calendar.events.contains_key(id)),
                );
            } else if living_series && !self.window.is_open() {
                if !expand(calendar, id, event, &self.window, world.now())?.is_empty() {
                    ids.push(id.clone());
                }
            } else if living_series || self.window.overlaps(event, &tz) {
                ids.push(id.clone());
            }
        }
        self.sort(calendar, &tz, &mut ids);
        Ok((ids, self.gives_sync_token.then(|| world.revision())))
    }

    fn concerns(&self, event: &Event) -> bool {
        if let Some(since) = self.since
            && event.revision <= since
        {
            return false;
        }
        let updated = event
            .text("updated")
            .and_then(|text| text.parse::<Timestamp>().ok());
        if self
            .updated_min
            .is_some_and(|from| updated.is_none_or(|updated| updated < from))
        {
            return false;
        }
        let always = self.since.is_some() || self.updated_min.is_some() || self.show_deleted;
        let hidden = if event.deleted {
            !always
        } else {
            event.is_cancelled() && self.single_events && !always
        };
        !hidden && self.matches(event)
    }

    fn matches(&self, event: &Event) -> bool {
        let property = |kind: &str, constraint: &str| {
            let Some((name, value)) = constraint.split_once('=') else {
                return false;
            };
            let found = event
                .body
                .get("extendedProperties")
                .and_then(|all| all.get(kind)?.get(name)?.as_str());
            found == Some(value)
        };
        let text = |wanted: &str| {
            let fields = ["summary", "description", "location"]
                .iter()
                .filter_map(|name| event.text(name));
            fields.map(str::to_lowercase).any(|field| field.contains(wanted))
        };
        self.uid
            .as_deref()
            .is_none_or(|uid| event.text("iCalUID") == Some(uid))
            && self
                .private
                .iter()
                .all(|constraint| property("private", constraint))
            && self
                .shared
                .iter()
                .all(|constraint| property("shared", constraint))
            && (self.event_types.is_empty()
                || self
                    .event_types
                    .iter()
                    .any(|kind| event.text("eventType") == Some(kind)))
            && self.text.as_deref().is_none_or(text)
    }

    fn sort(&self, calendar: &Calendar, tz: &TimeZone, ids: &mut [String]) {
        let finder = Finder::new(calendar);
        match self.order_by.as_deref() {
            Some("startTime") => ids.sort_by_cached_key(|id| {
                finder
                    .find(id)
                    .ok()
                    .and_then(|event| Some(When::of(&event.body, "start")?.instant(tz)))
            }),
            Some("updated") => ids.sort_by_cached_key(|id| {
                finder
                    .find(id)
                    .ok()
                    .and_then(|event| event.text("updated").map(str::to_owned))
            }),
            Some(_) | None => {}
        }
    }
}
