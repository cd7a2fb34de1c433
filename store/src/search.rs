//! What `?q=` looks at: the text that people wrote, in lower case, with the same meaning on every engine.

use model::schema::MergeClass;
use model::{Content, Fields, Kind};
use serde_json::Value;

/// Bytes of text kept for the search, per record. Longer texts are found by their beginning.
const MAX_BYTES: usize = 8_192;

/// The searchable text of a record: its text fields, the names and keys of its sets, overrides included.
pub(crate) fn text(kind: Kind, content: &Content) -> String {
    let mut found = String::new();
    for fields in std::iter::once(&content.fields).chain(content.overrides.values()) {
        collect(kind, fields, &mut found);
    }
    found
}

fn collect(kind: Kind, fields: &Fields, found: &mut String) {
    // In the schema's order: of a long record its beginning is kept, and its name stands there.
    for spec in kind.schema().fields {
        let Some(value) = fields.get(spec.name) else {
            continue;
        };
        match spec.merge {
            MergeClass::Text => match value {
                // A description: its plain text; the markup says the same.
                Value::Object(members) => add(members.get("text"), found),
                Value::String(_) => add(Some(value), found),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
            },
            MergeClass::KeyedSet { key } => {
                for element in value.as_array().into_iter().flatten() {
                    add(element.get("name"), found);
                    add(element.get(key), found);
                }
            }
            MergeClass::Set => {
                for element in value.as_array().into_iter().flatten() {
                    add(Some(element), found);
                }
            }
            // People of a message.
            MergeClass::OrderedList => {
                for element in value.as_array().into_iter().flatten() {
                    add(element.get("name"), found);
                    add(element.get("address"), found);
                }
            }
            MergeClass::Scalar | MergeClass::Instant | MergeClass::Map | MergeClass::Reference => {}
        }
    }
}

fn add(value: Option<&Value>, found: &mut String) {
    let Some(text) = value.and_then(Value::as_str) else {
        return;
    };
    let room = MAX_BYTES.saturating_sub(found.len());
    if room == 0 || text.is_empty() {
        return;
    }
    // Cut before lowering: a description may be long.
    let lower = text[..text.floor_char_boundary(room)].to_lowercase();
    // PostgreSQL refuses NUL in text.
    found.extend(lower.chars().map(|c| if c == '\0' { ' ' } else { c }));
    found.push('\n');
}

/// The pattern that finds a text anywhere, for `LIKE ... ESCAPE '\'`.
pub(crate) fn pattern(q: &str) -> String {
    let mut pattern = String::from("%");
    for c in q.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn people_find_what_they_wrote_and_not_what_machines_did() {
        let fields = serde_json::from_value(json!({
            "title": "Über München",
            "description": {"text": "Plain Words", "html": "<b>Markup</b>"},
            "attendees": [{"address": "zoe@example.org", "name": "Zoë", "role": "required"}],
            "categories": ["Travel"],
            "uid": "machine-made",
        }))
        .unwrap();
        let found = text(Kind::Event, &Content::new(fields));
        for wanted in ["über münchen", "plain words", "zoë", "zoe@example.org", "travel"] {
            assert!(found.contains(wanted), "{wanted} in {found}");
        }
        for unwanted in ["markup", "machine-made", "required"] {
            assert!(!found.contains(unwanted), "{unwanted} in {found}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let fields = serde_json::from_value(json!({"title": "ü".repeat(20_000)})).unwrap();
        assert!(text(Kind::Event, &Content::new(fields)).len() <= MAX_BYTES + 1);
    }

    #[test]
    fn what_like_takes_for_a_wildcard_is_taken_literally() {
        assert_eq!(pattern("100%_A\\"), "%100\\%\\_a\\\\%");
    }
}
