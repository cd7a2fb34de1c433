//! Cutting a series in two: what it says before an occurrence, and what it says from there on.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::expand::ExpandError;
use model::{Content, EventTime, FieldPath, Fields, PartKey, series};
use serde_json::{Value, json};

use super::occurrence;
use crate::edit::EditError;

#[cfg(test)]
mod tests;

/// Occurrences by which a rule is compared with itself as it is after the cut.
const COMPARED: usize = 100;

/// The series without the occurrence at `key` and all later ones.
pub(super) fn truncated(side: &Content, key: &PartKey) -> Result<Content, EditError> {
    occurrence(side, key)?;
    let mut next = side.clone();
    let (start, cut) = cut(side, key)?;
    let until = format!("UNTIL={}", last_moment(&start, &cut));
    edit_rules(&mut next, |rule| {
        if made_from(rule, &start, &cut, 1)?.is_empty() {
            // It is over already; a later end would take it up again.
            return Ok(Some(rule.to_owned()));
        }
        let kept = rule
            .split(';')
            .filter(|part| !part.starts_with("UNTIL=") && !part.starts_with("COUNT="));
        Ok(Some(kept.chain([until.as_str()]).collect::<Vec<_>>().join(";")))
    })?;
    edit_dates(&mut next, |date| date < key.as_str());
    next.overrides.retain(|own, _| own < key);
    stay_series(&mut next, &start);
    Ok(next)
}

/// The series from the occurrence at `key` on.
pub(super) fn tail(side: &Content, key: &PartKey) -> Result<Content, EditError> {
    occurrence(side, key)?;
    let (start, cut) = cut(side, key)?;
    // The new series begins as the master would have it there; an override at the seam stays an override.
    let mut fields = series::inherited(model::Kind::Event, &side.fields, key);
    if let Some(recurrence) = side.fields.get("recurrence") {
        fields.insert("recurrence".to_owned(), recurrence.clone());
    }
    let mut next = Content {
        fields,
        overrides: side.overrides.clone(),
    };
    let mut first = Vec::new();
    edit_rules(&mut next, |rule| {
        let before = made_from(rule, &start, &cut, COMPARED)?;
        let Some(earliest) = before.first() else {
            return Ok(None);
        };
        first.push(*earliest);
        let rule = counted_on(rule, &start, &cut)?;
        if made_from(&rule, &cut, &cut, COMPARED)? == before {
            Ok(Some(rule))
        } else {
            Err(beside_the_rule())
        }
    })?;
    if !first.is_empty() && !first.contains(&cut.wall()) {
        // A rule whose start is none of its occurrences is read differently by every calendar (RFC 5545, 3.8.5.3).
        return Err(beside_the_rule());
    }
    edit_dates(&mut next, |date| date >= key.as_str());
    next.overrides.retain(|own, _| own >= key);
    stay_series(&mut next, &cut);
    Ok(next)
}

/// A half of one occurrence stays a series while something is said of that occurrence alone: only a series has overrides.
fn stay_series(half: &mut Content, start: &EventTime) {
    if !model::expand::is_series(half) && !half.overrides.is_empty() {
        let only = json!({"rules": [], "dates": [start.part_key(start)]});
        half.set(&FieldPath::master("recurrence"), Some(only));
    }
}

/// The rule with a `COUNT` that leaves out what it made before the cut.
fn counted_on(rule: &str, start: &EventTime, cut: &EventTime) -> Result<String, EditError> {
    let parts = rule.split(';').map(
        |part| match part.strip_prefix("COUNT=").map(str::parse::<usize>) {
            Some(Ok(count)) => {
                let earlier = model::expand::count_before(rule, start, cut.wall())
                    .map_err(|error| unreadable(&error))?;
                Ok(format!("COUNT={}", count.saturating_sub(earlier).max(1)))
            }
            Some(Err(_)) | None => Ok(part.to_owned()),
        },
    );
    Ok(parts.collect::<Result<Vec<_>, EditError>>()?.join(";"))
}

/// The first occurrences that a rule makes from the cut on.
fn made_from(
    rule: &str,
    start: &EventTime,
    cut: &EventTime,
    most: usize,
) -> Result<Vec<DateTime>, EditError> {
    model::expand::made_from(rule, start, cut.wall(), most).map_err(|error| unreadable(&error))
}

fn unreadable(error: &ExpandError) -> EditError {
    EditError::Invalid(error.to_string())
}

fn beside_the_rule() -> EditError {
    EditError::Invalid(
        "the series cannot be split at this occurrence, and nothing was changed: it is no occurrence of the series' \
         rule, which would fall on other days from there on; split it at an occurrence of the rule before or after it"
            .to_owned(),
    )
}

fn cut(side: &Content, key: &PartKey) -> Result<(EventTime, EventTime), EditError> {
    let start = series::time_field(&side.fields, "start").ok_or(EditError::NotFound("occurrence"))?;
    let cut = EventTime::from_part_key(key, &start).ok_or(EditError::NotFound("occurrence"))?;
    Ok((start, cut))
}

/// `UNTIL` for a series that ends before the cut: the second, or the day, before it.
fn last_moment(start: &EventTime, cut: &EventTime) -> String {
    match start {
        EventTime::Date { .. } => {
            let day = cut
                .wall()
                .date()
                .yesterday()
                .unwrap_or_else(|_| cut.wall().date());
            day.strftime("%Y%m%d").to_string()
        }
        EventTime::Floating { .. } => cut
            .wall()
            .saturating_sub(SignedDuration::from_secs(1))
            .strftime("%Y%m%dT%H%M%S")
            .to_string(),
        EventTime::Zoned { .. } => {
            let instant = cut.instant(&TimeZone::UTC);
            let last = instant
                .saturating_sub(SignedDuration::from_secs(1))
                .unwrap_or(instant);
            last.strftime("%Y%m%dT%H%M%SZ").to_string()
        }
    }
}

/// Rewrites each rule; one of which nothing is left goes.
fn edit_rules(
    content: &mut Content,
    edit: impl FnMut(&str) -> Result<Option<String>, EditError>,
) -> Result<(), EditError> {
    let Some(rules) = content
        .fields
        .get_mut("recurrence")
        .and_then(|value| value.get_mut("rules"))
    else {
        return Ok(());
    };
    let edited = rules
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(edit)
        .filter_map(Result::transpose)
        .collect::<Result<Vec<String>, EditError>>()?;
    *rules = json!(edited);
    recanonicalise(content);
    Ok(())
}

fn edit_dates(content: &mut Content, keep: impl Fn(&str) -> bool) {
    let Some(dates) = content
        .fields
        .get_mut("recurrence")
        .and_then(|value| value.get_mut("dates"))
    else {
        return;
    };
    if let Some(dates) = dates.as_array_mut() {
        dates.retain(|date| date.as_str().is_some_and(&keep));
    }
    recanonicalise(content);
}

/// Brings the recurrence back into canonical form after its rules were edited.
fn recanonicalise(content: &mut Content) {
    let path = FieldPath::master("recurrence");
    if let Some(value) = content.get(&path).cloned() {
        let fields = Fields::from([(path.field.clone(), value)]);
        if let Ok(mut clean) = model::Kind::Event.schema().canonical(fields) {
            content.set(&path, clean.remove(&path.field));
        }
    }
}
