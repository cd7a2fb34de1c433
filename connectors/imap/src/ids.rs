//! Names that last. A UID names a message as long as its folder keeps its UIDVALIDITY; when that changes, all UIDs are
//! new. So a message's id holds, besides the UID under which it was first seen, its size and a digest by which it is
//! found again; where it is now stands in its version.

use connector_sdk::{Cursor, RemoteId, RemoteVersion};
use sha2::{Digest as _, Sha256};

/// Where a message is: the generation of its folder's UIDs, and its UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) validity: u32,
    pub(crate) uid: u32,
}

/// What a message is told apart by whatever its UID: Message-ID, size, and when the mailbox got it. All three survive
/// what makes a server give new UIDs (a restore, a move to other storage).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mark {
    pub(crate) size: u32,
    pub(crate) digest: String,
}

impl Mark {
    pub(crate) fn of(message_id: &str, size: u32, date: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [message_id, date] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.update(size.to_be_bytes());
        let mut digest = hex::encode(hash.finalize());
        digest.truncate(16);
        Self { size, digest }
    }
}

/// The id of a message that was first seen at a place.
pub(crate) fn id(place: Place, mark: &Mark) -> RemoteId {
    RemoteId(format!(
        "{}.{}.{}.{}",
        place.validity, place.uid, mark.size, mark.digest
    ))
}

/// The parts of an id; `None` for one that is not ours.
pub(crate) fn parse_id(id: &RemoteId) -> Option<(Place, Mark)> {
    let mut parts = id.0.split('.');
    let place = Place {
        validity: parts.next()?.parse().ok()?,
        uid: parts.next()?.parse().ok()?,
    };
    let mark = Mark {
        size: parts.next()?.parse().ok()?,
        digest: parts.next()?.to_owned(),
    };
    parts.next().is_none().then_some((place, mark))
}

/// What changes when a message's flags do: the number of the change, or the flags themselves where changes have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    ModSeq(u64),
    Flags(String),
}

impl State {
    /// Of a message with these flags.
    pub(crate) fn of(modseq: Option<u64>, flags: &[String]) -> Self {
        match modseq {
            Some(modseq) => Self::ModSeq(modseq),
            None => {
                let mut sorted: Vec<&str> = flags
                    .iter()
                    .map(String::as_str)
                    .filter(|flag| !flag.eq_ignore_ascii_case("\\Recent"))
                    .collect();
                sorted.sort_unstable();
                let mut digest = hex::encode(Sha256::digest(sorted.join(" ")));
                digest.truncate(16);
                Self::Flags(digest)
            }
        }
    }
}

/// The version of a message at a place.
pub(crate) fn version(place: Place, state: &State) -> RemoteVersion {
    RemoteVersion(match state {
        State::ModSeq(modseq) => format!("{}.{}.m{modseq}", place.validity, place.uid),
        State::Flags(digest) => format!("{}.{}.f{digest}", place.validity, place.uid),
    })
}

/// The parts of a version; `None` for one that is not ours.
pub(crate) fn parse_version(version: &RemoteVersion) -> Option<(Place, State)> {
    let mut parts = version.0.split('.');
    let place = Place {
        validity: parts.next()?.parse().ok()?,
        uid: parts.next()?.parse().ok()?,
    };
    let last = parts.next()?;
    let state = match last.strip_prefix('m') {
        Some(modseq) => State::ModSeq(modseq.parse().ok()?),
        None => State::Flags(last.strip_prefix('f')?.to_owned()),
    };
    parts.next().is_none().then_some((place, state))
}

/// How far a folder was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The generation of its UIDs.
    pub(crate) validity: u32,
    /// All messages with smaller UIDs were seen.
    pub(crate) next: u32,
    /// All changes up to this one were seen; 0 where changes are not numbered.
    pub(crate) modseq: u64,
}

impl Reached {
    pub(crate) fn cursor(self) -> Cursor {
        Cursor(format!("{}.{}.{}", self.validity, self.next, self.modseq))
    }

    pub(crate) fn parse(cursor: &Cursor) -> Option<Self> {
        let mut parts = cursor.0.split('.');
        let reached = Self {
            validity: parts.next()?.parse().ok()?,
            next: parts.next()?.parse().ok()?,
            modseq: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written() {
        let place = Place {
            validity: 1_700_000_000,
            uid: 42,
        };
        let mark = Mark::of("a@example.org", 2_048, "01-Mar-2026 10:00:00 +0000");
        assert_eq!(parse_id(&id(place, &mark)), Some((place, mark)));
        for state in [State::ModSeq(7), State::of(None, &["\\Seen".to_owned()])] {
            assert_eq!(parse_version(&version(place, &state)), Some((place, state)));
        }
        let reached = Reached {
            validity: 1,
            next: 2,
            modseq: 3,
        };
        assert_eq!(Reached::parse(&reached.cursor()), Some(reached));
        for wrong in ["", "1", "1.2.x.y", "1.2.3.4.5", "never", "-1.2.3.aa"] {
            assert_eq!(parse_id(&RemoteId(wrong.to_owned())), None, "{wrong}");
            assert_eq!(parse_version(&RemoteVersion(wrong.to_owned())), None, "{wrong}");
        }
    }

    #[test]
    fn the_parts_of_a_mark_are_not_mixed_up() {
        assert_ne!(Mark::of("ab", 1, "c"), Mark::of("a", 1, "bc"));
        let flags = |all: &[&str]| State::of(None, &all.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>());
        assert_eq!(flags(&["\\Seen", "a", "\\Recent"]), flags(&["a", "\\Seen"]));
        assert_ne!(flags(&["\\Seen"]), flags(&[]));
    }
}
