//! Messages whole, many with one question; very large ones by their beginning.

use std::collections::BTreeMap;

use bytes::Bytes;
use connector_sdk::{Change, Coverage, Error, ErrorKind, RemoteId, RemoteObject};
use jiff::Timestamp;
use jiff::fmt::strtime;
use mapping::mime::{self, Noted, Received};
use model::{Content, Kind};

use crate::ids::{self, Mark, Place, State};
use crate::session::Session;
use crate::wire::connection::Command;
use crate::wire::reply::{Fetched, Reply};

/// Messages up to this size are read whole, in bytes.
pub(crate) const WHOLE_UP_TO: u32 = 4 << 20;
/// Of larger ones so many bytes are read: the headers, and the text in front of what makes them large.
const BEGINNING: u32 = 512 << 10;
/// Most bytes that one question asks for, unless a single message is larger.
pub(crate) const BYTES_AT_ONCE: u64 = 4 << 20;

/// One message as it came.
pub(crate) struct Seen {
    pub(crate) uid: u32,
    pub(crate) mark: Mark,
    content: Result<Content, String>,
    raw: Bytes,
    flags: Vec<String>,
    modseq: Option<u64>,
}

impl Seen {
    /// What it is to the hub, under this id.
    pub(crate) fn change(self, validity: u32, id: RemoteId) -> Change {
        let place = Place {
            validity,
            uid: self.uid,
        };
        let version = Some(ids::version(place, &State::of(self.modseq, &self.flags)));
        match self.content {
            Ok(content) => Change::Present(Box::new(RemoteObject {
                id,
                version,
                kind: Kind::Message,
                series: None,
                coverage: Coverage::Full,
                content,
                raw: self.raw,
            })),
            Err(reason) => Change::Unreadable {
                id,
                version,
                reason,
                raw: self.raw,
            },
        }
    }
}

/// What is asked of a message that is read.
pub(crate) fn items(session: &Session<'_>, body: &str) -> String {
    let modseq = if session.condstore() { " MODSEQ" } else { "" };
    format!("(UID FLAGS INTERNALDATE RFC822.SIZE{modseq}{body})")
}

/// A set of UIDs as a command takes it, neighbours joined.
pub(crate) fn uid_set(uids: &[u32]) -> String {
    let mut sorted = uids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut set = String::new();
    let mut rest = sorted.as_slice();
    while let Some(first) = rest.first() {
        let length = rest
            .iter()
            .zip(u64::from(*first)..)
            .take_while(|(uid, expected)| u64::from(**uid) == *expected)
            .count();
        let (run, after) = rest.split_at(length);
        if !set.is_empty() {
            set.push(',');
        }
        match run {
            [_, .., last] => set.push_str(&format!("{first}:{last}")),
            _ => set.push_str(&first.to_string()),
        }
        rest = after;
    }
    set
}

/// Reads messages; those that are gone are left out. `sizes` are the sizes that are known.
pub(crate) async fn whole(
    session: &mut Session<'_>,
    uids: &[u32],
    sizes: &BTreeMap<u32, u32>,
) -> Result<Vec<Seen>, Error> {
    let is_large = |uid: &u32| sizes.get(uid).is_some_and(|size| *size > WHOLE_UP_TO);
    let (large, small): (Vec<u32>, Vec<u32>) = uids.iter().partition(|uid| is_large(uid));
    let mut seen = BTreeMap::new();
    let whole = items(session, " BODY.PEEK[]");
    let beginning = items(session, &format!(" BODY.PEEK[]<0.{BEGINNING}>"));
    if !small.is_empty() && !ask(session, &small, &whole, &mut seen).await? {
        // Something in the answers cannot be read: which message it is about shows when each is asked for by itself.
        for uid in small
            .iter()
            .filter(|uid| !seen.contains_key(*uid))
            .copied()
            .collect::<Vec<_>>()
        {
            one(session, uid, &whole, &mut seen).await?;
        }
    }
    for uid in large {
        one(session, uid, &beginning, &mut seen).await?;
    }
    // In the order in which they were asked for.
    Ok(uids.iter().filter_map(|uid| seen.remove(uid)).collect())
}

