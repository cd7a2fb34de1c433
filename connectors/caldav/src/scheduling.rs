//! Keeps servers that send invitations by themselves (RFC 6638) from mailing anybody about what a sync writes.
//!
//! On a server that advertises `calendar-auto-schedule`, people who are new in an object are written with
//! `SCHEDULE-AGENT=CLIENT` (RFC 6638 section 7.1): "the client does the scheduling", and this client does none.
//! People whom the object names already keep their lines untouched. This is done to the written text, and only then.

use std::collections::HashSet;

use bytes::Bytes;
use connector_sdk::Error;

use crate::dav::{Ask, Dav};
use crate::hrefs::Collection;

/// RFC 5545 section 3.1.
const MAX_LINE_OCTETS: usize = 75;

/// The text as it may be written without anybody being mailed.
pub(crate) async fn silenced(
    dav: &Dav<'_>,
    place: &Collection,
    text: Vec<u8>,
    before: Option<&Bytes>,
) -> Result<Vec<u8>, Error> {
    let known = before.map_or_else(HashSet::new, |before| people(&String::from_utf8_lossy(before)));
    let Ok(text) = String::from_utf8(text.clone()) else {
        return Ok(text);
    };
    let Some(marked) = marked(&text, &known) else {
        return Ok(text.into_bytes());
    };
    if !schedules_by_itself(dav, place).await? {
        return Ok(text.into_bytes());
    }
    Ok(marked.into_bytes())
}

/// Whom the server would mail about a change or the removal of an object, by address.
///
/// People written with `SCHEDULE-AGENT=CLIENT` or `NONE` are none of the server's business (RFC 6638 section 7.1).
pub(crate) async fn mailed(dav: &Dav<'_>, place: &Collection, object: &Bytes) -> Result<Vec<String>, Error> {
    let people = scheduled(&String::from_utf8_lossy(object));
    if people.is_empty() || !schedules_by_itself(dav, place).await? {
        return Ok(Vec::new());
    }
    Ok(people)
}

/// The attendees whom the server schedules, but for one who is the organizer.
fn scheduled(text: &str) -> Vec<String> {
    let mut organizers = HashSet::new();
    let mut attendees = Vec::new();
    for line in logical_lines(text) {
        let line = unfold(line);
        let upper = line.to_ascii_uppercase();
        let Some((role, address)) = person(&line).and_then(|person| {
            let (role, address) = person.split_once(' ')?;
            Some((role.to_owned(), address.trim_start_matches("mailto:").to_owned()))
        }) else {
            continue;
        };
        let spared = [";SCHEDULE-AGENT=CLIENT", ";SCHEDULE-AGENT=NONE"];
        if role == "ORGANIZER" {
            organizers.insert(address);
        } else if !spared.iter().any(|mark| upper.contains(mark)) && !attendees.contains(&address) {
            attendees.push(address);
        }
    }
    attendees.retain(|attendee| !organizers.contains(attendee));
    attendees
}

/// Whether the `DAV` header names automatic scheduling (RFC 6638 section 2).
async fn schedules_by_itself(dav: &Dav<'_>, place: &Collection) -> Result<bool, Error> {
    let ask = Ask {
        method: "OPTIONS",
        url: &place.url,
        headers: &[],
        body: Bytes::new(),
    };
    let answer = dav.send(ask).await?;
    let classes = answer
        .headers
        .get_all("dav")
        .iter()
        .filter_map(|value| value.to_str().ok());
    Ok(classes
        .flat_map(|value| value.split(','))
        .any(|class| class.trim().eq_ignore_ascii_case("calendar-auto-schedule")))
}

/// The text with every new person marked; `None` when there is none.
fn marked(text: &str, known: &HashSet<String>) -> Option<String> {
    let mut any = false;
    let mut out = String::with_capacity(text.len() + 256);
    for line in logical_lines(text) {
        let unfolded = unfold(line);
        let is_new = person(&unfolded).is_some_and(|person| !known.contains(&person))
            && !unfolded.to_ascii_uppercase().contains(";SCHEDULE-AGENT=");
        if !is_new {
            out.push_str(line);
            continue;
        }
        any = true;
        let name = unfolded.find([';', ':']).unwrap_or(unfolded.len());
        let (name, rest) = unfolded.split_at(name);
        fold(&format!("{name};SCHEDULE-AGENT=CLIENT{rest}"), &mut out);
    }
    any.then_some(out)
}

