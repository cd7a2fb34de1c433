//! Which connections a change concerns: where the subject is linked when the change is committed, and, for what the
//! commit takes apart, where it was linked before. Written with the change, as the links may be gone when it is read.

use std::collections::{BTreeSet, HashMap};

use model::{CollectionId, ConnectionId, OrganizationId, RecordId};
use sync::ports::StoreError;
use sync::state::FeedEntry;

use crate::column::{failed, get};
use crate::dialect::{IDS_PER_QUERY, postgres};
use crate::sql::{self, Conn, QueryBuilder};

/// Connections by the subject that they have to do with.
#[derive(Debug, Default)]
pub(crate) struct Concerned(HashMap<String, BTreeSet<String>>);

impl Concerned {
    /// Adds what is true of these subjects now.
    pub(crate) async fn look(
        &mut self,
        mut conn: Conn<'_>,
        organization: &OrganizationId,
        entries: &[FeedEntry],
    ) -> Result<(), StoreError> {
        let of = |prefix: &str| -> Vec<&str> {
            let subjects: BTreeSet<&str> = entries
                .iter()
                .map(|entry| entry.subject.as_str())
                .filter(|subject| subject.starts_with(prefix))
                .collect();
            subjects.into_iter().collect()
        };
        for connection in of(ConnectionId::PREFIX) {
            self.add(connection, connection);
        }
        self.look_at_links(conn.lend(), organization, &of(RecordId::PREFIX))
            .await?;
        let held = "SELECT id AS subject, connection_id FROM collections WHERE organization_id = ";
        self.query(conn, organization, held, "id", &of(CollectionId::PREFIX))
            .await
    }

    /// A connection that had to do with this subject until now.
    pub(crate) fn add(&mut self, subject: &str, connection: &str) {
        let connections = self.0.entry(subject.to_owned()).or_default();
        connections.insert(connection.to_owned());
    }

    /// The connections of a subject, in order.
    pub(crate) fn of(&self, subject: &str) -> Vec<&str> {
        let connections = self.0.get(subject).into_iter().flatten();
        connections.map(String::as_str).collect()
    }

    /// Records have their links looked up one by one, on either engine: a server that holds the table for small, because it
    /// was when the statement was planned, reads all links of the organization rather than descend an index a few times.
    async fn look_at_links(
        &mut self,
        mut conn: Conn<'_>,
        organization: &OrganizationId,
        records: &[&str],
    ) -> Result<(), StoreError> {
        let Conn::Postgres(_) = conn else {
            let linked =
                "SELECT DISTINCT record_id AS subject, connection_id FROM links WHERE organization_id = ";
            return self.query(conn, organization, linked, "record_id", records).await;
        };
        for some in records.chunks(IDS_PER_QUERY) {
            let query = sql::query(postgres::LINKS_OF_RECORDS)
                .bind(organization.as_str())
                .bind(some.join(","));
            for row in query.fetch_all(conn.lend()).await.map_err(failed)? {
                self.add(get(&row, "subject")?, get(&row, "connection_id")?);
            }
        }
        Ok(())
    }

    async fn query(
        &mut self,
        mut conn: Conn<'_>,
        organization: &OrganizationId,
        select: &'static str,
        column: &'static str,
        subjects: &[&str],
    ) -> Result<(), StoreError> {
        for some in subjects.chunks(IDS_PER_QUERY) {
            let mut query = QueryBuilder::new(select);
            query
                .push_bind(organization.as_str())
                .push(" AND ")
                .push(column)
                .push_in(some.iter().copied());
            for row in query.build().fetch_all(conn.lend()).await.map_err(failed)? {
                self.add(get(&row, "subject")?, get(&row, "connection_id")?);
            }
        }
        Ok(())
    }
}