async fn one(
    session: &mut Session<'_>,
    uid: u32,
    items: &str,
    seen: &mut BTreeMap<u32, Seen>,
) -> Result<(), Error> {
    if ask(session, &[uid], items, seen).await? || seen.contains_key(&uid) {
        return Ok(());
    }
    let unreadable = Seen {
        uid,
        mark: Mark::of("", 0, ""),
        content: Err("the server's answer about this message cannot be read".to_owned()),
        raw: Bytes::new(),
        flags: Vec::new(),
        modseq: None,
    };
    seen.insert(uid, unreadable);
    Ok(())
}

/// A message whose bytes are known, as it is now; `None` when it is gone.
pub(crate) async fn restated(session: &mut Session<'_>, uid: u32, raw: Bytes) -> Result<Option<Seen>, Error> {
    let command = Command::new(format!("UID FETCH {uid} {}", items(session, "")));
    let mut found = None;
    session
        .run(command, ErrorKind::Unexpected, |reply| {
            if let Reply::Message(mut message) = reply
                && message.uid == Some(uid)
                && message.size.is_some()
            {
                message.body = Some(raw.clone());
                found = read(*message);
            }
        })
        .await?;
    Ok(found)
}

/// Asks once; whether every answer could be read.
async fn ask(
    session: &mut Session<'_>,
    uids: &[u32],
    items: &str,
    seen: &mut BTreeMap<u32, Seen>,
) -> Result<bool, Error> {
    let command = Command::new(format!("UID FETCH {} {items}", uid_set(uids)));
    let mut clean = true;
    session
        .run(command, ErrorKind::Unexpected, |reply| match reply {
            Reply::Message(message) => {
                // Other clients' changes are told in between; they have no body.
                if let Some(read) = read(*message)
                    && uids.contains(&read.uid)
                {
                    seen.insert(read.uid, read);
                }
            }
            Reply::Unreadable => clean = false,
            _ => {}
        })
        .await?;
    Ok(clean)
}

fn read(message: Fetched) -> Option<Seen> {
    let (uid, raw) = (message.uid?, message.body?);
    let size = message.size.unwrap_or_default();
    let flags = message.flags.unwrap_or_default();
    let at = message.date.as_deref().and_then(moment);
    let received = Received {
        at,
        size_bytes: i64::from(size),
        is_cut: size > WHOLE_UP_TO,
    };
    let content = mime::read(&raw, received).map_err(|error| error.to_string());
    let content = content.map(|mut fields| {
        Noted::of_words(flags.iter().map(String::as_str)).put(&mut fields);
        Content::new(fields)
    });
    let message_id = content
        .as_ref()
        .map_or("", |content| mime::message_id(&content.fields));
    let when = match at {
        Some(at) => at.as_second().to_string(),
        None => message.date.unwrap_or_default(),
    };
    Some(Seen {
        uid,
        mark: Mark::of(message_id, size, &when),
        content,
        raw,
        flags,
        modseq: message.modseq,
    })
}

/// The moment of an INTERNALDATE (RFC 9051 section 9: `date-time`), whose day may begin with a space.
fn moment(text: &str) -> Option<Timestamp> {
    let parsed = strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()?;
    parsed.to_timestamp().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_join_neighbours() {
        assert_eq!(uid_set(&[5, 3, 4, 9, 1, 9]), "1,3:5,9");
        assert_eq!(uid_set(&[4_294_967_295, 4_294_967_294]), "4294967294:4294967295");
        assert_eq!(uid_set(&[]), "");
    }

    #[test]
    fn dates_of_mailboxes_are_read() {
        assert_eq!(
            moment("01-Mar-2026 10:00:00 +0130").unwrap().to_string(),
            "2026-03-01T08:30:00Z"
        );
        assert!(moment(" 1-Mar-2026 10:00:00 +0000").is_some());
        assert!(moment("yesterday").is_none());
    }
}
