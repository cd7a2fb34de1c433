//! `ATTACH` by address (RFC 5545 section 3.8.1.1) and `CONFERENCE` (RFC 7986 section 5.11).

use std::borrow::Cow;

use model::canonical;
use model::event::{Attachment, Conferencing};
use serde_json::Value;

use crate::engine::{Problem, typed};
use crate::ical::event::Event;
use crate::ical::line::Line;

/// The address of an attachment; `None` for one whose content stands in the object itself, which stays as it is.
fn uri(line: &Line) -> Option<&str> {
    let inline =
        line.name() != "ATTACH" || line.param_is("VALUE", "BINARY") || line.param("ENCODING").is_some();
    (!inline)
        .then(|| line.value().trim())
        .filter(|uri| !uri.is_empty())
}

fn attachment(line: &Line) -> Option<Attachment> {
    Some(Attachment {
        uri: uri(line)?.to_owned(),
        // RFC 8607 section 4.2.
        name: line.param("FILENAME").map(Cow::into_owned),
        media_type: line.param("FMTTYPE").map(Cow::into_owned),
    })
}

pub(in crate::ical) fn attachments(event: &Event) -> Option<Value> {
    canonical::to_value(event.component.lines().filter_map(attachment).collect::<Vec<_>>())
}

pub(in crate::ical) fn set_attachments(event: &mut Event, value: Option<&Value>) -> Result<(), Problem> {
    let mut wanted: Vec<Attachment> = value.map(typed).transpose()?.unwrap_or_default();
    event
        .component
        .remove(|line| uri(line).is_some_and(|uri| !wanted.iter().any(|attachment| attachment.uri == uri)));
    let say = |line: &mut Line, wanted: &Attachment| {
        line.set_param("FMTTYPE", wanted.media_type.as_deref());
        line.set_param("FILENAME", wanted.name.as_deref());
    };
    for line in event.component.lines_mut() {
        let Some(known) = uri(line) else { continue };
        if let Some(at) = wanted.iter().position(|attachment| attachment.uri == known) {
            say(line, &wanted.remove(at));
        }
    }
    for new in wanted {
        let mut line = Line::new("ATTACH", new.uri.as_str());
        say(&mut line, &new);
        event.component.insert(line);
    }
    Ok(())
}

/// Where the addresses of meetings stand: the standard's property, then what Google writes.
const MEETINGS: [&str; 2] = ["CONFERENCE", "X-GOOGLE-CONFERENCE"];

pub(in crate::ical) fn conferencing(event: &Event) -> Option<Value> {
    let line = MEETINGS.iter().find_map(|name| event.component.first(name))?;
    canonical::to_value(Conferencing {
        uri: line.value().trim().to_owned(),
        label: line.param("LABEL").map(Cow::into_owned),
    })
}

pub(in crate::ical) fn set_conferencing(event: &mut Event, value: Option<&Value>) -> Result<(), Problem> {
    let Some(value) = value else {
        event.component.remove(|line| MEETINGS.contains(&line.name()));
        return Ok(());
    };
    let new: Conferencing = typed(value)?;
    if event.component.first(MEETINGS[0]).is_none() {
        let line = Line::new(MEETINGS[0], "")
            .with_param("VALUE", "URI")
            .with_param("FEATURE", "VIDEO");
        event.component.insert(line);
    }
    event.component.upsert(MEETINGS[0], |line| {
        line.set_value(new.uri.as_str());
        line.set_param("LABEL", new.label.as_deref());
    });
    Ok(())
}
