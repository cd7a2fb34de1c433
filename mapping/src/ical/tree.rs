//! iCalendar as a lossless tree: components and content lines, so that what is not mapped survives byte for byte.
//!
//! Why our own reader and writer: `docs/adr/0003-how-mappings-are-written.md`.

use std::ops::Range;

use super::line::Line;
use crate::error::{Problem, Reason, quoted};

/// Largest object that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// Longest content line that is read, in bytes.
pub const MAX_LINE_BYTES: usize = 8 << 20;
/// Deepest nesting of components that is read.
pub const MAX_DEPTH: usize = 16;

/// A whole object with the bytes it was read from.
#[derive(Debug, Clone, Default)]
pub struct Document {
    source: Vec<u8>,
    /// What stands at the top: normally one `VCALENDAR`.
    pub items: Vec<Item>,
}

/// One thing in a component.
#[derive(Debug, Clone)]
pub enum Item {
    /// A property.
    Line(Line),
    /// A component inside.
    Component(Component),
    /// Bytes that say nothing: an empty line, or the place of something taken out.
    Gap(Range<usize>),
}

/// `BEGIN:NAME` to `END:NAME`.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// The name in upper case.
    pub name: String,
    /// Properties and components in their order.
    pub items: Vec<Item>,
    begin: Option<Range<usize>>,
    end: Option<Range<usize>>,
}

impl Document {
    /// A new document around one component.
    #[must_use]
    pub fn new(component: Component) -> Self {
        Self {
            source: Vec::new(),
            items: vec![Item::Component(component)],
        }
    }

    /// Reads an object. Linear in its size; nothing recurses.
    ///
    /// # Errors
    /// Bytes that are no iCalendar (with the line's number), or too many of them.
    pub fn parse(source: &[u8]) -> Result<Self, Problem> {
        if source.len() > MAX_BYTES {
            let problem = format!("{} bytes, and at most {MAX_BYTES} are read", source.len());
            return Err(Problem::new(Reason::TooLarge, problem));
        }
        if source.contains(&0) {
            return Err(malformed(1, "it holds a NUL byte"));
        }
        let mut reader = Reader {
            source,
            at: 0,
            number: 0,
        };
        if source.starts_with(b"\xEF\xBB\xBF") {
            reader.at = 3;
        }
        let mut top = vec![Item::Gap(0..reader.at)];
        let mut open: Vec<Component> = Vec::new();
        while let Some((range, text)) = reader.next()? {
            let number = reader.number;
            let item = if text.trim().is_empty() {
                Item::Gap(range)
            } else {
                let line = Line::parse(&text).ok_or_else(|| {
                    malformed(number, &format!("{} is no `NAME:value` line", quoted(&text)))
                })?;
                match structure(line, range, &mut open, number)? {
                    Some(item) => item,
                    None => continue,
                }
            };
            match open.last_mut() {
                Some(parent) => parent.items.push(item),
                None if matches!(item, Item::Line(_)) => {
                    return Err(malformed(number, "a property outside of any component"));
                }
                None => top.push(item),
            }
        }
        if let Some(component) = open.last() {
            return Err(malformed(
                reader.number,
                &format!("{} is not ended: cut off", quoted(&component.name)),
            ));
        }
        Ok(Self {
            source: source.to_vec(),
            items: top,
        })
    }

    /// The object's bytes. Lines that nobody edited are the bytes they were read from.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let plain_ends = !self.source.is_empty() && !self.source.windows(2).any(|pair| pair == b"\r\n");
        let mut writer = Writer {
            source: &self.source,
            line_end: if plain_ends { "\n" } else { "\r\n" },
            out: Vec::with_capacity(self.source.len() + 512),
        };
        for item in &self.items {
            writer.item(item);
        }
        writer.out
    }

    /// The position of the component with this name at the top.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.items
            .iter()
            .position(|item| matches!(item, Item::Component(found) if found.name == name))
    }
}

