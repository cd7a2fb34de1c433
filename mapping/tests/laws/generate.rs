//! Contents in canonical form, as a hub holds them.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use model::content::{Content, Fields, PartKey};
use model::{Kind, series};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "Asia/Jerusalem",
    "UTC",
];

/// What a vendor can hold, so that what comes back can be compared with what was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Vendor {
    ICalendar,
    Google,
    /// Everything that the model allows.
    Any,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 ,;:\\\\\"'^=äßŁ中𝄞-]{1,40}",
        1 => "[a-z,;\\\\]{1,10}\n[ a-z]{1,10}\n*[a-zä€]{1,90}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-zÄ ,;:^'\"]{0,18}[a-z]"
}

fn address() -> impl Strategy<Value = String> {
    "[a-z]{1,4}@(example|muster)\\.org"
}

fn wall() -> impl Strategy<Value = DateTime> {
    // Hours at which no zone above changes its clock.
    (2005i16..2036, 1i8..=12, 1i8..=28, 5i8..22, 0i8..60).prop_map(|(year, month, day, hour, minute)| {
        Date::new(year, month, day).unwrap().at(hour, minute, 0, 0)
    })
}

fn time(kind: usize, zone: &str, wall: DateTime) -> Value {
    match kind {
        0 => json!({"kind": "date", "date": wall.date()}),
        1 => json!({"kind": "floating", "wall": wall}),
        _ => json!({"kind": "zoned", "wall": wall, "zone": zone}),
    }
}

fn later(wall: DateTime, kind: usize, length: i64) -> DateTime {
    let unit = if kind == 0 {
        jiff::SignedDuration::from_hours(24)
    } else {
        jiff::SignedDuration::from_mins(1)
    };
    wall + unit * i32::try_from(length).unwrap()
}

fn attendees(vendor: Vendor) -> impl Strategy<Value = Value> {
    let roles: &[&str] = match vendor {
        Vendor::Google => &["participant", "resource"],
        Vendor::ICalendar | Vendor::Any => &["participant", "resource", "chair", "informed"],
    };
    let responses: &[&str] = match vendor {
        Vendor::Google => &["needs_action", "accepted", "declined", "tentative"],
        Vendor::ICalendar | Vendor::Any => {
            &["needs_action", "accepted", "declined", "tentative", "delegated"]
        }
    };
    let one = (
        proptest::option::of(name()),
        proptest::sample::select(roles),
        proptest::sample::select(responses),
        any::<bool>(),
    );
    btree_map(address(), one, 1..5).prop_map(move |people| {
        let people = people.into_iter().map(|(address, (name, role, response, optional))| {
            let can = vendor == Vendor::Any || matches!(role, "participant" | "resource");
            let mut person =
                json!({"address": address, "role": role, "response": response, "optional": optional && can});
            if let Some(name) = name {
                person["name"] = json!(name);
            }
            person
        });
        Value::Array(people.collect())
    })
}

fn reminders(vendor: Vendor) -> impl Strategy<Value = Value> {
    let minutes = if vendor == Vendor::Google {
        0..40_000i64
    } else {
        -5000..50_000i64
    };
    (btree_map(minutes, any::<bool>(), 1..5), any::<bool>()).prop_map(move |(items, use_default)| {
        let items = items.into_iter().map(|(minutes, email)| {
            json!({"minutes_before": minutes, "method": if email { "email" } else { "popup" }})
        });
        let use_default = use_default && vendor == Vendor::Any;
        json!({"use_default": use_default, "items": items.collect::<Vec<_>>()})
    })
}

fn description(vendor: Vendor) -> impl Strategy<Value = Value> {
    (text(), proptest::option::of(text())).prop_map(move |(text, html)| match (html, vendor) {
        (Some(html), Vendor::ICalendar | Vendor::Any) => {
            json!({"text": text, "html": format!("<p>{html}</p>")})
        }
        _ => json!({"text": text}),
    })
}

fn color(vendor: Vendor) -> BoxedStrategy<Value> {
    match vendor {
        Vendor::Google => proptest::sample::select(&["#a4bdfc", "#dc2127", "#51b749"][..])
            .prop_map(Value::from)
            .boxed(),
        Vendor::ICalendar | Vendor::Any => "[a-z]{3,9}".prop_map(Value::from).boxed(),
    }
}

