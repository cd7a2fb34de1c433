//! The laws for Google's events.

use std::collections::{BTreeMap, BTreeSet};

use mapping::google::{insert, patch, project, read, support};
use model::content::{Content, Fields, PartKey};
use model::{Kind, series};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config;
use crate::generate::{Vendor, content, without_provider_fields};

const ZONE: &str = "Europe/Berlin";

/// Google's side: the master, and an instance for every occurrence that was changed.
fn stored(content: &Content) -> BTreeMap<PartKey, Value> {
    let alive = content
        .overrides
        .iter()
        .filter(|(_, fields)| !series::is_cancelled(fields))
        .map(|(key, _)| key);
    std::iter::once(&PartKey::MASTER)
        .chain(alive)
        .map(|part| {
            let mut event = insert(content, part, ZONE).unwrap();
            decorate(&mut event);
            (part.clone(), event)
        })
        .collect()
}

/// What Google and others add.
fn decorate(event: &mut Value) {
    event["id"] = json!("id1");
    event["etag"] = json!("\"1\"");
    event["futureMember"] = json!({"x": [1, 2]});
    event["extendedProperties"]["private"]["foreign"] = json!("kept");
    event["extendedProperties"]["shared"] = json!({"kept": "too"});
    event["start"]["futureMember"] = json!(1);
    if let Some(Value::Array(people)) = event.get_mut("attendees") {
        people.push(json!({"displayName": "Hidden", "additionalGuests": 2}));
        for person in people {
            person["comment"] = json!("kept");
        }
    }
}

fn gathered(events: &BTreeMap<PartKey, Value>) -> Content {
    let master = read(&events[&PartKey::MASTER], None).unwrap();
    let mut content = Content {
        fields: master.fields,
        overrides: master.exdates,
    };
    for (key, event) in events.iter().filter(|(key, _)| !key.is_master()) {
        let mut event = event.clone();
        event["recurringEventId"] = json!("id1");
        event["originalStartTime"] = json!({"date": "2026-01-01"});
        let full = read(&event, None).unwrap().fields;
        let sparse = series::sparse(Kind::Event, &content.fields, key, &full);
        if !sparse.is_empty() {
            content.overrides.insert(key.clone(), sparse);
        }
    }
    without_provider_fields(content)
}

/// What a server does with a PATCH body.
fn merge(target: &mut Value, body: &Value) {
    let Value::Object(members) = body else {
        *target = body.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in members {
        match (value, target.as_object_mut().unwrap()) {
            (Value::Null, object) => drop(object.remove(name)),
            (value, object) => merge(object.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}

fn member(field: &str) -> &'static str {
    match field {
        "title" => "summary",
        "busy" => "transparency",
        "my_response" => "attendees",
        "color" => "colorId",
        "url" => "source",
        "categories" | "custom" => "extendedProperties",
        "start" => "start",
        "end" => "end",
        "recurrence" => "recurrence",
        "description" => "description",
        "location" => "location",
        "status" => "status",
        "visibility" => "visibility",
        "attendees" => "attendees",
        "reminders" => "reminders",
        "attachments" => "attachments",
        other => panic!("{other} has no member"),
    }
}

fn writable() -> Vec<&'static str> {
    support()
        .iter()
        .filter(|support| support.writable)
        .map(|support| support.field)
        .collect()
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn what_was_written_reads_back_as_it_was(content in content(Vendor::Google)) {
        prop_assert_eq!(&gathered(&stored(&content)), &content);
        prop_assert_eq!(&project(&content, ZONE), &content);
    }

    #[test]
    fn what_cannot_be_said_is_lost_once_and_as_projected(content in content(Vendor::Any)) {
        let projection = project(&content, ZONE);
        prop_assert_eq!(&gathered(&stored(&content)), &projection);
        prop_assert_eq!(&project(&projection, ZONE), &projection);
    }

    #[test]
    fn an_event_that_says_it_already_needs_no_patch(content in content(Vendor::Google)) {
        let all: BTreeSet<String> = writable().into_iter().map(str::to_owned).collect();
        let events = stored(&content);
        let held = gathered(&events);
        for (part, event) in &events {
            prop_assert_eq!(patch(Some(event), &held, part, &all, ZONE).unwrap(), json!({}));
        }
    }

    #[test]
    fn an_edit_of_one_field_patches_its_member_only(
        before in content(Vendor::Google), other in content(Vendor::Google), pick in any::<proptest::sample::Index>(),
    ) {
        let fields: Vec<&str> =
            writable().into_iter().filter(|field| !matches!(*field, "start" | "end" | "recurrence")).collect();
        let field = fields[pick.index(fields.len())];
        let mut events = stored(&before);
        let mut target = gathered(&events);
        match other.fields.get(field) {
            Some(value) => target.fields.insert(field.to_owned(), value.clone()),
            None => target.fields.remove(field),
        };
        let master = events.get_mut(&PartKey::MASTER).unwrap();
        let body = patch(Some(master), &target, &PartKey::MASTER, &[field.to_owned()].into(), ZONE).unwrap();
        prop_assert!(body.as_object().unwrap().keys().all(|name| name == member(field)), "{field}: {body}");
        let untouched = master.clone();
        merge(master, &body);
        for kept in ["/futureMember", "/extendedProperties/private/foreign", "/extendedProperties/shared"] {
            prop_assert_eq!(master.pointer(kept), untouched.pointer(kept));
        }
        let again: Fields = without_provider_fields(Content::new(read(master, None).unwrap().fields)).fields;
        prop_assert_eq!(again, project(&target, ZONE).fields, "{}", body);
    }

    #[test]
    fn a_patched_series_reads_back_as_it_was_meant(
        before in content(Vendor::Google), other in content(Vendor::Google),
    ) {
        let mut events = stored(&before);
        let held = gathered(&events);
        let mut target = other;
        target.fields.insert("uid".to_owned(), held.fields["uid"].clone());
        // Occurrences are written one by one; here the master is of interest.
        target.overrides.retain(|_, fields| series::is_cancelled(fields));
        let changed: BTreeSet<String> =
            held.fields.keys().chain(target.fields.keys()).filter(|name| held.fields.get(*name) != target.fields.get(*name)).cloned().collect();
        let master = events.get_mut(&PartKey::MASTER).unwrap();
        let body = patch(Some(master), &target, &PartKey::MASTER, &changed, ZONE).unwrap();
        merge(master, &body);
        let again = read(master, None).unwrap();
        let read_fields = without_provider_fields(Content::new(again.fields)).fields;
        prop_assert_eq!(read_fields, target.fields, "{}", body);
        if changed.contains("start") && target.overrides.len() == again.exdates.len() {
            prop_assert_eq!(again.exdates, target.overrides);
        }
    }
}
