//! Mirrors: sets of collections that hold the same records.

use std::collections::HashMap;

use model::{CollectionId, MirrorId, OrganizationId};
use sync::ports::StoreError;
use sync::state::{Member, Mirror};

use crate::column::{all, document, failed, get, id, json, refused, spelled, word};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore};

fn read(row: &Row) -> Result<Mirror, StoreError> {
    Ok(Mirror {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        name: get(row, "name")?,
        kind: word(row, "kind")?,
        members: Vec::new(),
        policy: word(row, "policy")?,
        field_owners: json(row, "field_owners")?,
        target_edits: word(row, "target_edits")?,
        created_at: get(row, "created_at")?,
    })
}

pub(crate) async fn put(
    write: &mut Write,
    organization: &OrganizationId,
    mirror: &Mirror,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO mirrors (organization_id, id, name, kind, policy, field_owners, target_edits, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (organization_id, id) DO UPDATE
         SET name = excluded.name, kind = excluded.kind, policy = excluded.policy,
             field_owners = excluded.field_owners, target_edits = excluded.target_edits",
    )
    .bind(organization.as_str())
    .bind(mirror.id.as_str())
    .bind(&mirror.name)
    .bind(mirror.kind.name())
    .bind(mirror.policy.name())
    .bind(document(&mirror.field_owners)?)
    .bind(spelled(&mirror.target_edits)?)
    .bind(mirror.created_at)
    .execute(write.conn())
    .await
    .map_err(failed)?;
    sql::query("DELETE FROM mirror_members WHERE organization_id = $1 AND mirror_id = $2")
        .bind(organization.as_str())
        .bind(mirror.id.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
    for (position, member) in (0i64..).zip(&mirror.members) {
        sql::query(
            "INSERT INTO mirror_members (organization_id, mirror_id, position, collection_id, role)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(organization.as_str())
        .bind(mirror.id.as_str())
        .bind(position)
        .bind(member.collection_id.as_str())
        .bind(spelled(&member.role)?)
        .execute(write.conn())
        .await
        .map_err(refused(member.collection_id.as_str()))?;
    }
    Ok(())
}

pub(crate) async fn remove(
    write: &mut Write,
    organization: &OrganizationId,
    mirror: &MirrorId,
) -> Result<(), StoreError> {
    sql::query("DELETE FROM mirrors WHERE organization_id = $1 AND id = $2")
        .bind(organization.as_str())
        .bind(mirror.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}

impl SqliteStore {
    async fn with_members(
        &self,
        organization: &OrganizationId,
        mut mirrors: Vec<Mirror>,
    ) -> Result<Vec<Mirror>, StoreError> {
        if mirrors.is_empty() {
            return Ok(mirrors);
        }
        let mut query = QueryBuilder::new("SELECT * FROM mirror_members WHERE organization_id = ");
        query
            .push_bind(organization.as_str())
            .push(" AND mirror_id")
            .push_in(mirrors.iter().map(|mirror| mirror.id.as_str()))
            .push(" ORDER BY mirror_id, position");
        let mut members: HashMap<MirrorId, Vec<Member>> = HashMap::new();
        for row in query.build().fetch_all(self.read()).await.map_err(failed)? {
            members.entry(id(&row, "mirror_id")?).or_default().push(Member {
                collection_id: id(&row, "collection_id")?,
                role: word(&row, "role")?,
            });
        }
        for mirror in &mut mirrors {
            mirror.members = members.remove(&mirror.id).unwrap_or_default();
        }
        Ok(mirrors)
    }

    pub(crate) async fn read_mirror(
        &self,
        organization: &OrganizationId,
        id: &MirrorId,
    ) -> Result<Option<Mirror>, StoreError> {
        let rows = sql::query("SELECT * FROM mirrors WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(id.as_str())
            .fetch_all(self.read())
            .await
            .map_err(failed)?;
        Ok(self
            .with_members(organization, all(&rows, read)?)
            .await?
            .into_iter()
            .next())
    }

    pub(crate) async fn read_mirrors_of(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Vec<Mirror>, StoreError> {
        let rows = sql::query(
            "SELECT * FROM mirrors
             WHERE organization_id = $1 AND id IN (
                SELECT mirror_id FROM mirror_members WHERE organization_id = $1 AND collection_id = $2
             )
             ORDER BY id",
        )
        .bind(organization.as_str())
        .bind(collection.as_str())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        self.with_members(organization, all(&rows, read)?).await
    }

    /// Mirrors, in order of id. A single one is read with [`sync::ports::Store::mirror`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mirrors(
        &self,
        organization: &OrganizationId,
        paging: &Paging,
    ) -> Result<Page<Mirror>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM mirrors WHERE organization_id = ");
        query.push_bind(organization.as_str());
        if let Some(after) = &paging.after {
            query.push(" AND id > ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        let page = Page::cut(all(&rows, read)?, paging, |mirror| mirror.id.as_str());
        Ok(Page {
            items: self.with_members(organization, page.items).await?,
            next: page.next,
        })
    }
}
