//! iCalendar as content lines in nested components (RFC 5545 section 3.1), no more: what a server has to see to
//! check an object, to rewrite it and to search it. Deliberately independent of Concord's own reader.

/// A component: `BEGIN`, its properties, its inner components, `END`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// Upper case.
    pub(crate) name: String,
    pub(crate) properties: Vec<Property>,
    pub(crate) components: Vec<Self>,
}

/// One content line, unfolded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    /// Upper case.
    pub(crate) name: String,
    /// Names in upper case, values as they stand, quotes included.
    pub(crate) parameters: Vec<(String, String)>,
    /// As it stands, escapes included.
    pub(crate) value: String,
}

impl Property {
    /// A parameter's value without surrounding quotes.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.parameters.iter().find(|(known, _)| known == name)?;
        Some(value.trim_matches('"'))
    }
}

impl Component {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            properties: Vec::new(),
            components: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn property(mut self, name: &str, value: impl Into<String>) -> Self {
        self.properties.push(Property {
            name: name.to_owned(),
            parameters: Vec::new(),
            value: value.into(),
        });
        self
    }

    /// The first property of that name.
    pub(crate) fn first(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// All properties of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties
            .iter()
            .filter(move |property| property.name == name)
    }

    /// The inner components of that name.
    pub(crate) fn inner<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.components
            .iter()
            .filter(move |component| component.name == name)
    }

    /// Reads one iCalendar object.
    ///
    /// # Errors
    /// Says what is wrong, with the number of the unfolded line.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut open: Vec<Self> = Vec::new();
        let mut whole = None;
        for (index, line) in unfold(text).iter().enumerate() {
            let number = index + 1;
            if whole.is_some() {
                return Err(format!("line {number}: something after the end of the object"));
            }
            let property = content_line(line).map_err(|wrong| format!("line {number}: {wrong}"))?;
            match property.name.as_str() {
                "BEGIN" if open.len() >= 8 => return Err(format!("line {number}: nested too deeply")),
                "BEGIN" => open.push(Self::new(&property.value.to_ascii_uppercase())),
                "END" => {
                    let ended = open
                        .pop()
                        .filter(|component| component.name.eq_ignore_ascii_case(&property.value));
                    let Some(ended) = ended else {
                        return Err(format!("line {number}: END without its BEGIN"));
                    };
                    match open.last_mut() {
                        Some(parent) => parent.components.push(ended),
                        None => whole = Some(ended),
                    }
                }
                _ => match open.last_mut() {
                    Some(component) => component.properties.push(property),
                    None => return Err(format!("line {number}: a property outside of any component")),
                },
            }
        }
        match whole {
            Some(component) if component.name == "VCALENDAR" => Ok(component),
            Some(component) => Err(format!("{} is not an iCalendar object", component.name)),
            None => Err("the object ends too early".to_owned()),
        }
    }

    /// The object as text, folded at 75 octets, lines ended with CRLF.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        fold(out, &format!("BEGIN:{}", self.name));
        for property in &self.properties {
            let mut line = property.name.clone();
            for (name, value) in &property.parameters {
                line.push_str(&format!(";{name}={value}"));
            }
            line.push(':');
            line.push_str(&property.value);
            fold(out, &line);
        }
        for component in &self.components {
            component.write(out);
        }
        fold(out, &format!("END:{}", self.name));
    }
}

/// The first UID in a text, however broken the rest of it is.
pub(crate) fn uid_of(text: &str) -> Option<String> {
    let mut lines = unfold(text)
        .into_iter()
        .filter_map(|line| content_line(&line).ok());
    lines
        .find(|property| property.name == "UID")
        .map(|property| property.value)
}

fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for physical in text.split('\n') {
        let physical = physical.strip_suffix('\r').unwrap_or(physical);
        match (physical.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(continued), Some(line)) => line.push_str(continued),
            _ if physical.trim().is_empty() => {}
            _ => lines.push(physical.to_owned()),
        }
    }
    lines
}

fn content_line(line: &str) -> Result<Property, String> {
    if line
        .chars()
        .any(|character| character.is_control() && character != '\t')
    {
        return Err("a control character".to_owned());
    }
    let mut quoted = false;
    let mut cuts = Vec::new();
    let mut colon = None;
    for (index, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ';' if !quoted => cuts.push(index),
            ':' if !quoted => {
                colon = Some(index);
                break;
            }
            _ => {}
        }
    }
    let Some(colon) = colon else {
        return Err("no colon".to_owned());
    };
    let bounds: Vec<usize> = cuts.into_iter().chain([colon]).collect();
    let name = &line[..bounds[0]];
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !is_name(name) {
        return Err("not a property name".to_owned());
    }
    let mut parameters = Vec::new();
    for pair in bounds.windows(2) {
        let parameter = &line[pair[0] + 1..pair[1]];
        match parameter.split_once('=') {
            Some((name, value)) if is_name(name) => {
                parameters.push((name.to_ascii_uppercase(), value.to_owned()))
            }
            Some(_) | None => return Err("not a parameter".to_owned()),
        }
    }
    Ok(Property {
        name: name.to_ascii_uppercase(),
        parameters,
        value: line[colon + 1..].to_owned(),
    })
}

fn fold(out: &mut String, line: &str) {
    let mut width = 0;
    for character in line.chars() {
        if width + character.len_utf8() > 75 {
            out.push_str("\r\n ");
            width = 1;
        }
        out.push(character);
        width += character.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_object_is_read_and_written_back_the_same() {
        let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nATTENDEE;CN=\"A; B: C\":mailto:a@example.com\r\n\
                    SUMMARY:äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü äöü\r\n\
                    END:VEVENT\r\nEND:VCALENDAR\r\n";
        let read = Component::read(text).unwrap();
        let event = &read.components[0];
        assert_eq!(event.properties[0].parameter("CN"), Some("A; B: C"));
        assert_eq!(event.properties[0].value, "mailto:a@example.com");
        let written = read.to_text();
        assert!(written.split("\r\n").all(|line| line.len() <= 75), "{written}");
        assert_eq!(Component::read(&written).unwrap(), read);
    }

    #[test]
    fn broken_nesting_and_lines_are_named_with_their_number() {
        for (text, wrong) in [
            (
                "BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n",
                "line 3: END without its BEGIN",
            ),
            (
                "BEGIN:VCALENDAR\nno colon here\nEND:VCALENDAR\n",
                "line 2: no colon",
            ),
            ("BEGIN:VCALENDAR\n", "the object ends too early"),
            (
                "BEGIN:VCALENDAR\nEND:VCALENDAR\nX:y\n",
                "line 3: something after the end of the object",
            ),
            ("BEGIN:VCARD\nEND:VCARD\n", "VCARD is not an iCalendar object"),
            ("X:y\n", "line 1: a property outside of any component"),
        ] {
            assert_eq!(Component::read(text).unwrap_err(), wrong);
        }
    }
}
