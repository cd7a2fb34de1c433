//! Single messages by their ids: under the UID in the id, or, when the folder's UIDs became others, by size and mark.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::{Change, Error, ErrorKind, RemoteId};

use crate::fetch::{self, Seen};
use crate::ids::{self, Mark};
use crate::pull::uid_in;
use crate::session::Session;
use crate::wire::connection::Command;
use crate::wire::reply::Reply;

/// Messages read with one question.
const AT_ONCE: usize = 50;

/// The present state of these ids, one change each, in the open folder.
pub(crate) async fn objects(
    session: &mut Session<'_>,
    validity: u32,
    ids: &[RemoteId],
) -> Result<Vec<Change>, Error> {
    let mut found: BTreeMap<RemoteId, Change> = BTreeMap::new();
    let here: BTreeMap<u32, &RemoteId> = ids
        .iter()
        .filter_map(|id| Some((uid_in(id, validity)?, id)))
        .collect();
    let uids: Vec<u32> = here.keys().copied().collect();
    for uids in uids.chunks(AT_ONCE) {
        let sizes = here
            .iter()
            .filter_map(|(uid, id)| Some((*uid, ids::parse_id(id)?.1.size)))
            .collect();
        for message in fetch::whole(session, uids, &sizes).await? {
            if let Some(id) = here.get(&message.uid)
                && is(&message, id)
            {
                found.insert((*id).clone(), message.change(validity, (*id).clone()));
            }
        }
    }
    let mut taken = BTreeSet::new();
    for id in ids {
        if uid_in(id, validity).is_none()
            && let Some((_, mark)) = ids::parse_id(id)
            && let Some(message) = by_mark(session, &mark, &taken).await?
        {
            taken.insert(message.uid);
            found.insert(id.clone(), message.change(validity, id.clone()));
        }
    }
    Ok(ids
        .iter()
        .map(|id| found.remove(id).unwrap_or_else(|| Change::Deleted(id.clone())))
        .collect())
}

fn is(message: &Seen, id: &RemoteId) -> bool {
    ids::parse_id(id).is_some_and(|(_, mark)| mark == message.mark)
}

/// A message with this mark that was not taken yet.
pub(crate) async fn by_mark(
    session: &mut Session<'_>,
    mark: &Mark,
    taken: &BTreeSet<u32>,
) -> Result<Option<Seen>, Error> {
    let command = Command::new(format!(
        "UID SEARCH LARGER {} SMALLER {}",
        mark.size.saturating_sub(1),
        mark.size.saturating_add(1)
    ));
    let mut candidates: Vec<u32> = Vec::new();
    session
        .run(command, ErrorKind::Unexpected, |reply| {
            if let Reply::Found(uids) = reply {
                candidates.extend(uids);
            }
        })
        .await?;
    candidates.retain(|uid| !taken.contains(uid));
    let sizes: BTreeMap<u32, u32> = candidates.iter().map(|uid| (*uid, mark.size)).collect();
    for uids in candidates.chunks(AT_ONCE) {
        let seen = fetch::whole(session, uids, &sizes).await?;
        if let Some(message) = seen.into_iter().find(|message| message.mark == *mark) {
            return Ok(Some(message));
        }
    }
    Ok(None)
}
