//! One content line of iCalendar: name, parameters, raw value (RFC 5545 section 3.1).

use std::borrow::Cow;
use std::ops::Range;

/// Longest physical line in octets, line end not counted (RFC 5545 section 3.1).
const FOLD_AT: usize = 75;

/// A content line. A line that nobody edits is written back as the bytes it was read from.
#[derive(Debug, Clone)]
pub struct Line {
    name: String,
    /// Everything before the colon as it was written, name included.
    head: String,
    value: String,
    /// Where the line stands in the document it was read from; `None` once it was edited.
    pub(super) origin: Option<Range<usize>>,
}

impl Line {
    /// A line without parameters. The value is in its raw, escaped form.
    #[must_use]
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            head: name.to_owned(),
            value: clean(value.into()),
            origin: None,
        }
    }

    /// Reads an unfolded line; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let colon = colon(text.as_bytes())?;
        let (head, value) = (&text[..colon], &text[colon + 1..]);
        let name = &head[..head.find(';').unwrap_or(head.len())];
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(plain) {
            return None;
        }
        Some(Self {
            name: name.to_ascii_uppercase(),
            head: head.to_owned(),
            value: value.to_owned(),
            origin: None,
        })
    }

    /// The line as one string, not folded.
    #[must_use]
    pub fn text(&self) -> String {
        [self.head.as_str(), ":", self.value.as_str()].concat()
    }

    /// The property's name in upper case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The raw value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Sets the raw value. Parameters stay as they were written.
    pub fn set_value(&mut self, value: impl Into<String>) {
        let value = clean(value.into());
        if value != self.value {
            self.value = value;
            self.origin = None;
        }
    }

    /// The first value of a parameter, decoded.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        let raw = self
            .segments()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)?;
        let first = split_outside_quotes(raw, b',').next().unwrap_or_default();
        Some(decode_param(first))
    }

    /// Whether a parameter has this value, in any case.
    #[must_use]
    pub fn param_is(&self, name: &str, value: &str) -> bool {
        self.param(name)
            .is_some_and(|found| found.eq_ignore_ascii_case(value))
    }

    /// Sets or, with `None`, removes a parameter. The others stay as they were written.
    pub fn set_param(&mut self, name: &str, value: Option<&str>) {
        if self.param(name).as_deref() == value {
            return;
        }
        let mut head = self.head[..self.head.find(';').unwrap_or(self.head.len())].to_owned();
        let mut written = false;
        for (key, raw) in self.segments() {
            if key.eq_ignore_ascii_case(name) {
                if let (Some(value), false) = (value, written) {
                    push_param(&mut head, key, &encode_param(value));
                    written = true;
                }
            } else {
                push_param(&mut head, key, raw);
            }
        }
        if let (Some(value), false) = (value, written) {
            push_param(&mut head, name, &encode_param(value));
        }
        self.head = head;
        self.origin = None;
    }

    /// The same line with a parameter.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: &str) -> Self {
        self.set_param(name, Some(value));
        self
    }

    /// Parameter names with their raw values.
    fn segments(&self) -> impl Iterator<Item = (&str, &str)> {
        split_outside_quotes(&self.head, b';')
            .skip(1)
            .map(|segment| segment.split_once('=').unwrap_or((segment, "")))
    }

    /// Appends the line, folded.
    pub(super) fn fold_into(&self, out: &mut Vec<u8>, line_end: &str) {
        let text = self.text();
        let mut rest = text.as_str();
        let mut room = FOLD_AT;
        while rest.len() > room {
            let mut cut = room;
            while !rest.is_char_boundary(cut) {
                cut -= 1;
            }
            out.extend_from_slice(&rest.as_bytes()[..cut]);
            out.extend_from_slice(line_end.as_bytes());
            out.push(b' ');
            rest = &rest[cut..];
            room = FOLD_AT - 1;
        }
        out.extend_from_slice(rest.as_bytes());
        out.extend_from_slice(line_end.as_bytes());
    }
}

/// A value without the characters that would end its line or the object (RFC 5545 section 3.1, CONTROL).
fn clean(mut value: String) -> String {
    if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        value.retain(|c| !c.is_ascii_control() || c == '\t');
    }
    value
}

/// Where the value begins: the first colon outside of quotes.
fn colon(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    bytes.iter().position(|b| {
        quoted ^= *b == b'"';
        *b == b':' && !quoted
    })
}

