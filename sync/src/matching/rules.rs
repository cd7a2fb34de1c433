//! Who is given right where two records that are made one say something different.

use std::collections::BTreeMap;

use conflict::{Clash, Policy, Rule, Side};
use model::CollectionId;

use crate::scene::member;
use crate::state::{FieldOwner, Mirror, Record, TargetEdits};

/// The rules by which two records are made one: the hub's side is the record of the source, the remote side that of
/// the target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// The mirror's policy, by its own name.
    default: Rule,
    owners: BTreeMap<String, Side>,
    /// The target only takes.
    follows: bool,
    /// Its edits are undone.
    revert: bool,
}

impl Rules {
    /// The rules of the mirrors that the target is a member of. Mirrors that share a collection have the same.
    pub(crate) fn of(mirrors: &[Mirror], target: &CollectionId) -> Self {
        let mut rules = Self::default();
        let (mut gives, mut takes) = (false, false);
        for (place, mirror) in mirrors.iter().enumerate() {
            let Some(member) = member(mirror, target) else {
                continue;
            };
            gives |= member.role.gives();
            takes |= member.role.takes();
            rules.revert |= member.role.takes() && mirror.target_edits == TargetEdits::Revert;
            if place == 0 {
                rules.default = mirror.policy;
            }
            for (field, owner) in &mirror.field_owners {
                let side = match owner {
                    FieldOwner::Collection(id) if id == target => Side::Remote,
                    FieldOwner::Collection(_) | FieldOwner::Hub => Side::Hub,
                };
                rules.owners.insert(field.clone(), side);
            }
        }
        rules.follows = takes && !gives;
        rules.revert &= rules.follows;
        rules
    }

    /// The policy for these two. The last writer is the one whose record the hub heard of last; a target that only
    /// takes has not written anything that counts yet.
    pub(crate) fn policy(&self, keep: &Record, other: &Record) -> Policy {
        let default = match self.default {
            Rule::LastWriter if !self.follows && other.updated_at > keep.updated_at => Rule::RemoteWins,
            Rule::LastWriter => Rule::HubWins,
            rule @ (Rule::HubWins | Rule::RemoteWins | Rule::Ask) => rule,
        };
        Policy {
            default,
            owners: self.owners.clone(),
            revert_remote: self.revert,
        }
    }

    /// A clash under the name of the rule that decided it.
    pub(crate) fn named(&self, policy: &Policy, mut clash: Clash) -> Clash {
        if policy.owner(&clash.path.field).is_none() && clash.rule == policy.default {
            clash.rule = self.default;
        }
        clash
    }
}
