//! Whether an observation is taken at its word.
//!
//! It is when nothing else can have spoken of the object since the last one that was: the object is unknown, or the
//! version that the hub holds is the one that the last observation told. Otherwise a pull decides, which always sees
//! the present state. An observation that is not newer than the last one is left out either way. So no order of
//! arrival, and nothing that comes late, puts an older state over a newer one (invariant 13).

use std::collections::BTreeMap;

use connector_sdk::{Change, OrderingKey, RemoteId, RemoteVersion};

use crate::state::Freshness;

/// A change that a webhook told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The place of the webhook in its batch.
    pub(super) from: usize,
    pub(super) change: Change,
    pub(super) ordering: OrderingKey,
}

/// What is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken in.
    Take,
    /// The hub knows as much or more.
    Outdated,
    /// The connection looks for itself.
    Look,
}

/// What the hub knows of the objects that are spoken of.
pub(super) struct Knowledge {
    /// Those that have a link, with the version last seen.
    pub(super) linked: BTreeMap<RemoteId, Option<RemoteVersion>>,
    /// What the last observation told.
    pub(super) freshness: BTreeMap<RemoteId, Freshness>,
}

impl Knowledge {
    /// What is done with a change, of which nothing newer was told.
    pub(super) fn judge(&self, told: &Told) -> Verdict {
        let id = told.change.id();
        let last = self.freshness.get(id);
        if last
            .and_then(|last| last.ordering)
            .is_some_and(|last| told.ordering.0 <= last)
        {
            return Verdict::Outdated;
        }
        let sure = match (self.linked.get(id), last) {
            (None, None) => true,
            // The end of the object was told by a webhook, and nothing was heard of it since.
            (None, Some(last)) => last.ordering.is_some() && last.version.is_none(),
            (Some(held), last) => held.as_ref().is_some_and(|held| {
                let told_last = last.and_then(|last| last.version.as_ref());
                told_last == Some(held) || version_of(&told.change) == Some(held)
            }),
        };
        if sure { Verdict::Take } else { Verdict::Look }
    }
}

/// The version that a change speaks of; `None` of a delete.
pub(super) fn version_of(change: &Change) -> Option<&RemoteVersion> {
    match change {
        Change::Present(object) => object.version.as_ref(),
        Change::Unreadable { version, .. } => version.as_ref(),
        Change::Unchanged(_) | Change::Deleted(_) => None,
    }
}

/// The newest of what was told of each object, and the rest.
pub(super) fn newest(told: Vec<Told>) -> (BTreeMap<RemoteId, Told>, Vec<Told>) {
    let mut newest: BTreeMap<RemoteId, Told> = BTreeMap::new();
    let mut older = Vec::new();
    for told in told {
        let id = told.change.id().clone();
        let stands = newest
            .get(&id)
            .is_some_and(|newest| newest.ordering >= told.ordering);
        if stands {
            older.push(told);
        } else if let Some(beaten) = newest.insert(id, told) {
            older.push(beaten);
        }
    }
    (newest, older)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RemoteId {
        RemoteId("a".to_owned())
    }

    fn version(text: &str) -> Option<RemoteVersion> {
        Some(RemoteVersion(text.to_owned()))
    }

    fn told(text: Option<&str>, ordering: i64) -> Told {
        let change = match text {
            Some(text) => Change::Unreadable {
                id: id(),
                version: version(text),
                reason: String::new(),
                raw: bytes::Bytes::new(),
            },
            None => Change::Deleted(id()),
        };
        Told {
            from: 0,
            change,
            ordering: OrderingKey(ordering),
        }
    }

    /// `held`: the link's version; `last`: ordering and version of the last observation.
    fn judged(held: Option<Option<&str>>, last: Option<(Option<i64>, Option<&str>)>, now: &Told) -> Verdict {
        let knowledge = Knowledge {
            linked: held
                .into_iter()
                .map(|held| (id(), held.and_then(version)))
                .collect(),
            freshness: last
                .into_iter()
                .map(|(ordering, text)| {
                    let freshness = Freshness {
                        ordering,
                        version: text.and_then(version),
                    };
                    (id(), freshness)
                })
                .collect(),
        };
        knowledge.judge(now)
    }

    #[test]
    fn a_chain_of_observations_is_taken_at_its_word() {
        assert_eq!(judged(None, None, &told(Some("v1"), 1)), Verdict::Take);
        let after_one = (Some(Some("v1")), Some((Some(1), Some("v1"))));
        assert_eq!(
            judged(after_one.0, after_one.1, &told(Some("v2"), 2)),
            Verdict::Take
        );
        assert_eq!(judged(after_one.0, after_one.1, &told(None, 2)), Verdict::Take);
        let deleted = Some((Some(3), None));
        assert_eq!(judged(None, deleted, &told(Some("v4"), 4)), Verdict::Take);
    }

    #[test]
    fn what_is_not_newer_is_left_out_whatever_is_held() {
        for held in [None, Some(None), Some(Some("v9"))] {
            for ordering in [1, 2] {
                let late = told(Some("v1"), ordering);
                assert_eq!(
                    judged(held, Some((Some(2), Some("v2"))), &late),
                    Verdict::Outdated
                );
            }
        }
        assert_eq!(
            judged(None, Some((Some(5), None)), &told(Some("v4"), 4)),
            Verdict::Outdated
        );
    }

    #[test]
    fn after_a_pull_has_spoken_a_pull_decides_until_both_agree() {
        let pulled = Some(Some("v5"));
        assert_eq!(judged(pulled, None, &told(Some("v4"), 4)), Verdict::Look);
        assert_eq!(
            judged(pulled, Some((Some(3), Some("v3"))), &told(Some("v4"), 4)),
            Verdict::Look
        );
        assert_eq!(
            judged(pulled, Some((Some(3), Some("v3"))), &told(None, 4)),
            Verdict::Look
        );
        assert_eq!(
            judged(pulled, Some((Some(3), Some("v3"))), &told(Some("v5"), 5)),
            Verdict::Take,
            "an echo"
        );
        assert_eq!(
            judged(pulled, Some((Some(5), Some("v5"))), &told(Some("v6"), 6)),
            Verdict::Take
        );
    }

    #[test]
    fn an_object_that_lost_its_link_is_not_brought_back_by_what_comes_late() {
        assert_eq!(
            judged(None, Some((None, None)), &told(Some("v1"), 1)),
            Verdict::Look
        );
        assert_eq!(
            judged(None, Some((Some(1), Some("v1"))), &told(Some("v2"), 2)),
            Verdict::Look
        );
    }

    #[test]
    fn without_versions_only_a_pull_can_tell() {
        assert_eq!(
            judged(Some(None), Some((Some(1), None)), &told(Some("v2"), 2)),
            Verdict::Look
        );
    }

    #[test]
    fn of_several_observations_of_an_object_the_newest_stands_in_any_order() {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let (newest, older) = newest(order.iter().map(|at| told(Some("v"), *at)).collect());
            assert_eq!(newest[&id()].ordering, OrderingKey(3));
            assert_eq!(older.len(), 2);
        }
    }
}