/// Pieces between separators that stand outside of quotes.
fn split_outside_quotes(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == char::from(separator) && !quoted
    })
}

fn push_param(head: &mut String, name: &str, raw: &str) {
    head.push(';');
    head.push_str(name);
    head.push('=');
    head.push_str(raw);
}

/// Unquotes, and undoes `^n`, `^'` and `^^` (RFC 6868).
fn decode_param(raw: &str) -> Cow<'_, str> {
    let raw = raw.trim_matches('"');
    if !raw.contains('^') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let decoded = match (c, chars.peek()) {
            ('^', Some('n')) => '\n',
            ('^', Some('\'')) => '"',
            ('^', Some('^')) => '^',
            (c, _) => {
                text.push(c);
                continue;
            }
        };
        chars.next();
        text.push(decoded);
    }
    Cow::Owned(text)
}

/// Quotes where a separator asks for it, and writes `^n`, `^'` and `^^` (RFC 6868).
fn encode_param(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        match c {
            '^' => text.push_str("^^"),
            '"' => text.push_str("^'"),
            '\n' => text.push_str("^n"),
            c if c.is_ascii_control() && c != '\t' => {}
            c => text.push(c),
        }
    }
    if text.contains([':', ';', ',']) {
        format!("\"{text}\"")
    } else {
        text
    }
}

/// Undoes the escapes of a TEXT value (RFC 5545 section 3.3.11).
#[must_use]
pub fn unescape(raw: &str) -> String {
    if !raw.contains('\\') {
        return raw.to_owned();
    }
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('n' | 'N') => text.push('\n'),
            Some(escaped @ ('\\' | ',' | ';')) => text.push(escaped),
            // Not an escape of the standard: kept as it stands.
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

/// Escapes a TEXT value (RFC 5545 section 3.3.11).
#[must_use]
pub fn escape(text: &str) -> String {
    let mut raw = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => raw.push_str("\\\\"),
            ',' => raw.push_str("\\,"),
            ';' => raw.push_str("\\;"),
            '\n' => raw.push_str("\\n"),
            c => raw.push(c),
        }
    }
    raw
}

/// The pieces of a list of TEXT values, still escaped.
pub fn list(raw: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    raw.split(move |c: char| {
        let separates = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        separates
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_inside_quotes_does_not_end_the_parameters() {
        let line =
            Line::parse("ATTENDEE;CN=\"Doe: Jane; Dr, X\";ROLE=CHAIR:mailto:jane@example.org").unwrap();
        assert_eq!(line.value(), "mailto:jane@example.org");
        assert_eq!(line.param("cn").unwrap(), "Doe: Jane; Dr, X");
        assert_eq!(line.param("ROLE").unwrap(), "CHAIR");
    }

    #[test]
    fn setting_one_parameter_leaves_the_others_as_they_were_written() {
        let mut line = Line::parse("attendee;cn=A^nB;X-Odd=\"q\";ROLE=CHAIR:mailto:a@b").unwrap();
        assert_eq!(line.param("CN").unwrap(), "A\nB");
        line.set_param("CN", Some("He said \"x\", and ^"));
        let mut out = Vec::new();
        line.fold_into(&mut out, "\r\n");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "attendee;cn=\"He said ^'x^', and ^^\";X-Odd=\"q\";ROLE=CHAIR:mailto:a@b\r\n"
        );
        assert_eq!(line.param("CN").unwrap(), "He said \"x\", and ^");
    }

    #[test]
    fn lines_fold_at_75_octets_and_never_inside_a_character() {
        let line = Line::new("SUMMARY", "ü€𝄞".repeat(60));
        let mut out = Vec::new();
        line.fold_into(&mut out, "\r\n");
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().count() > 5);
        assert!(text.lines().all(|physical| physical.len() <= 75), "{text}");
        assert_eq!(
            text.replace("\r\n ", ""),
            format!("SUMMARY:{}\r\n", "ü€𝄞".repeat(60))
        );
    }

    #[test]
    fn text_escapes_round_trip_and_a_value_cannot_end_its_line() {
        let text = "a, b; c\\n\nd\\";
        assert_eq!(unescape(&escape(text)), text);
        assert_eq!(list("a\\,b,c\\\\,d").collect::<Vec<_>>(), ["a\\,b", "c\\\\", "d"]);
        assert_eq!(Line::new("X", "a\r\nBEGIN:VEVENT").value(), "aBEGIN:VEVENT");
    }
}
