//! Are two iCalendar texts the same but for some properties? A deliberately simple reader of its own, so that a
//! mistake in our mapping cannot hide itself: lines are unfolded, components become a tree, properties a multiset of
//! name, parameters and value. The order of properties, of parameters and of components does not count; neither do
//! quotes around a parameter that needs none, nor the case of names.

use std::collections::BTreeMap;

/// A component and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// Its name in capitals: `VEVENT`.
    pub name: String,
    /// Its properties in their order.
    pub properties: Vec<Property>,
    /// The components in it, in their order.
    pub components: Vec<Component>,
}

/// A content line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Property {
    /// Its name in capitals: `SUMMARY`.
    pub name: String,
    /// Parameters by name in capitals, quotes removed.
    pub params: BTreeMap<String, Vec<String>>,
    /// The value as it is written, unfolded, still escaped.
    pub value: String,
}

impl std::fmt::Display for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        for (name, values) in &self.params {
            write!(f, ";{name}={}", values.join(","))?;
        }
        const SHOWN: usize = 120;
        let shown: String = self.value.chars().take(SHOWN).collect();
        let rest = if self.value.chars().count() > SHOWN {
            "..."
        } else {
            ""
        };
        write!(f, ":{shown}{rest}")
    }
}

impl Component {
    /// The first property of that name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// The value of the first property of that name, still escaped.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.property(name).map(|property| property.value.as_str())
    }

    /// The components of that name directly in this one.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Component> {
        self.components
            .iter()
            .filter(move |component| component.name == name)
    }

    /// What tells it from its siblings: the zone's name, or the event's UID and which occurrence it stands for.
    fn identity(&self) -> String {
        let part = |name: &str| self.property(name).map(ToString::to_string).unwrap_or_default();
        match self.name.as_str() {
            "VTIMEZONE" => part("TZID"),
            "VEVENT" | "VTODO" | "VJOURNAL" => format!("{} {}", part("UID"), part("RECURRENCE-ID"))
                .trim()
                .to_owned(),
            _ => String::new(),
        }
    }

    fn in_order(&self) -> Component {
        let mut properties = self.properties.clone();
        properties.sort();
        let mut components: Vec<Component> = self.components.iter().map(Component::in_order).collect();
        components.sort_by_cached_key(|component| format!("{component:?}"));
        Component {
            name: self.name.clone(),
            properties,
            components,
        }
    }
}

/// Reads a text that holds one component, usually a VCALENDAR.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn parse(text: &str) -> Result<Component, String> {
    let mut open = vec![Component::default()];
    for line in unfold(text) {
        let property = content_line(&line)?;
        match property.name.as_str() {
            "BEGIN" => open.push(Component {
                name: property.value.to_uppercase(),
                ..Component::default()
            }),
            "END" => {
                let Some(closed) = open
                    .pop()
                    .filter(|closed| closed.name == property.value.to_uppercase())
                else {
                    return Err(format!("`{line}` closes nothing that is open"));
                };
                open.last_mut()
                    .ok_or_else(|| format!("`{line}` closes nothing"))?
                    .components
                    .push(closed);
            }
            _ => open
                .last_mut()
                .ok_or("a property after the end")?
                .properties
                .push(property),
        }
    }
    let mut root = match open.as_mut_slice() {
        [root] => std::mem::take(root),
        _ => return Err("a component is not closed".to_owned()),
    };
    match (
        root.components.pop(),
        root.components.is_empty(),
        root.properties.is_empty(),
    ) {
        (Some(only), true, true) => Ok(only),
        _ => Err("not exactly one component".to_owned()),
    }
}

fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n').map(|line| line.trim_end_matches('\r')) {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(continued), Some(last)) => last.push_str(continued),
            _ if line.is_empty() => {}
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn content_line(line: &str) -> Result<Property, String> {
    let (head, value) = split_outside_quotes(line, ':').ok_or_else(|| format!("`{line}` has no value"))?;
    let (name, mut rest) = split_outside_quotes(head, ';').unwrap_or((head, ""));
    let mut params: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while !rest.is_empty() {
        let (param, after) = split_outside_quotes(rest, ';').unwrap_or((rest, ""));
        let (param_name, mut values) = param
            .split_once('=')
            .ok_or_else(|| format!("`{line}`: `{param}`"))?;
        let list = params.entry(param_name.to_uppercase()).or_default();
        loop {
            let (one, others) =
                split_outside_quotes(values, ',').map_or((values, None), |(a, b)| (a, Some(b)));
            list.push(one.trim_matches('"').to_owned());
            let Some(others) = others else { break };
            values = others;
        }
        rest = after;
    }
    // Both spell a line break in text (RFC 5545, section 3.3.11).
    Ok(Property {
        name: name.to_uppercase(),
        params,
        value: value.replace("\\N", "\\n"),
    })
}

fn split_outside_quotes(text: &str, mark: char) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        if character == '"' {
            quoted = !quoted;
        } else if character == mark && !quoted {
            return Some((&text[..at], &text[at + mark.len_utf8()..]));
        }
    }
    None
}

/// How `right` differs from `left`, in sentences; nothing when they are semantically identical apart from the named
/// properties. A name stands for itself everywhere (`DTSTAMP`) or in one component (`VEVENT.SUMMARY`); a component's
/// name (`VALARM`) overlooks the whole component.
pub fn differences(left: &str, right: &str, apart_from: &[&str]) -> Vec<String> {
    match (parse(left), parse(right)) {
        (Ok(left), Ok(right)) => {
            let mut found = Vec::new();
            compare(&left.in_order(), &right.in_order(), "", apart_from, &mut found);
            found
        }
        (left, right) => {
            let broken = |side: &str, result: Result<Component, String>| {
                result
                    .err()
                    .map(|error| format!("the {side} text cannot be read: {error}"))
            };
            broken("left", left)
                .into_iter()
                .chain(broken("right", right))
                .collect()
        }
    }
}

fn compare(left: &Component, right: &Component, place: &str, apart_from: &[&str], found: &mut Vec<String>) {
    if left.name != right.name {
        found.push(format!("{place}{} became {}", left.name, right.name));
        return;
    }
    let identity = left.identity();
    let here = if identity.is_empty() {
        format!("{place}{}", left.name)
    } else {
        format!("{place}{}[{identity}]", left.name)
    };
    let counts = |property: &&Property| {
        !apart_from.iter().any(|name| match name.split_once('.') {
            Some((component, name)) => component == left.name && name == property.name,
            None => *name == property.name,
        })
    };
    let mut gone: Vec<&Property> = left.properties.iter().filter(counts).collect();
    let mut new: Vec<&Property> = right.properties.iter().filter(counts).collect();
    remove_equal(&mut gone, &mut new, |a, b| a == b);
    found.extend(gone.iter().map(|property| format!("{here}: lost `{property}`")));
    found.extend(new.iter().map(|property| format!("{here}: gained `{property}`")));

    let counts = |component: &&Component| !apart_from.contains(&component.name.as_str());
    let mut gone: Vec<&Component> = left.components.iter().filter(counts).collect();
    let mut new: Vec<&Component> = right.components.iter().filter(counts).collect();
    remove_equal(&mut gone, &mut new, |a, b| a == b);
    let mut pairs = Vec::new();
    gone.retain(|a| {
        match new
            .iter()
            .position(|b| a.name == b.name && a.identity() == b.identity())
        {
            Some(at) => {
                pairs.push((*a, new.remove(at)));
                false
            }
            None => true,
        }
    });
    for (a, b) in pairs {
        compare(a, b, &format!("{here}/"), apart_from, found);
    }
    let title = |component: &Component| {
        format!("{} {}", component.name, component.identity())
            .trim()
            .to_owned()
    };
    found.extend(
        gone.iter()
            .map(|component| format!("{here}: lost the component `{}`", title(component))),
    );
    found.extend(
        new.iter()
            .map(|component| format!("{here}: gained the component `{}`", title(component))),
    );
}

/// Takes equal pairs out of both lists, so that what remains is the difference of two multisets.
fn remove_equal<T>(left: &mut Vec<T>, right: &mut Vec<T>, equal: impl Fn(&T, &T) -> bool) {
    left.retain(|a| match right.iter().position(|b| equal(a, b)) {
        Some(at) => {
            right.remove(at);
            false
        }
        None => true,
    });
}
