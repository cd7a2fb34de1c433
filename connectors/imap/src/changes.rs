//! What changed in a folder since it was last read: by what the server tells (QRESYNC, CONDSTORE: RFC 7162), or by
//! comparing all its flags with what is known.

use std::collections::BTreeSet;

use bytes::Bytes;
use connector_sdk::{Change, Coverage, Error, ErrorKind, RemoteObject};
use mapping::mime::Noted;
use model::{Content, Kind};

use crate::fetch::uid_set;
use crate::ids::{self, Place, Reached, State};
use crate::names::Names;
use crate::session::{Opened, Session};
use crate::wire::connection::Command;
use crate::wire::reply::{Fetched, Reply};

/// Most UIDs that one question names.
const UIDS_AT_ONCE: usize = 1_000;

/// What a folder says of its changes.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Messages whose flags changed, and deleted ones.
    pub(crate) changes: Vec<Change>,
    /// Messages that are not known, to be read whole.
    pub(crate) new: Vec<u32>,
}

/// What changed since a place that was reached in this generation of UIDs.
pub(crate) async fn since(
    session: &mut Session<'_>,
    opened: &mut Opened,
    reached: Reached,
    names: &Names,
) -> Result<Told, Error> {
    let mut told = Told::default();
    let numbered = opened.modseq.is_some() && reached.modseq > 0;
    let flags = if numbered && session.qresync {
        gone(names, &mut told, |uid| {
            opened.vanished.iter().any(|range| range.contains(&uid))
        });
        std::mem::take(&mut opened.changed)
    } else {
        let flags = if numbered && opened.modseq == Some(reached.modseq) {
            Vec::new()
        } else {
            let changed = numbered.then_some(reached.modseq);
            all_flags(session, changed).await?
        };
        let there = all_uids(session).await?;
        let missing: Vec<u32> = names
            .uids()
            .map(|(uid, _)| uid)
            .filter(|uid| !there.contains(uid))
            .collect();
        let missing = really_gone(session, &missing).await?;
        gone(names, &mut told, |uid| missing.contains(&uid));
        told.new
            .extend(there.iter().filter(|uid| names.at(**uid).is_none()));
        flags
    };
    for message in flags {
        let Some(uid) = message.uid else { continue };
        match names.at(uid) {
            None => told.new.push(uid),
            Some((id, before)) => {
                let Some(words) = &message.flags else { continue };
                let state = State::of(message.modseq.filter(|_| session.condstore()), words);
                if before == Some(&state) {
                    continue;
                }
                let place = Place {
                    validity: opened.validity,
                    uid,
                };
                told.changes.push(Change::Present(Box::new(RemoteObject {
                    id: id.clone(),
                    version: Some(ids::version(place, &state)),
                    kind: Kind::Message,
                    series: None,
                    coverage: Coverage::Sparse,
                    content: Content::new(Noted::of_words(words.iter().map(String::as_str)).sparse()),
                    raw: Bytes::from(words.join(" ")),
                })));
            }
        }
    }
    // A message that vanished again is not new.
    told.new
        .retain(|uid| !opened.vanished.iter().any(|range| range.contains(uid)));
    told.new.sort_unstable_by(|a, b| b.cmp(a));
    told.new.dedup();
    Ok(told)
}

fn gone(names: &Names, told: &mut Told, is_gone: impl Fn(u32) -> bool) {
    let ids = names.uids().filter(|(uid, _)| is_gone(*uid));
    told.changes
        .extend(ids.map(|(_, id)| Change::Deleted(id.clone())));
}

/// UIDs and flags of all messages, or of those that changed.
async fn all_flags(session: &mut Session<'_>, changed_since: Option<u64>) -> Result<Vec<Fetched>, Error> {
    let command = match changed_since {
        Some(modseq) => format!("UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE {modseq})"),
        None if session.condstore() => "UID FETCH 1:* (UID FLAGS MODSEQ)".to_owned(),
        None => "UID FETCH 1:* (UID FLAGS)".to_owned(),
    };
    let mut found = Vec::new();
    session
        .run(Command::new(command), ErrorKind::Unexpected, |reply| {
            if let Reply::Message(message) = reply {
                found.push(*message);
            }
        })
        .await?;
    Ok(found)
}

/// The UIDs of all messages.
pub(crate) async fn all_uids(session: &mut Session<'_>) -> Result<BTreeSet<u32>, Error> {
    let mut found = None;
    session
        .run(Command::new("UID SEARCH ALL"), ErrorKind::Unexpected, |reply| {
            if let Reply::Found(uids) = reply {
                found.get_or_insert_with(BTreeSet::new).extend(uids);
            }
        })
        .await?;
    found.ok_or_else(|| {
        let message = "the server does not say which messages are there; nothing is taken for deleted";
        session.error(ErrorKind::Unexpected, message)
    })
}

/// Of UIDs that a list left out those that are gone when they are asked for by name. A list alone deletes nothing.
async fn really_gone(session: &mut Session<'_>, missing: &[u32]) -> Result<BTreeSet<u32>, Error> {
    let mut gone: BTreeSet<u32> = missing.iter().copied().collect();
    for uids in missing.chunks(UIDS_AT_ONCE) {
        let command = Command::new(format!("UID FETCH {} (UID)", uid_set(uids)));
        let mut clean = true;
        session
            .run(command, ErrorKind::Unexpected, |reply| match reply {
                Reply::Message(message) => {
                    if let Some(uid) = message.uid {
                        gone.remove(&uid);
                    }
                }
                Reply::Unreadable => clean = false,
                _ => {}
            })
            .await?;
        if !clean {
            let message = "the server's answer cannot be read; nothing is taken for deleted";
            return Err(session.error(ErrorKind::Unexpected, message));
        }
    }
    Ok(gone)
}
