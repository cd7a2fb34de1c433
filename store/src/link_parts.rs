//! The look-up from remote objects to their links, written when all other effects of a batch are: links of a batch may
//! exchange their remote objects, and a new one may take what another gives up, in whatever order.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use connector_sdk::RemoteId;
use model::{CollectionId, LinkId, OrganizationId, PartKey};
use sync::ports::StoreError;
use sync::state::{Link, RemotePart};

use crate::column::{failed, get, id, refused};
use crate::dialect::rows_per_insert;
use crate::freshness;
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;

/// The remote objects of a link that was written.
struct Waiting {
    collection: CollectionId,
    parts: BTreeMap<PartKey, RemotePart>,
}

/// The remote objects of the links that a batch has written so far.
#[derive(Default)]
pub(crate) struct Parts {
    waiting: BTreeMap<LinkId, Waiting>,
    /// Remote objects that lost their link, unless another one takes them up.
    left: BTreeSet<(CollectionId, RemoteId)>,
}

impl Parts {
    /// Those of a new link.
    pub(crate) fn put(&mut self, link: &Link) {
        let waiting = Waiting {
            collection: link.collection.clone(),
            parts: link.parts.clone(),
        };
        self.waiting.insert(link.id.clone(), waiting);
    }

    /// A link goes.
    pub(crate) async fn forget(
        &mut self,
        write: &mut Write,
        organization: &OrganizationId,
        link: &LinkId,
    ) -> Result<(), StoreError> {
        self.waiting.remove(link);
        let rows = sql::query(
            "DELETE FROM link_parts WHERE organization_id = $1 AND link_id = $2
             RETURNING collection_id, remote_id",
        )
        .bind(organization.as_str())
        .bind(link.as_str())
        .fetch_all(write.conn())
        .await
        .map_err(failed)?;
        self.leave(&rows)
    }

    fn leave(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        for row in rows {
            let remote = RemoteId(get(row, "remote_id")?);
            self.left.insert((id(row, "collection_id")?, remote));
        }
        Ok(())
    }

    /// Those of changed links: what was there is taken out. The original of a part that is gone goes with it: a later
    /// part of the same key is another object.
    pub(crate) async fn replace(
        &mut self,
        write: &mut Write,
        organization: &OrganizationId,
        links: &[Link],
    ) -> Result<(), StoreError> {
        let mut query = QueryBuilder::new("DELETE FROM link_parts WHERE organization_id = ");
        query
            .push_bind(organization.as_str())
            .push(" AND link_id")
            .push_in(links.iter().map(|link| link.id.as_str()))
            .push(" RETURNING link_id, part, collection_id, remote_id");
        let rows = query.build().fetch_all(write.conn()).await.map_err(failed)?;
        self.leave(&rows)?;
        let now: HashSet<(&str, &str)> = links
            .iter()
            .flat_map(|link| link.parts.keys().map(|part| (link.id.as_str(), part.as_str())))
            .collect();
        let mut gone: Vec<(String, String)> = Vec::new();
        for row in &rows {
            let before: (&str, &str) = (get(row, "link_id")?, get(row, "part")?);
            if !now.contains(&before) {
                gone.push((before.0.to_owned(), before.1.to_owned()));
            }
        }
        for link in links {
            for part in self
                .waiting
                .get(&link.id)
                .into_iter()
                .flat_map(|waiting| waiting.parts.keys())
            {
                if !link.parts.contains_key(part) {
                    gone.push((link.id.to_string(), part.as_str().to_owned()));
                }
            }
            self.put(link);
        }
        for (link, part) in gone {
            sql::query("DELETE FROM raws WHERE organization_id = $1 AND link_id = $2 AND part = $3")
                .bind(organization.as_str())
                .bind(link)
                .bind(part)
                .execute(write.conn())
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Writes them all. Each remote object has one link now, or somebody was faster.
    pub(crate) async fn write(
        self,
        write: &mut Write,
        organization: &OrganizationId,
        at: i64,
    ) -> Result<(), StoreError> {
        let mut left = self.left;
        let mut rows = Vec::with_capacity(self.waiting.len());
        for (link, waiting) in self.waiting {
            for (part, remote) in waiting.parts {
                left.remove(&(waiting.collection.clone(), remote.id.clone()));
                rows.push((waiting.collection.clone(), link.clone(), part, remote));
            }
        }
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut insert = QueryBuilder::new(
                "INSERT INTO link_parts (organization_id, collection_id, remote_id, version, link_id, part) ",
            );
            insert.push_values(
                rows.by_ref().take(rows_per_insert(6)),
                |mut row, (collection, link, part, remote)| {
                    row.push_bind(organization.as_str())
                        .push_bind(collection.as_str())
                        .push_bind(remote.id.0)
                        .push_bind(remote.version.map(|version| version.0))
                        .push_bind(link.as_str())
                        .push_bind(part.as_str());
                },
            );
            insert
                .build()
                .execute(write.conn())
                .await
                .map_err(refused("a remote object of one of the links"))?;
        }
        freshness::forget(write, organization, left, at).await
    }
}