/// Opens or closes components; gives back what is to be put into the open one.
fn structure(
    mut line: Line,
    range: Range<usize>,
    open: &mut Vec<Component>,
    number: usize,
) -> Result<Option<Item>, Problem> {
    match line.name() {
        "BEGIN" => {
            if open.len() >= MAX_DEPTH {
                let problem = format!("line {number}: components nested deeper than {MAX_DEPTH}");
                return Err(Problem::new(Reason::TooLarge, problem));
            }
            open.push(Component {
                name: line.value().trim().to_ascii_uppercase(),
                begin: Some(range),
                ..Component::default()
            });
            Ok(None)
        }
        "END" => {
            let name = line.value().trim().to_ascii_uppercase();
            match open.pop() {
                Some(mut component) if component.name == name => {
                    component.end = Some(range);
                    Ok(Some(Item::Component(component)))
                }
                _ => Err(malformed(
                    number,
                    &format!("{} is ended but was not begun there", quoted(&name)),
                )),
            }
        }
        _ => {
            line.origin = Some(range);
            Ok(Some(Item::Line(line)))
        }
    }
}

fn malformed(line: usize, problem: &str) -> Problem {
    Problem::new(
        Reason::Malformed,
        format!("this is not iCalendar (line {line}): {problem}"),
    )
}

/// Unfolds physical lines into content lines.
struct Reader<'s> {
    source: &'s [u8],
    at: usize,
    number: usize,
}

impl Reader<'_> {
    /// The next content line with the range of bytes it stands in, line end included.
    fn next(&mut self) -> Result<Option<(Range<usize>, String)>, Problem> {
        let start = self.at;
        if start >= self.source.len() {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        let mut bytes = self.physical().to_vec();
        while matches!(self.source.get(self.at), Some(b' ' | b'\t')) {
            self.number += 1;
            let more = self.physical();
            bytes.extend_from_slice(more.get(1..).unwrap_or_default());
        }
        if bytes.len() > MAX_LINE_BYTES {
            let problem = format!("line {number} is longer than {MAX_LINE_BYTES} bytes");
            return Err(Problem::new(Reason::TooLarge, problem));
        }
        // After unfolding: writers that count octets may fold inside of a character.
        let text = String::from_utf8(bytes).map_err(|_| malformed(number, "it is not UTF-8"))?;
        Ok(Some((start..self.at, text)))
    }

    /// The next physical line without its end.
    fn physical(&mut self) -> &[u8] {
        let rest = &self.source[self.at..];
        let length = rest.iter().position(|b| *b == b'\n');
        let line = &rest[..length.unwrap_or(rest.len())];
        self.at += length.map_or(rest.len(), |length| length + 1);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

struct Writer<'s> {
    source: &'s [u8],
    line_end: &'s str,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn item(&mut self, item: &Item) {
        match item {
            Item::Gap(range) => self.out.extend_from_slice(&self.source[range.clone()]),
            Item::Line(line) => match &line.origin {
                Some(range) => self.original(range),
                None => line.fold_into(&mut self.out, self.line_end),
            },
            Item::Component(component) => {
                self.edge("BEGIN", component, component.begin.as_ref());
                for item in &component.items {
                    self.item(item);
                }
                self.edge("END", component, component.end.as_ref());
            }
        }
    }

    fn edge(&mut self, word: &str, component: &Component, origin: Option<&Range<usize>>) {
        match origin {
            Some(range) => self.original(range),
            None => Line::new(word, component.name.as_str()).fold_into(&mut self.out, self.line_end),
        }
    }

    fn original(&mut self, range: &Range<usize>) {
        // The last line of an object may lack its end; it may only stay so while it is the last.
        if !self.out.is_empty() && !self.out.ends_with(b"\n") && !self.out.ends_with(b"\xEF\xBB\xBF") {
            self.out.extend_from_slice(self.line_end.as_bytes());
        }
        self.out.extend_from_slice(&self.source[range.clone()]);
    }
}

impl Component {
    /// An empty component.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// The same component with one more property.
    #[must_use]
    pub fn with(mut self, line: Line) -> Self {
        self.items.push(Item::Line(line));
        self
    }

