//! Flags and keywords (RFC 9051 section 2.3.2) to `flags` and `labels`, and back, by one table.

use std::collections::BTreeSet;

use model::Fields;
use model::message::MessageFlag;
use serde_json::Value;

/// Each flag of the model with the word for it in a mailbox. `$Forwarded`: RFC 5788 and its registry.
const FLAGS: &[(MessageFlag, &str)] = &[
    (MessageFlag::Answered, "\\Answered"),
    (MessageFlag::Deleted, "\\Deleted"),
    (MessageFlag::Draft, "\\Draft"),
    (MessageFlag::Flagged, "\\Flagged"),
    (MessageFlag::Forwarded, "$Forwarded"),
    (MessageFlag::Seen, "\\Seen"),
];

/// What a reader notes of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// By marks that mailboxes agree upon.
    pub flags: BTreeSet<MessageFlag>,
    /// In words.
    pub labels: BTreeSet<String>,
}

impl Noted {
    /// What a mailbox says. System flags that the model does not know (`\Recent`) are left out.
    #[must_use]
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut noted = Self::default();
        for word in words {
            match FLAGS.iter().find(|(_, known)| known.eq_ignore_ascii_case(word)) {
                Some((flag, _)) => {
                    noted.flags.insert(*flag);
                }
                None if word.starts_with('\\') => {}
                None => {
                    noted.labels.insert(word.to_owned());
                }
            }
        }
        noted
    }

    /// What a record says; values of another shape say nothing.
    #[must_use]
    pub fn of_fields(fields: &Fields) -> Self {
        fn said<T: serde::de::DeserializeOwned>(value: Option<&Value>) -> Vec<T> {
            let elements = value.and_then(Value::as_array).into_iter().flatten();
            elements
                .filter_map(|element| serde_json::from_value(element.clone()).ok())
                .collect()
        }
        Self {
            flags: said(fields.get("flags")).into_iter().collect(),
            labels: said(fields.get("labels")).into_iter().collect(),
        }
    }

    /// The words for it. A label that cannot be a keyword has none; of labels that differ in case only, the first has.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for (flag, word) in FLAGS {
            if self.flags.contains(flag) {
                words.push((*word).to_owned());
            }
        }
        for label in self.labels.iter().filter(|label| is_keyword(label)) {
            if !words.iter().any(|known| known.eq_ignore_ascii_case(label)) {
                words.push(label.clone());
            }
        }
        words
    }

    /// What would be read back.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let words = self.words();
        Self::of_words(words.iter().map(String::as_str))
    }

    /// Puts both fields in; absent where there is nothing to say.
    pub fn put(&self, fields: &mut Fields) {
        for (name, value) in [("flags", self.flag_value()), ("labels", self.label_value())] {
            match value {
                Some(value) => {
                    fields.insert(name.to_owned(), value);
                }
                None => {
                    fields.remove(name);
                }
            }
        }
    }

    /// Both fields alone, `null` where there is nothing to say: what changed, of a message that is known.
    #[must_use]
    pub fn sparse(&self) -> Fields {
        Fields::from([
            ("flags".to_owned(), self.flag_value().unwrap_or_default()),
            ("labels".to_owned(), self.label_value().unwrap_or_default()),
        ])
    }

    fn flag_value(&self) -> Option<Value> {
        let values: Vec<Value> = self
            .flags
            .iter()
            .filter_map(|flag| serde_json::to_value(flag).ok())
            .collect();
        (!values.is_empty()).then_some(Value::Array(values))
    }

    fn label_value(&self) -> Option<Value> {
        let values: Vec<Value> = self
            .labels
            .iter()
            .map(|label| Value::from(label.as_str()))
            .collect();
        (!values.is_empty()).then_some(Value::Array(values))
    }
}

/// Whether a word can be a keyword: an atom (RFC 9051 section 9). `]` is left out, since some servers' parsers stumble
/// over it.
#[must_use]
pub fn is_keyword(word: &str) -> bool {
    (1..=255).contains(&word.len())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_fields_say_the_same() {
        let noted = Noted::of_words(["\\seen", "$forwarded", "work", "\\Recent", "\\Flagged"]);
        assert_eq!(noted.words(), ["\\Flagged", "$Forwarded", "\\Seen", "work"]);
        let mut fields = Fields::new();
        noted.put(&mut fields);
        assert_eq!(
            fields["flags"],
            serde_json::json!(["flagged", "forwarded", "seen"])
        );
        assert_eq!(Noted::of_fields(&fields), noted);
        Noted::default().put(&mut fields);
        assert!(fields.is_empty());
        assert_eq!(Noted::default().sparse()["flags"], Value::Null);
    }

    #[test]
    fn what_no_mailbox_can_hold_is_not_sent() {
        let labels = [
            "to do",
            "naïve",
            "a)b",
            "x\r\ny",
            "Work",
            "work",
            "$Forwarded",
            "",
        ];
        let noted = Noted {
            flags: BTreeSet::new(),
            labels: labels.map(str::to_owned).into(),
        };
        assert_eq!(noted.words(), ["$Forwarded", "Work"]);
        let read_back = noted.canonical();
        assert_eq!(read_back.flags, [MessageFlag::Forwarded].into());
        assert_eq!(read_back.labels, ["Work".to_owned()].into());
        assert_eq!(read_back.canonical(), read_back);
    }
}
