//! Everything that is stored: each organization's rows for themselves, and the queue, which is everybody's.

use std::collections::BTreeMap;

use model::OrganizationId;
use sync::history::HistoryEntry;
use sync::state::{Collection, Conflict, Connection, FeedEntry, Intent, Link, Mirror, Quarantine, Record};

use super::queue::{Job, Queue};
use super::tenant::Tenant;

/// Everything that is stored, to look at. Lists are in order of id within an organization.
#[derive(Debug, Clone, Default)]
pub struct State {
    tenants: BTreeMap<OrganizationId, Tenant>,
    pub(super) queue: Queue,
    /// What a reader of an unknown organization finds.
    nothing: Tenant,
}

impl State {
    /// The rows of an organization; none for one that is not known.
    pub(super) fn tenant(&self, organization: &OrganizationId) -> &Tenant {
        self.tenants.get(organization).unwrap_or(&self.nothing)
    }

    pub(super) fn tenant_mut(&mut self, organization: &OrganizationId) -> &mut Tenant {
        self.split(organization).0
    }

    /// The rows of an organization, and the queue beside them.
    pub(super) fn split(&mut self, organization: &OrganizationId) -> (&mut Tenant, &mut Queue) {
        let tenant = self.tenants.entry(organization.clone()).or_default();
        (tenant, &mut self.queue)
    }

    /// All connections.
    #[must_use]
    pub fn connections(&self) -> Box<dyn Iterator<Item = &Connection> + '_> {
        Box::new(
            self.tenants
                .values()
                .flat_map(|tenant| tenant.connections.values()),
        )
    }

    /// All collections.
    #[must_use]
    pub fn collections(&self) -> Box<dyn Iterator<Item = &Collection> + '_> {
        Box::new(
            self.tenants
                .values()
                .flat_map(|tenant| tenant.collections.values()),
        )
    }

    /// All records, deleted ones included.
    #[must_use]
    pub fn records(&self) -> Box<dyn Iterator<Item = &Record> + '_> {
        let all = self.tenants.values().flat_map(|tenant| tenant.records.values());
        Box::new(all.map(|record| &**record))
    }

    /// All links.
    #[must_use]
    pub fn links(&self) -> Box<dyn Iterator<Item = &Link> + '_> {
        Box::new(self.tenants.values().flat_map(|tenant| tenant.links.all()))
    }

    /// The links of a record.
    #[must_use]
    pub fn links_of<'a>(
        &'a self,
        organization: &OrganizationId,
        record: &model::RecordId,
    ) -> Box<dyn Iterator<Item = &'a Link> + 'a> {
        Box::new(self.tenant(organization).links.of(record))
    }

    /// All conflicts.
    #[must_use]
    pub fn conflicts(&self) -> Box<dyn Iterator<Item = &Conflict> + '_> {
        let all = self.tenants.values().flat_map(|tenant| tenant.conflicts.values());
        Box::new(all.map(|conflict| &**conflict))
    }

    /// What is in quarantine, by collection and remote object.
    #[must_use]
    pub fn quarantined(&self) -> Box<dyn Iterator<Item = &Quarantine> + '_> {
        let collections = self
            .tenants
            .values()
            .flat_map(|tenant| tenant.quarantine.values());
        Box::new(
            collections
                .flat_map(|entries| entries.values())
                .map(|entry| &**entry),
        )
    }

    /// All open intents.
    #[must_use]
    pub fn intents(&self) -> Box<dyn Iterator<Item = &Intent> + '_> {
        let all = self.tenants.values().flat_map(|tenant| tenant.intents.values());
        Box::new(all.map(|intent| &**intent))
    }

    /// All mirrors.
    #[must_use]
    pub fn mirrors(&self) -> Box<dyn Iterator<Item = &Mirror> + '_> {
        let all = self.tenants.values().flat_map(|tenant| tenant.mirrors.values());
        Box::new(all.map(|mirror| &**mirror))
    }

    /// All jobs, ended ones included, in order of id across organizations.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.queue.all()
    }

    /// A record's history, newest first.
    pub fn history<'a>(
        &'a self,
        organization: &OrganizationId,
        record: &model::RecordId,
    ) -> impl Iterator<Item = &'a HistoryEntry> {
        let told = self.tenant(organization).history.get(record);
        told.into_iter().flatten().rev().map(|entry| &**entry)
    }

    /// An organization's feed; the first entry's `seq` is 1.
    #[must_use]
    pub fn feed(&self, organization: &OrganizationId) -> &[FeedEntry] {
        &self.tenant(organization).feed
    }
}