fn people(text: &str) -> HashSet<String> {
    logical_lines(text)
        .filter_map(|line| person(&unfold(line)))
        .collect()
}

/// `ATTENDEE` or `ORGANIZER` and the address, of a line that names one.
fn person(line: &str) -> Option<String> {
    let (name, _) = line.split_at(line.find([';', ':'])?);
    if !name.eq_ignore_ascii_case("ATTENDEE") && !name.eq_ignore_ascii_case("ORGANIZER") {
        return None;
    }
    let mut quoted = false;
    let value = line.char_indices().find_map(|(at, character)| {
        quoted ^= character == '"';
        (character == ':' && !quoted).then_some(at + 1)
    })?;
    Some(format!(
        "{} {}",
        name.to_ascii_uppercase(),
        line[value..].trim().to_lowercase()
    ))
}

/// Lines as RFC 5545 counts them, each with its folds and its end.
fn logical_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            end = rest[end..].find('\n').map_or(rest.len(), |at| end + at + 1);
            if !rest[end..].starts_with([' ', '\t']) {
                break;
            }
        }
        let (line, after) = rest.split_at(end);
        rest = after;
        Some(line)
    })
}

fn unfold(line: &str) -> String {
    let mut unfolded = String::with_capacity(line.len());
    for (number, piece) in line.split_inclusive('\n').enumerate() {
        let piece = piece.trim_end_matches(['\r', '\n']);
        unfolded.push_str(if number == 0 { piece } else { &piece[1..] });
    }
    unfolded
}

fn fold(line: &str, out: &mut String) {
    let mut octets = 0;
    for character in line.chars() {
        if octets + character.len_utf8() > MAX_LINE_OCTETS {
            out.push_str("\r\n ");
            octets = 1;
        }
        out.push(character);
        octets += character.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "BEGIN:VEVENT\r\nORGANIZER;CN=\"Ada: boss\":mailto:ada@example.org\r\nATTENDEE;CN=A very long \
name that makes the line as long as it may\r\n  be;PARTSTAT=ACCEPTED:mailto:Bob@example.org\r\nSUMMARY:x\r\nEND:VEVENT\r\n";

    #[test]
    fn people_who_are_new_are_marked_and_nothing_else_changes() {
        let known = people("ORGANIZER:mailto:ADA@example.org\r\n");
        let marked = marked(TEXT, &known).unwrap();
        assert!(
            marked.contains("ORGANIZER;CN=\"Ada: boss\":mailto:ada@example.org\r\n"),
            "{marked}"
        );
        let attendee = logical_lines(&marked)
            .find(|line| line.starts_with("ATTENDEE"))
            .unwrap();
        assert!(
            unfold(attendee).starts_with("ATTENDEE;SCHEDULE-AGENT=CLIENT;CN=A very long"),
            "{attendee}"
        );
        assert!(
            attendee.split("\r\n").all(|line| line.len() <= MAX_LINE_OCTETS),
            "{attendee}"
        );
        assert_eq!(
            unfold(attendee).replace(";SCHEDULE-AGENT=CLIENT", "").len(),
            unfold(attendee).len() - 22
        );
        assert!(marked.ends_with("SUMMARY:x\r\nEND:VEVENT\r\n"));
    }

    #[test]
    fn the_server_mails_those_whom_it_schedules() {
        assert_eq!(scheduled(TEXT), ["bob@example.org"]);
        let ours = marked(TEXT, &HashSet::new()).unwrap();
        assert!(scheduled(&ours).is_empty(), "{ours}");
        let own = "ORGANIZER:mailto:ada@example.org\r\nATTENDEE:mailto:ADA@example.org\r\n";
        assert!(scheduled(own).is_empty());
        let explicit = "ATTENDEE;SCHEDULE-AGENT=SERVER:mailto:eve@example.org\r\n";
        assert_eq!(scheduled(explicit), ["eve@example.org"]);
    }

    #[test]
    fn known_or_marked_people_need_nothing() {
        assert!(marked(TEXT, &people(TEXT)).is_none());
        let once = marked(TEXT, &HashSet::new()).unwrap();
        assert!(marked(&once, &HashSet::new()).is_none());
        assert!(marked("SUMMARY:ATTENDEE\r\n", &HashSet::new()).is_none());
    }
}