    /// Its properties.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.items.iter().filter_map(|item| match item {
            Item::Line(line) => Some(line),
            Item::Component(_) | Item::Gap(_) => None,
        })
    }

    /// Its properties, to be edited.
    pub fn lines_mut(&mut self) -> impl Iterator<Item = &mut Line> {
        self.items.iter_mut().filter_map(|item| match item {
            Item::Line(line) => Some(line),
            Item::Component(_) | Item::Gap(_) => None,
        })
    }

    /// The properties with this name.
    pub fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c Line> {
        self.lines().filter(move |line| line.name() == name)
    }

    /// The first property with this name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Line> {
        self.lines().find(|line| line.name() == name)
    }

    /// The first property with this name, to be edited.
    pub fn first_mut(&mut self, name: &str) -> Option<&mut Line> {
        self.lines_mut().find(|line| line.name() == name)
    }

    /// Edits the first property with this name; if there is none, a new one without value is edited and added.
    pub fn upsert(&mut self, name: &str, edit: impl FnOnce(&mut Line)) {
        if let Some(line) = self.first_mut(name) {
            edit(line);
        } else {
            let mut line = Line::new(name, "");
            edit(&mut line);
            self.insert(line);
        }
    }

    /// The components inside.
    pub fn components(&self) -> impl Iterator<Item = &Self> {
        self.items.iter().filter_map(|item| match item {
            Item::Component(component) => Some(component),
            Item::Line(_) | Item::Gap(_) => None,
        })
    }

    /// Adds a property: after the last one of its name, otherwise after the last property.
    pub fn insert(&mut self, line: Line) {
        let same = |item: &Item| matches!(item, Item::Line(known) if known.name() == line.name());
        let any = |item: &Item| matches!(item, Item::Line(_));
        let after = self
            .items
            .iter()
            .rposition(same)
            .or_else(|| self.items.iter().rposition(any));
        let at = after.map_or(0, |position| position + 1);
        self.items.insert(at, Item::Line(line));
    }

    /// Removes the properties that the predicate accepts.
    pub fn remove(&mut self, mut unwanted: impl FnMut(&Line) -> bool) {
        self.items.retain(|item| match item {
            Item::Line(line) => !unwanted(line),
            Item::Component(_) | Item::Gap(_) => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "begin:VCALENDAR\nPRODID;X=\"a:b\":-//x\n\nBEGIN:VEVENT\nSUMMARY:lo\n ng\n\t er\nX-A:1\nEND:VEVENT\nEND:vcalendar";

    #[test]
    fn an_untouched_object_is_written_back_byte_for_byte() {
        for text in [
            ODD.to_owned(),
            ODD.replace('\n', "\r\n"),
            format!("\u{feff}{ODD}\n\n"),
        ] {
            let document = Document::parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(document.to_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn a_fold_inside_a_character_is_undone() {
        let mut bytes = b"BEGIN:VCALENDAR\r\nX-A:\xC3".to_vec();
        bytes.extend_from_slice(b"\r\n \xBC\r\nEND:VCALENDAR\r\n");
        let document = Document::parse(&bytes).unwrap();
        let Item::Component(calendar) = &document.items[1] else {
            panic!("a component")
        };
        assert_eq!(calendar.first("X-A").unwrap().value(), "ü");
        assert_eq!(document.to_bytes(), bytes);
    }

    #[test]
    fn what_is_no_icalendar_is_refused_with_its_line() {
        for (text, word) in [
            ("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n", "line 3"),
            ("BEGIN:VCALENDAR\r\nno colon here\r\nEND:VCALENDAR\r\n", "line 2"),
            ("BEGIN:VCALENDAR\r\nX:1\r\n", "cut off"),
            ("SUMMARY:x\r\n", "outside"),
            ("BEGIN:VCALENDAR\r\nX:\0\r\nEND:VCALENDAR\r\n", "NUL"),
        ] {
            let problem = Document::parse(text.as_bytes()).unwrap_err();
            assert_eq!(problem.reason, Reason::Malformed);
            assert!(problem.text.contains(word), "{}", problem.text);
        }
        assert!(Document::parse(b"BEGIN:VCALENDAR\r\nX:\xFF\r\nEND:VCALENDAR\r\n").is_err());
        let deep = "BEGIN:A\n".repeat(100_000);
        assert_eq!(
            Document::parse(deep.as_bytes()).unwrap_err().reason,
            Reason::TooLarge
        );
    }
}
