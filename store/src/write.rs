//! A transaction that writes, and the bells it rings once it is committed.

use model::{InboundId, OrganizationId};
use sync::ports::StoreError;
use sync::state::FeedEntry;

use crate::bells::Bells;
use crate::changes::FeedHead;
use crate::column::{document, failed, refused};
use crate::concerned::Concerned;
use crate::dialect::{Engine, rows_per_insert};
use crate::open::Checkpoints;
use crate::sql::{self, Conn, QueryBuilder, Tx};

/// A turn: held while one commits, so that others of the organization do not wait with a connection in their hands.
pub(crate) type Turn = tokio::sync::OwnedMutexGuard<()>;

/// A transaction on the writing connection. Dropped without a commit it leaves everything as it was.
pub(crate) struct Write {
    tx: Tx,
    bells: Bells,
    checkpoints: Checkpoints,
    heads: Vec<FeedHead>,
    wakes: bool,
    /// This node's turn with the organization, given to the next when the transaction has ended.
    turn: Option<Turn>,
    /// Connections that subjects of the feed had to do with before this transaction.
    concerned: Concerned,
    /// The webhook that brings about what is written here.
    webhook: Option<InboundId>,
    /// Webhooks that enqueued jobs go on for: theirs, where they waited for another already.
    passed_on: Vec<InboundId>,
}

impl Write {
    pub(crate) fn new(tx: Tx, bells: Bells, checkpoints: Checkpoints) -> Self {
        Self {
            tx,
            bells,
            checkpoints,
            heads: Vec::new(),
            wakes: false,
            turn: None,
            concerned: Concerned::default(),
            webhook: None,
            passed_on: Vec::new(),
        }
    }

    /// Keeps a turn until the end.
    pub(crate) fn take_turn(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    pub(crate) fn conn(&mut self) -> Conn<'_> {
        self.tx.conn()
    }

    pub(crate) const fn engine(&self) -> Engine {
        match self.tx {
            Tx::Sqlite(_) => Engine::Sqlite,
            Tx::Postgres(..) => Engine::Postgres,
        }
    }

    /// Rings for workers after the commit.
    pub(crate) fn wake_workers(&mut self) {
        self.wakes = true;
    }

    /// What is appended to feeds and enqueued from here on goes back to this webhook.
    pub(crate) fn brought_by(&mut self, webhook: Option<InboundId>) {
        self.webhook = webhook;
    }

    pub(crate) const fn webhook(&self) -> Option<&InboundId> {
        self.webhook.as_ref()
    }

    /// A job was enqueued, or one that waits is joined, that goes back to this webhook.
    pub(crate) fn pass_on(&mut self, to: Option<InboundId>) {
        self.passed_on.extend(to);
    }

    /// The webhooks that enqueued jobs go back to, and the last entry of the feed that was appended.
    pub(crate) fn outcome(&mut self) -> (Vec<InboundId>, Option<i64>) {
        let last = self.heads.last().map(|head| head.seq);
        (std::mem::take(&mut self.passed_on), last)
    }

    /// Notes which connections these changes concern as things stand, before they are taken apart.
    pub(crate) async fn remember(
        &mut self,
        organization: &OrganizationId,
        entries: &[FeedEntry],
    ) -> Result<(), StoreError> {
        self.concerned.look(self.tx.conn(), organization, entries).await
    }

    /// A row that was to change must be there, as it was when it was read.
    pub(crate) fn touched(&self, rows: u64, what: &str) -> Result<(), StoreError> {
        if rows > 0 {
            Ok(())
        } else {
            Err(StoreError::Stale(what.to_owned()))
        }
    }

    /// Appends to the feed. The counter's row stays locked until the commit, so that numbers are dense and become
    /// visible in their order.
    pub(crate) async fn append(
        &mut self,
        organization: &OrganizationId,
        entries: Vec<FeedEntry>,
    ) -> Result<(), StoreError> {
        let Ok(count) = i64::try_from(entries.len()) else {
            return Err(StoreError::Corrupt {
                what: "feed",
                problem: "too many entries".to_owned(),
            });
        };
        if count == 0 {
            return Ok(());
        }
        self.concerned
            .look(self.tx.conn(), organization, &entries)
            .await?;
        let last: i64 = sql::query_scalar(
            "INSERT INTO feed_heads (organization_id, seq) VALUES ($1, $2)
             ON CONFLICT (organization_id) DO UPDATE SET seq = feed_heads.seq + excluded.seq
             RETURNING seq",
        )
        .bind(organization.as_str())
        .bind(count)
        .fetch_one(self.conn())
        .await
        .map_err(failed)?;
        let mut numbered = Vec::with_capacity(entries.len());
        for (entry, seq) in entries.into_iter().zip(last - count + 1..) {
            let connections = document(&self.concerned.of(&entry.subject))?;
            let texts = (document(&entry.changed)?, document(&entry.origin)?, connections);
            numbered.push((seq, texts, entry));
        }
        let webhook = self.webhook.clone();
        let mut rows = numbered.into_iter().peekable();
        while rows.peek().is_some() {
            let mut insert = QueryBuilder::new(
                "INSERT INTO changes
                    (organization_id, seq, action, subject, kind, version, changed, origin, at, connections,
                     webhook) ",
            );
            insert.push_values(
                rows.by_ref().take(rows_per_insert(11)),
                |mut row, (seq, (changed, origin, connections), entry)| {
                    row.push_bind(organization.as_str())
                        .push_bind(seq)
                        .push_bind(entry.action.name())
                        .push_bind(entry.subject)
                        .push_bind(entry.kind)
                        .push_bind(entry.version)
                        .push_bind(changed)
                        .push_bind(origin)
                        .push_bind(entry.at)
                        .push_bind(connections)
                        .push_bind(webhook.as_ref().map(|id| id.as_str()));
                },
            );
            insert.build().execute(self.conn()).await.map_err(failed)?;
        }
        self.heads.push(FeedHead {
            organization: organization.clone(),
            seq: last,
        });
        Ok(())
    }

    /// Commits, then rings.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        // References are checked here: a row that something in this transaction refers to may be gone by now.
        self.tx
            .commit()
            .await
            .map_err(refused("something that a new row refers to"))?;
        self.checkpoints.committed();
        self.bells.ring(self.heads, self.wakes);
        Ok(())
    }
}
