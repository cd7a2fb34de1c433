//! `CATEGORIES` (RFC 5545 section 3.8.1.2): one line or several, each a list.

use model::canonical;
use serde_json::Value;

use crate::engine::{Problem, typed};
use crate::ical::event::Event;
use crate::ical::line::{Line, escape, list, unescape};
use crate::ical::tree::Item;

fn label(raw: &str) -> String {
    unescape(raw).trim().to_owned()
}

pub(in crate::ical) fn labels(event: &Event, path: &str) -> Option<Value> {
    let all = event
        .component
        .all(path)
        .flat_map(|line| list(line.value()).map(label));
    canonical::to_value(all.collect::<Vec<String>>())
}

pub(in crate::ical) fn set_labels(
    event: &mut Event,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let mut missing: Vec<String> = value.map(typed).transpose()?.unwrap_or_default();
    let wanted = missing.clone();
    event.component.items.retain_mut(|item| {
        let Item::Line(line) = item else { return true };
        if line.name() != path {
            return true;
        }
        let kept: Vec<&str> = list(line.value())
            .filter(|raw| wanted.contains(&label(raw)))
            .collect();
        missing.retain(|label_wanted| !kept.iter().any(|raw| label(raw) == *label_wanted));
        let kept = kept.join(",");
        let keep = !kept.is_empty();
        line.set_value(kept);
        keep
    });
    if missing.is_empty() {
        return Ok(());
    }
    let new = missing
        .iter()
        .map(|label| escape(label))
        .collect::<Vec<_>>()
        .join(",");
    event.component.upsert(path, |line: &mut Line| {
        let joined = if line.value().is_empty() {
            new
        } else {
            format!("{},{new}", line.value())
        };
        line.set_value(joined);
    });
    Ok(())
}
