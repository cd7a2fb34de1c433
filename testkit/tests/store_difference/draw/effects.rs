//! Effects on everything else.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connector_sdk::RemoteVersion;
use model::{FieldPath, Kind};
use serde_json::Value;
use sync::hold::{Hold, HoldAnswer};
use sync::ports::Effect;
use sync::state::{
    Collection, Conflict, FeedAction, FeedEntry, Health, Intent, IntentAction, JobTask, Member, MemberRole,
    Mirror, NewJob, Origin, Pairing, Quarantine, TargetEdits,
};

use super::{Draw, collection};
use crate::names::{part, remote, space};

impl Draw {
    pub(super) fn new_collection(&mut self) -> Collection {
        // Mostly each has a remote collection of its own; sometimes one asks for another's.
        let number = self.below(space::COLLECTIONS);
        let remote_number = if self.chance(85) {
            number
        } else {
            self.below(space::COLLECTIONS)
        };
        let connection = if self.chance(90) {
            number % 2
        } else {
            self.below(3)
        };
        let mut collection = collection(&self.organization, number, remote_number, connection);
        collection.organization = self.owner();
        collection.remote.name = self.of(&["Work", "Home"]).to_owned();
        collection.remote.fields.insert("color".to_owned(), self.title());
        collection.enabled = self.chance(80);
        collection
    }

    pub(super) fn feed_or_job(&mut self) -> Effect {
        if self.chance(50) {
            return Effect::Enqueue(Box::new(self.new_job()));
        }
        Effect::Feed(FeedEntry {
            action: self.of(&[FeedAction::Created, FeedAction::Updated, FeedAction::Deleted]),
            subject: self.record().to_string(),
            kind: "event".to_owned(),
            version: i64::from(self.below(9)),
            changed: vec!["title".to_owned()],
            origin: Origin::Link(self.link()),
            at: self.moment(),
        })
    }

    pub(super) fn new_job(&mut self) -> NewJob {
        let task = match self.below(4) {
            0 => JobTask::Sync {
                connection: self.connection(),
                discover: self.chance(30),
                approve_deletes: false,
            },
            1 => JobTask::Mirror {
                mirror: self.mirror(),
            },
            2 => JobTask::Unlink {
                members: vec![self.collection()],
            },
            _ => JobTask::Push {
                connection: self.connection(),
            },
        };
        NewJob {
            id: self.job(),
            organization: self.organization.clone(),
            task,
            run_at: self.moment(),
        }
    }

    pub(super) fn on_intent(&mut self) -> Effect {
        if self.chance(40) {
            return Effect::CloseIntent(self.intent());
        }
        if self.chance(15) {
            return Effect::ExpectNoIntent(self.some_link());
        }
        Effect::OpenIntent(Box::new(Intent {
            id: self.intent(),
            organization: self.owner(),
            link: self.some_link(),
            connection: self.connection(),
            part: part(self.below(3)),
            action: self.of(&[IntentAction::Create, IntentAction::Update, IntentAction::Delete]),
            sent: self.content(),
            changed: BTreeSet::from([FieldPath::master("title")]),
            created_at: self.moment(),
        }))
    }

    pub(super) fn on_conflict(&mut self) -> Effect {
        if self.chance(50) {
            return Effect::ResolveConflict {
                conflict: self.conflict(),
                at: self.moment(),
            };
        }
        Effect::PutConflict(Box::new(Conflict {
            id: self.conflict(),
            organization: self.owner(),
            record: self.record(),
            link: self.link(),
            path: self.chance(50).then(|| FieldPath::master("title")),
            anchor: None,
            base: None,
            hub: Some(Value::Null),
            remote: Some(self.title()),
            winner: self.chance(50).then_some(conflict::Side::Hub),
            rule: conflict::Rule::LastWriter,
            resolved_at: None,
            created_at: self.moment(),
        }))
    }

    pub(super) fn on_quarantine(&mut self) -> Effect {
        let (collection, object) = (self.collection(), remote(self.below(space::REMOTES)));
        if self.chance(40) {
            return Effect::Release {
                collection,
                remote: object,
            };
        }
        Effect::Quarantine(Box::new(Quarantine {
            id: self.quarantine(),
            organization: self.owner(),
            collection,
            remote: object,
            version: self.chance(50).then(|| RemoteVersion("poison".to_owned())),
            reason: "an unknown zone".to_owned(),
            raw: Bytes::from_static(b"BEGIN:VEVENT"),
            created_at: self.moment(),
            tries: 0,
            retry_at: self.moment(),
        }))
    }

    pub(super) fn on_mirror(&mut self) -> Effect {
        if self.chance(25) {
            return Effect::DropMirror(self.mirror());
        }
        let members = (0..self.below(4))
            .map(|_| Member {
                collection_id: self.collection(),
                role: self.of(&[MemberRole::Source, MemberRole::Target, MemberRole::Both]),
            })
            .collect();
        Effect::PutMirror(Box::new(Mirror {
            id: self.mirror(),
            organization: self.owner(),
            name: self.of(&["Team", "Family"]).to_owned(),
            kind: Kind::Event,
            members,
            policy: conflict::Rule::LastWriter,
            field_owners: BTreeMap::new(),
            target_edits: TargetEdits::Keep,
            created_at: self.moment(),
        }))
    }

    pub(super) fn on_pairing(&mut self) -> Effect {
        Effect::Pair {
            record: self.record(),
            collection: self.collection(),
            pairing: self.of(&[None, Some(Pairing::Apart), Some(Pairing::Tied)]),
        }
    }

    fn hold(&mut self) -> Box<Hold> {
        Box::new(Hold {
            answer: self.of(&[None, Some(HoldAnswer::Approved)]),
            ..Hold::in_words("40 of 50".to_owned())
        })
    }

    pub(super) fn on_connection(&mut self) -> Effect {
        match self.below(3) {
            0 => Effect::Discovered {
                connection: self.connection(),
                at: self.moment(),
            },
            1 => Effect::HoldCollection {
                collection: self.collection(),
                before: self.of(&[None, Some(HoldAnswer::Approved)]),
                hold: self.chance(50).then(|| self.hold()),
            },
            _ => Effect::SetHealth {
                connection: self.connection(),
                health: self.of(&[
                    Health::Active,
                    Health::Active,
                    Health::Degraded,
                    Health::NeedsReauth,
                    Health::Paused,
                ]),
                reason: self.chance(50).then(|| "slow".to_owned()),
                synced_at: self.chance(50).then(|| self.moment()),
            },
        }
    }
}
