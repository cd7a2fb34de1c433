//! What brings a deleted record back: somebody's edit, and not what a provider makes of what it was sent.

use std::sync::Arc;

use conflict::Side;
use jiff::tz::TimeZone;
use model::{Content, EventTime, FieldPath, series};
use serde_json::{Value, json};

use super::{Work, whole_record};
use crate::engine::Desk;

impl Work {
    /// Whether what was taken from the provider is a reason for a deleted record to live. An occurrence that is gone is
    /// none, and neither is the same said in other words: where the answer to a write was lost, this is the first time
    /// that the hub sees how the provider puts it.
    pub(super) fn brings_back(&self, path: &FieldPath, now: &Content) -> bool {
        let gone = !path.part.is_master() && now.overrides.get(&path.part).is_none_or(series::is_cancelled);
        let before = self
            .record
            .content
            .get(path)
            .or_else(|| self.link.local.get(path));
        self.is_edit(path) && !gone && !means_the_same(before, now.get(path))
    }

    /// The record lives again because someone edited it.
    pub(crate) fn revive(&mut self, desk: &Desk, now_ms: i64, winner: Side) {
        let record = Arc::make_mut(&mut self.record);
        record.deleted = false;
        record.updated_at = now_ms;
        self.died = false;
        self.born = true;
        self.link.removing = false;
        self.link_changed = true;
        self.log(desk, now_ms, whole_record(winner));
    }
}

/// Whether two values say the same in other words: the moment in another zone of the same wall time, a text in other
/// markup or cut short, a set in another order or case.
pub(crate) fn means_the_same(before: Option<&Value>, now: Option<&Value>) -> bool {
    let (Some(before), Some(now)) = (before, now) else {
        return before == now;
    };
    match (gist(before), gist(now)) {
        (Value::String(before), Value::String(now)) => !now.is_empty() && before.starts_with(&now),
        (before, now) => before == now,
    }
}

/// What a value says, the same for all who say it in their own words: a moment without its zone's name, a text without
/// its markup, a set in one order and case.
pub(crate) fn gist(value: &Value) -> Value {
    let words = |text: &str| json!(text.split_whitespace().collect::<Vec<_>>().join(" "));
    match value {
        Value::String(text) => words(text),
        Value::Array(set) => {
            let mut set: Vec<String> = set.iter().map(|value| value.to_string().to_lowercase()).collect();
            set.sort();
            json!(set)
        }
        Value::Object(object) => match object.get("text") {
            Some(Value::String(text)) => words(text),
            _ => serde_json::from_value::<EventTime>(value.clone()).map_or_else(
                |_| value.clone(),
                |time| json!([time.wall(), time.instant(&TimeZone::UTC)]),
            ),
        },
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(before: &Value, now: &Value) -> bool {
        means_the_same(Some(before), Some(now))
    }

    #[test]
    fn what_a_provider_makes_of_a_value_means_the_same() {
        let at = |wall: &str, zone: &str| json!({"kind": "zoned", "wall": wall, "zone": zone});
        let noon = "2026-02-05T12:00:00";
        assert!(same(&at(noon, "Europe/Berlin"), &at(noon, "Europe/Vienna")));
        assert!(same(
            &json!({"text": "a b", "html": "<b>a b</b>"}),
            &json!({"text": "a  b", "html": "<strong>a b</strong>"})
        ));
        assert!(same(&json!("a long title"), &json!("a long t")));
        assert!(same(&json!(["x", "Y"]), &json!(["y", "x"])));
    }

    #[test]
    fn what_somebody_wrote_means_something_else() {
        let at = |wall: &str, zone: &str| json!({"kind": "zoned", "wall": wall, "zone": zone});
        let noon = "2026-02-05T12:00:00";
        assert!(!same(&at(noon, "Europe/Berlin"), &at(noon, "Asia/Tokyo")));
        assert!(!same(
            &at(noon, "Europe/Berlin"),
            &at("2026-02-05T13:00:00", "Europe/Berlin")
        ));
        assert!(!same(&json!({"text": "a"}), &json!({"text": "a b"})));
        assert!(!same(&json!("title"), &json!("")));
        assert!(!same(&json!(["x"]), &json!(["x", "y"])));
        assert!(!means_the_same(Some(&json!("here")), None));
    }
}
