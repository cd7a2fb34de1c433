//! What the provider makes of what it is given.

use model::{Content, Fields, Kind, PartKey, series};
use serde_json::Value;

use super::quirks::Quirks;

/// Zones and others with the same rules today. What stands on the right stands nowhere on the left, so that rewriting
/// twice is rewriting once.
const SAME_RULES: &[(&str, &str)] = &[
    ("Europe/Berlin", "Europe/Paris"),
    ("Europe/Rome", "Europe/Paris"),
    ("Europe/Vienna", "Europe/Paris"),
    ("America/New_York", "America/Toronto"),
    ("Asia/Tokyo", "Asia/Seoul"),
];

/// Fields that are names for people.
const TITLES: [&str; 3] = ["title", "location", "display_name"];
/// Fields that hold rich text.
const NOTES: [&str; 2] = ["description", "notes"];

/// How far a rewriting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// At once.
    First,
    /// Some minutes later.
    Last,
}

/// What the provider keeps of a content.
pub(super) fn normalised(quirks: &Quirks, kind: Kind, content: &Content, pass: Pass) -> Content {
    let mut next = content.clone();
    if !quirks.rewrites() {
        return next;
    }
    rewrite(quirks, &mut next.fields, pass);
    for (key, sparse) in &mut next.overrides {
        if sparse.is_empty() || series::is_cancelled(sparse) {
            continue;
        }
        *sparse = thinned(quirks, kind, &content.fields, &next.fields, (key, sparse), pass);
    }
    next
}

/// An override's own values after the occurrence was rewritten as a whole: a title that was cut may be the series' now.
fn thinned(
    quirks: &Quirks,
    kind: Kind,
    before: &Fields,
    after: &Fields,
    (key, sparse): (&PartKey, &Fields),
    pass: Pass,
) -> Fields {
    let mut full = series::full(kind, before, key, sparse);
    rewrite(quirks, &mut full, pass);
    series::sparse(kind, after, key, &full)
}

fn rewrite(quirks: &Quirks, fields: &mut Fields, pass: Pass) {
    if let Some(dropped) = &quirks.drops {
        fields.remove(dropped);
    }
    fields.retain(|name, _| !quirks.lacks.contains(name));
    for name in TITLES {
        let Some(Value::String(text)) = fields.get_mut(name) else {
            continue;
        };
        cut(text, quirks.title_max);
        if pass == Pass::Last && quirks.rewrites_later_ms.is_some() {
            let first = text.chars().next().map_or(0, char::len_utf8);
            text[..first].make_ascii_uppercase();
        }
    }
    for name in NOTES {
        if let Some(Value::Object(notes)) = fields.get_mut(name) {
            if let Some(Value::String(html)) = notes.get_mut("html") {
                if quirks.html {
                    *html = as_the_vendor_writes(html);
                }
                cut(html, quirks.notes_max);
            }
            if let Some(Value::String(text)) = notes.get_mut("text") {
                cut(text, quirks.notes_max);
            }
        }
    }
    if quirks.zones {
        for name in ["start", "end"] {
            if let Some(Value::String(zone)) = fields.get_mut(name).and_then(|time| time.get_mut("zone"))
                && let Some((_, same)) = SAME_RULES.iter().find(|(from, _)| from == zone)
            {
                *zone = (*same).to_owned();
            }
        }
    }
}

fn cut(text: &mut String, max: Option<usize>) {
    if let Some(max) = max
        && let Some((at, _)) = text.char_indices().nth(max)
    {
        text.truncate(at);
    }
}

fn as_the_vendor_writes(html: &str) -> String {
    let mut text = html.to_owned();
    for (from, to) in [
        ("<b>", "<strong>"),
        ("</b>", "</strong>"),
        ("<i>", "<em>"),
        ("</i>", "</em>"),
    ] {
        text = text.replace(from, to);
    }
    if text.starts_with("<html>") {
        text
    } else {
        format!("<html><body>{text}</body></html>")
    }
}
