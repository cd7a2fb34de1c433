//! Which message of a folder is which that the hub knows: by its UID as long as the folder keeps its generation of UIDs,
//! else by its mark.

use std::collections::{BTreeMap, HashMap};

use connector_sdk::{Known, RemoteId};

use crate::ids::{self, Mark, Place, State};

/// The messages that the hub holds of a folder.
#[derive(Debug, Default)]
pub(crate) struct Names {
    validity: u32,
    by_uid: BTreeMap<u32, (RemoteId, Option<State>)>,
    /// Of another generation, waiting to be found again; of several with one mark the one with the highest UID last.
    lost: HashMap<Mark, Vec<(u32, RemoteId)>>,
}

impl Names {
    pub(crate) fn new(known: &Known, validity: u32) -> Self {
        let mut names = Self {
            validity,
            ..Self::default()
        };
        for (id, version) in known {
            let Some((first, mark)) = ids::parse_id(id) else {
                continue;
            };
            let stands = version.as_ref().and_then(ids::parse_version);
            let (place, state) = match stands {
                Some((place, state)) => (place, Some(state)),
                None => (first, None),
            };
            if place.validity == validity {
                names.by_uid.insert(place.uid, (id.clone(), state));
            } else {
                names.lost.entry(mark).or_default().push((place.uid, id.clone()));
            }
        }
        for waiting in names.lost.values_mut() {
            waiting.sort();
        }
        names
    }

    /// The message under a UID, and how it was last seen.
    pub(crate) fn at(&self, uid: u32) -> Option<(&RemoteId, Option<&State>)> {
        self.by_uid.get(&uid).map(|(id, state)| (id, state.as_ref()))
    }

    /// All UIDs that are known.
    pub(crate) fn uids(&self) -> impl Iterator<Item = (u32, &RemoteId)> {
        self.by_uid.iter().map(|(uid, (id, _))| (*uid, id))
    }

    /// The id of a message that was read whole: the one that it has, the one that it had before the folder's UIDs became
    /// others, or a new one.
    pub(crate) fn name(&mut self, uid: u32, mark: &Mark) -> RemoteId {
        let place = Place {
            validity: self.validity,
            uid,
        };
        if let Some((id, _)) = self.by_uid.get(&uid)
            && ids::parse_id(id).is_some_and(|(_, known)| known == *mark)
        {
            return id.clone();
        }
        let found = self.lost.get_mut(mark).and_then(Vec::pop);
        let id = found.map_or_else(|| ids::id(place, mark), |(_, id)| id);
        self.by_uid.insert(uid, (id.clone(), None));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(validity: u32, uid: u32, mark: &Mark) -> (RemoteId, Option<connector_sdk::RemoteVersion>) {
        let place = Place { validity, uid };
        (ids::id(place, mark), Some(ids::version(place, &State::ModSeq(1))))
    }

    #[test]
    fn messages_keep_their_names_when_all_uids_change() {
        let (a, b) = (Mark::of("a@x", 10, "1"), Mark::of("b@x", 10, "1"));
        let old: Known = [known(1, 5, &a), known(1, 6, &b), known(1, 7, &b)].into();
        let mut names = Names::new(&old, 2);
        // Newest first, as a folder is read: the two that are alike keep their order.
        assert_eq!(names.name(30, &b), known(1, 7, &b).0);
        assert_eq!(names.name(20, &b), known(1, 6, &b).0);
        assert_eq!(names.name(10, &a), known(1, 5, &a).0);
        // One more of the same is a message of its own.
        assert_eq!(names.name(9, &a), known(2, 9, &a).0);
        assert_eq!(names.name(10, &a), known(1, 5, &a).0, "it is asked again");
    }

    #[test]
    fn another_message_under_a_known_uid_gets_a_name_of_its_own() {
        let (a, b) = (Mark::of("a@x", 10, "1"), Mark::of("b@x", 11, "1"));
        let old: Known = [known(1, 5, &a)].into();
        let mut names = Names::new(&old, 1);
        assert_eq!(names.name(5, &b), known(1, 5, &b).0);
        assert_ne!(known(1, 5, &a).0, known(1, 5, &b).0);
    }
}
