//! Tokens: every value that somebody writes in a schedule carries one, so that it can be followed wherever it goes.
//!
//! Texts carry `t12z`, entities `e7z`, and times carry their token as minutes and seconds of the wall time: nobody
//! begins a meeting at 09:12:34 by chance.

use std::collections::BTreeSet;

use model::Content;
use serde_json::Value;

/// One value that somebody wrote.
pub type Token = u32;

/// Tokens of times lie above this.
const TIMES: Token = 1_000_000;
/// Distinct minutes and seconds, 00:00 apart.
const SECONDS: Token = 3_599;

/// The text that carries a token.
#[must_use]
pub fn text(token: Token) -> String {
    format!("t{token}z")
}

/// The text that carries an entity.
#[must_use]
pub fn entity_text(entity: u32) -> String {
    format!("e{entity}z")
}

/// The token of the `n`th time that is set, with its minute and second.
#[must_use]
pub const fn time(n: u32) -> (Token, i8, i8) {
    let second = 1 + n % SECONDS;
    (TIMES + second, (second / 60) as i8, (second % 60) as i8)
}

/// All tokens of a content.
#[must_use]
pub fn of_content(content: &Content) -> BTreeSet<Token> {
    let mut found = BTreeSet::new();
    let parts = std::iter::once(&content.fields).chain(content.overrides.values());
    for value in parts.flat_map(|fields| fields.values()) {
        collect(value, &mut found);
    }
    found
}

/// All tokens of a value.
pub fn collect(value: &Value, found: &mut BTreeSet<Token>) {
    match value {
        Value::String(text) => {
            found.extend(numbers(text, b't'));
            found.extend(wall_token(text));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Where people's programs make UIDs.
pub(crate) const PEOPLE: &str = "@people.example";

/// The entity that a content is, as its name says; where somebody has cleared that, its UID.
#[must_use]
pub fn entity(content: &Content) -> Option<u32> {
    let text = |field: &str| content.fields.get(field)?.as_str();
    let names = ["title", "display_name"].into_iter().filter_map(text);
    let named = names.into_iter().find_map(|name| numbers(name, b'e').next());
    named.or_else(|| numbers(text("uid")?.strip_suffix(PEOPLE)?, b'e').next())
}

/// The numbers that stand between `mark` and `z`. Some providers write titles with a capital.
fn numbers(text: &str, mark: u8) -> impl Iterator<Item = Token> + '_ {
    let bytes = text.as_bytes();
    (0..bytes.len())
        .filter(move |at| bytes[*at].eq_ignore_ascii_case(&mark))
        .filter_map(move |at| {
            let digits = bytes[at + 1..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let ends = digits > 0 && bytes.get(at + 1 + digits) == Some(&b'z');
            ends.then(|| text[at + 1..at + 1 + digits].parse().ok()).flatten()
        })
}

/// The token of a wall time such as `2026-01-05T09:12:34`.
fn wall_token(text: &str) -> Option<Token> {
    let bytes = text.as_bytes();
    if bytes.len() != 19 || bytes[10] != b'T' || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let minute: Token = text[14..16].parse().ok()?;
    let second: Token = text[17..19].parse().ok()?;
    (minute + second > 0).then_some(TIMES + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_are_found_wherever_they_stand() {
        let mut found = BTreeSet::new();
        let (token, minute, second) = time(753);
        let wall = format!("2026-01-05T09:{minute:02}:{second:02}");
        let value = json!({"title": "e4z t12z", "people": [{"address": "t7z@example.org"}], "at": {"wall": wall}, "t": "tz t5"});
        collect(&value, &mut found);
        assert_eq!(found, BTreeSet::from([7, 12, token]));
    }

    #[test]
    fn a_whole_hour_is_nobodys_token() {
        let mut found = BTreeSet::new();
        collect(&json!("2026-01-05T09:00:00"), &mut found);
        assert!(found.is_empty());
    }
}
