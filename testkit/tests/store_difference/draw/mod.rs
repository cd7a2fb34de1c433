//! Draws operations. Most of them fit what is stored at the moment; some do not, on purpose.

mod effects;
mod questions;
mod rows;

use std::collections::BTreeMap;

use bytes::Bytes;
use connector_sdk::{Access, Cursor, RemoteCollection};
use model::{
    CollectionId, ConflictId, ConnectionId, IntentId, JobId, Kind, LinkId, MirrorId, OrganizationId,
    QuarantineId, RecordId,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sync::ports::{Effect, JobFailure};
use sync::state::{Collection, Connection, Fence, Health, Link, Record};
use testkit::memory_store::MemoryStore;

use crate::names::{Operation, START_MS, part, remote, space};

/// Draws operations from a seed and what is stored.
pub(crate) struct Draw {
    rng: StdRng,
    store: MemoryStore,
    /// Whom the current operation is about.
    organization: OrganizationId,
    /// Records and links of the organization as they are after the effects drawn so far.
    records: BTreeMap<RecordId, Record>,
    links: BTreeMap<LinkId, Link>,
    /// Claims that were given, old ones included.
    fences: Vec<(OrganizationId, Fence)>,
}

macro_rules! ids {
    ($($name:ident: $id:ident in $space:ident;)*) => {
        $(fn $name(&mut self) -> $id {
            $id::new(1, u128::from(self.below(space::$space)))
        })*
    };
}

impl Draw {
    pub(crate) fn new(seed: u64, store: &MemoryStore) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            store: store.clone(),
            organization: OrganizationId::new(1, 0),
            records: BTreeMap::new(),
            links: BTreeMap::new(),
            fences: Vec::new(),
        }
    }

    ids! {
        connection: ConnectionId in CONNECTIONS;
        collection: CollectionId in COLLECTIONS;
        record: RecordId in RECORDS;
        link: LinkId in LINKS;
        intent: IntentId in OTHERS;
        conflict: ConflictId in OTHERS;
        mirror: MirrorId in OTHERS;
        quarantine: QuarantineId in OTHERS;
        job: JobId in JOBS;
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.rng.random_range(0..bound)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        let at = self.rng.random_range(0..choices.len());
        choices[at].clone()
    }

    pub(crate) fn organizations(&self) -> [OrganizationId; 2] {
        [OrganizationId::new(1, 0), OrganizationId::new(1, 1)]
    }

    /// Those of both organizations: the second has the same ids as the first.
    pub(crate) fn connections(&mut self) -> Vec<Connection> {
        let mut found = Vec::new();
        for organization in self.organizations() {
            for number in 0..space::CONNECTIONS {
                found.push(Connection {
                    id: ConnectionId::new(1, u128::from(number)),
                    organization: organization.clone(),
                    provider: "memory".to_owned(),
                    name: format!("Account {number}"),
                    owner: None,
                    config: serde_json::Map::new(),
                    health: Health::Active,
                    health_reason: None,
                    discovered_at: None,
                    synced_at: None,
                    created_at: START_MS,
                });
            }
        }
        found
    }

    /// Takes note of claims.
    pub(crate) fn learn(&mut self, operation: &Operation) {
        if !operation.is_claim() {
            return;
        }
        let held = self.store.jobs();
        for job in held {
            // Tokens count the claims of a job, and rise when another process takes over.
            let token = i64::from(job.attempts) + i64::from(self.below(2));
            let fence = Fence { job: job.id, token };
            if token > 0 && !self.fences.iter().any(|(_, known)| *known == fence) {
                self.fences.push((job.organization, fence));
            }
        }
    }

    /// Collections of both organizations, all but one, so that most of what follows has a place.
    pub(crate) fn beginnings(&mut self) -> Vec<Operation> {
        let commit = |organization: OrganizationId| {
            let collections = (1..space::COLLECTIONS).map(|number| {
                let collection = collection(&organization, number, number, number % 2);
                Effect::PutCollection(Box::new(collection))
            });
            Operation::Commit(organization.clone(), None, collections.collect())
        };
        self.organizations().map(commit).to_vec()
    }

    pub(crate) fn operation(&mut self) -> Operation {
        self.organization = match self.chance(85) {
            true => OrganizationId::new(1, 0),
            false => OrganizationId::new(1, 1),
        };
        match self.below(100) {
            0..50 => self.commit(),
            50..54 => Operation::Enqueue(self.new_job()),
            54..62 => Operation::Claim {
                now_ms: self.moment(),
                lease_ms: i64::from(self.below(40)),
                limit: self.below(4),
            },
            62..66 => {
                let until_ms = self.moment();
                match self.fence() {
                    Some((_, fence)) => Operation::Heartbeat(fence, until_ms),
                    None => self.commit(),
                }
            }
            66..74 => self.finish(),
            74 => Operation::Reopen,
            _ => {
                let question = self.question();
                Operation::Ask(self.organization.clone(), question)
            }
        }
    }

    /// A moment of a short day.
    fn moment(&mut self) -> i64 {
        START_MS + i64::from(self.below(100))
    }

    /// One of the last claims, mostly.
    fn fence(&mut self) -> Option<(OrganizationId, Fence)> {
        let last = self.fences.len().checked_sub(1)?;
        let back = self.rng.random_range(0..=last.min(5));
        Some(self.fences[last - back].clone())
    }

    fn finish(&mut self) -> Operation {
        let now_ms = self.moment();
        let retry_at = self.chance(60).then(|| self.moment());
        let failed = self.chance(60);
        match self.fence() {
            Some((_, fence)) if failed => {
                let failure = JobFailure {
                    code: "provider_error".to_owned(),
                    message: "it was busy".to_owned(),
                    retry_at,
                };
                Operation::Finish(fence, now_ms, Err(failure))
            }
            Some((_, fence)) => Operation::Finish(fence, now_ms, Ok(json!({"created": 1}))),
            None => self.commit(),
        }
    }

    fn commit(&mut self) -> Operation {
        let organization = self.organization.clone();
        let store = self.store.clone();
        store.with_state(|state| {
            let records = state
                .records()
                .filter(|record| record.organization == organization);
            self.records = records
                .map(|record| (record.id.clone(), record.clone()))
                .collect();
            let links = state.links().filter(|link| link.organization == organization);
            self.links = links.map(|link| (link.id.clone(), link.clone())).collect();
        });
        let fence = match self.chance(15) {
            true => self.fence().map(|(_, fence)| fence),
            false => None,
        };
        let count = 1 + self.below(6);
        let effects = (0..count).map(|_| self.effect()).collect();
        Operation::Commit(organization, fence, effects)
    }

    fn effect(&mut self) -> Effect {
        match self.below(100) {
            0..12 => self.create_record(),
            12..20 => self.update_record(),
            20..36 => self.create_link(),
            36..54 => self.update_link(),
            54..60 => self.drop_link(),
            60..64 => Effect::PutRaw {
                link: self.some_link(),
                part: part(self.below(3)),
                raw: Bytes::from("X".repeat(self.of(&[0, 7, 4_000]))),
            },
            64..70 => self.touch(),
            70..73 => Effect::PutCollection(Box::new(self.new_collection())),
            73 => self.history(),
            74..76 => Effect::PutCursor {
                collection: self.collection(),
                cursor: self
                    .chance(70)
                    .then(|| Cursor(format!("cursor {}", self.below(9)))),
                enumerated_at: self.chance(30).then(|| self.moment()),
            },
            76..81 => self.feed_or_job(),
            81..85 => self.on_intent(),
            85..89 => self.on_conflict(),
            89..93 => self.on_quarantine(),
            93..95 => self.on_mirror(),
            95..97 => self.on_pairing(),
            _ => self.on_connection(),
        }
    }
}

fn collection(organization: &OrganizationId, number: u32, object: u32, connection: u32) -> Collection {
    Collection {
        id: CollectionId::new(1, u128::from(number)),
        organization: organization.clone(),
        connection: ConnectionId::new(1, u128::from(connection)),
        remote: RemoteCollection {
            id: remote(object),
            kind: Kind::Event,
            name: format!("Calendar {number}"),
            access: Access::ReadWrite,
            fields: model::Fields::new(),
        },
        cursor: None,
        enumerated_at: None,
        enabled: true,
        hold: None,
    }
}
