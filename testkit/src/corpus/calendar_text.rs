//! Writing iCalendar text: escaping, folding, CRLF (RFC 5545, sections 3.1 and 3.3.11).

const MAX_LINE_OCTETS: usize = 75;

/// iCalendar text under construction.
pub(super) struct CalendarText {
    text: String,
    fold_with: char,
}

impl CalendarText {
    /// `fold_with` is the white space that a continued line starts with: a blank or a tab, both are allowed.
    pub(super) fn new(fold_with: char) -> Self {
        Self {
            text: String::new(),
            fold_with,
        }
    }

    /// A component around what `content` writes.
    pub(super) fn component(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.line(&format!("BEGIN:{name}"));
        content(self);
        self.line(&format!("END:{name}"));
    }

    /// One content line, folded by octets wherever it happens to be, but never within a character: folded text shall
    /// still be UTF-8, since servers decode before they unfold.
    pub(super) fn line(&mut self, line: &str) {
        let mut room = MAX_LINE_OCTETS;
        for character in line.chars() {
            if character.len_utf8() > room {
                self.text.push_str("\r\n");
                self.text.push(self.fold_with);
                room = MAX_LINE_OCTETS - 1;
            }
            self.text.push(character);
            room -= character.len_utf8();
        }
        self.text.push_str("\r\n");
    }

    /// A property whose value is text, escaped.
    pub(super) fn text(&mut self, name_and_params: &str, value: &str) {
        self.line(&format!("{name_and_params}:{}", escape(value)));
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace(';', "\\;")
        .replace(',', "\\,")
        .replace('\n', "\\n")
}