/// One value for every field that both vendors carry and that an occurrence may have of its own.
fn details(vendor: Vendor) -> impl Strategy<Value = Fields> {
    let first = (
        text(),
        description(vendor),
        text(),
        attendees(vendor),
        reminders(vendor),
        color(vendor),
    );
    let choices = (
        proptest::sample::select(&["confirmed", "tentative"][..]),
        proptest::sample::select(&["default", "public", "private", "confidential"][..]),
        any::<bool>(),
    );
    let lists = (
        "https://[a-z]{2,9}\\.org/[a-z?=,;]{0,20}",
        vec("[a-zA-Zü][a-zA-Zü,; ]{0,8}[a-z]", 1..4),
        btree_map(
            "https://[a-z]{1,5}\\.org/d",
            (proptest::option::of(name()), any::<bool>()),
            1..3,
        ),
    );
    let people = (
        address(),
        proptest::option::of(name()),
        proptest::option::of(name()),
    );
    (first, choices, lists, people).prop_map(move |(first, choices, lists, people)| {
        let (title, description, location, attendees, reminders, color) = first;
        let attachments = lists.2.into_iter().map(|(uri, (name, typed))| {
            let media = typed.then_some("application/pdf");
            json!({"uri": uri, "name": name, "media_type": media})
        });
        let mut all = json!({
            "title": title, "description": description, "location": location, "attendees": attendees,
            "reminders": reminders, "color": color, "status": choices.0, "visibility": choices.1, "busy": choices.2,
            "url": lists.0, "categories": lists.1, "attachments": attachments.collect::<Vec<_>>(),
        });
        if vendor != Vendor::Google {
            all["organizer"] = json!({"address": people.0, "name": people.1});
            all["conferencing"] = json!({"uri": "https://meet.example.org/x", "label": people.2});
        } else {
            all["custom"] = json!({"cost": 7, "who": people.1, "note": "x"});
        }
        Kind::Event.schema().canonical(serde_json::from_value(all).unwrap()).unwrap()
    })
}

/// Fields that always have a value, so that what a vendor takes for granted need not be thought of.
const ALWAYS: [&str; 3] = ["status", "visibility", "busy"];

fn thinned(mut fields: Fields, mask: u32) -> Fields {
    let mut at = 0;
    fields.retain(|name, value| {
        at += 1;
        !value.is_null() && (ALWAYS.contains(&name.as_str()) || mask & (1 << at) != 0)
    });
    fields
}

/// A single event or a series, with changed, moved and deleted occurrences.
pub(crate) fn content(vendor: Vendor) -> impl Strategy<Value = Content> {
    let kinds = if vendor == Vendor::Google {
        vec![0usize, 2, 2]
    } else {
        vec![0usize, 1, 2, 2]
    };
    let when = (
        proptest::sample::select(kinds),
        proptest::sample::select(&ZONES[..]),
        proptest::sample::select(&ZONES[..]),
        wall(),
        1i64..300,
    );
    let rules = proptest::option::of(proptest::sample::select(
        &[
            "FREQ=DAILY",
            "FREQ=WEEKLY;BYDAY=MO,TU",
            "FREQ=DAILY;UNTIL=20400101T000000Z",
        ][..],
    ));
    let overrides = btree_map(1i64..40, (0u8..4, details(vendor), any::<u32>(), 1i64..90), 0..4);
    (
        when,
        rules,
        details(vendor),
        any::<u32>(),
        overrides,
        vec(1i64..20, 0..3),
    )
        .prop_map(
            move |((kind, zone, end_zone, wall, length), rule, details, mask, overrides, dates)| {
                let mut fields = thinned(details, mask);
                fields.insert("uid".to_owned(), json!("u1@example.org"));
                fields.insert("start".to_owned(), time(kind, zone, wall));
                // An end in a zone of its own, sometimes.
                let end_zone = if mask & 1 == 0 { zone } else { end_zone };
                fields.insert("end".to_owned(), time(kind, end_zone, later(wall, kind, length)));
                let Some(rule) = rule else {
                    return Content::new(fields);
                };
                let day = jiff::SignedDuration::from_hours(24);
                let key = |days: i64| {
                    let wall = wall + day * i32::try_from(days).unwrap();
                    if kind == 0 {
                        wall.date().to_string()
                    } else {
                        wall.to_string()
                    }
                };
                let mut dates: Vec<String> = dates.into_iter().map(|days| key(100 + days)).collect();
                dates.sort();
                dates.dedup();
                fields.insert("recurrence".to_owned(), json!({"rules": [rule], "dates": dates}));
                let mut all = BTreeMap::new();
                for (days, (sort, details, mask, minutes)) in overrides {
                    let key = PartKey::occurrence(key(days));
                    let sparse = changed(&fields, &key, sort, thinned(details, mask), minutes, kind);
                    if !sparse.is_empty() {
                        all.insert(key, sparse);
                    }
                }
                Content {
                    fields,
                    overrides: all,
                }
            },
        )
}

/// An override: deleted, moved, or with other details.
fn changed(master: &Fields, key: &PartKey, sort: u8, details: Fields, minutes: i64, kind: usize) -> Fields {
    let mut full = series::inherited(Kind::Event, master, key);
    match sort {
        0 => return series::cancelled(),
        1 => {
            for name in ["start", "end"] {
                let time = series::time_field(&full, name).unwrap();
                let moved = time.with_wall(later(time.wall(), kind, minutes.min(60)));
                full.insert(name.to_owned(), json!(moved));
            }
        }
        _ => {
            full.retain(|name, _| matches!(name.as_str(), "start" | "end"));
            full.extend(details);
        }
    }
    series::sparse(Kind::Event, master, key, &full)
}

/// What the account's provider alone decides is not compared.
pub(crate) fn without_provider_fields(mut content: Content) -> Content {
    for field in ["sequence", "created_at", "updated_at"] {
        content.fields.remove(field);
    }
    content
}
