//! Reading a folder: what changed since a cursor, or everything, the newest first.

use std::collections::{BTreeMap, BTreeSet};

use async_stream::try_stream;
use async_trait::async_trait;
use connector_sdk::{
    Change, Context, Error, ErrorKind, Listing, Page, Pull, PullRequest, RemoteCollection, RemoteId,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::changes::{self, Told};
use crate::fetch::{self, BYTES_AT_ONCE};
use crate::folders;
use crate::ids::{self, Reached, State};
use crate::names::Names;
use crate::session::{Opened, Session, Since};
use crate::wire::connection::Command;
use crate::wire::reply::Reply;

/// Most messages on one page.
pub(crate) const PAGE: usize = 200;
/// Most changes of flags on one page.
const FLAGS_PER_PAGE: usize = 1_000;

pub(crate) struct ImapPull {
    /// Most messages on one page.
    pub(crate) page: usize,
}

#[async_trait]
impl Pull for ImapPull {
    async fn collections(&self, ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
        folders::collections(ctx).await
    }

    fn pages<'a>(&'a self, ctx: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>> {
        try_stream! {
            let mut reading = Reading::begin(ctx, request).await?;
            let full = request.cursor.is_none();
            let Told { changes, new } = match request.cursor {
                Some(_) => reading.told().await?,
                None => reading.everything().await?,
            };
            let mut pages = reading.batches(&new, self.page).into_iter().map(Work::Messages).collect::<Vec<_>>();
            let mut changes = changes.into_iter().peekable();
            let mut settled = Vec::new();
            while changes.peek().is_some() {
                settled.push(Work::Settled(changes.by_ref().take(FLAGS_PER_PAGE).collect()));
            }
            // What is known comes first: it is small, and what was deleted is no longer shown.
            settled.append(&mut pages);
            let last = settled.len().saturating_sub(1);
            if settled.is_empty() {
                settled.push(Work::Settled(Vec::new()));
            }
            for (at, work) in settled.into_iter().enumerate() {
                if ctx.cancel.is_cancelled() {
                    Err(Error::new(ErrorKind::Unavailable, "pull", "the work was stopped"))?;
                }
                let changes = match work {
                    Work::Settled(changes) => changes,
                    Work::Messages(uids) => reading.messages(&uids).await?,
                };
                let is_last = at == last;
                yield Page {
                    changes,
                    cursor: is_last.then(|| reading.reached().cursor()),
                    listing: match (full, is_last) {
                        (false, _) => Listing::Delta,
                        (true, false) => Listing::Partial,
                        (true, true) => Listing::Complete,
                    },
                };
            }
            reading.session.close().await;
        }
        .boxed()
    }

    async fn fetch(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut session = Session::open(ctx, "fetch").await?;
        let opened = session.select(&collection.id, None).await?;
        let found = crate::find::objects(&mut session, opened.validity, ids).await?;
        session.close().await;
        Ok(found)
    }
}

/// A page to come.
enum Work {
    /// What is settled already.
    Settled(Vec<Change>),
    /// Messages to be read whole.
    Messages(Vec<u32>),
}

/// A folder while it is read.
struct Reading<'a> {
    ctx: &'a Context,
    request: PullRequest<'a>,
    session: Session<'a>,
    opened: Opened,
    names: Names,
    sizes: BTreeMap<u32, u32>,
    since: Option<Reached>,
}

impl<'a> Reading<'a> {
    async fn begin(ctx: &'a Context, request: PullRequest<'a>) -> Result<Self, Error> {
        let expired = |message: &str| Error::new(ErrorKind::CursorExpired, "pull", message);
        let since = match request.cursor {
            Some(cursor) => Some(Reached::parse(cursor).ok_or_else(|| expired("the cursor cannot be read"))?),
            None => None,
        };
        let mut session = Session::open(ctx, "pull").await?;
        let named = since.filter(|reached| reached.modseq > 0).map(|reached| Since {
            validity: reached.validity,
            modseq: reached.modseq,
        });
        let opened = session.select(&request.collection.id, named).await?;
        if since.is_some_and(|reached| reached.validity != opened.validity) {
            return Err(expired(
                "the folder's messages have new numbers; everything is listed anew",
            ));
        }
        Ok(Self {
            ctx,
            request,
            session,
            names: Names::new(request.known, opened.validity),
            opened,
            sizes: BTreeMap::new(),
            since,
        })
    }

    /// Where the next pull goes on: what the folder said when it was opened, before anything was read of it.
    fn reached(&self) -> Reached {
        Reached {
            validity: self.opened.validity,
            next: self.opened.next,
            modseq: self.opened.modseq.unwrap_or_default(),
        }
    }

    async fn told(&mut self) -> Result<Told, Error> {
        let reached = self.since.unwrap_or_else(|| self.reached());
        let told = changes::since(&mut self.session, &mut self.opened, reached, &self.names).await?;
        self.measure(&told.new).await?;
        Ok(told)
    }

    /// Every message: those that are known in their present state, and those to be read.
    async fn everything(&mut self) -> Result<Told, Error> {
        let mut told = Told::default();
        if self.opened.exists == 0 {
            return Ok(told);
        }
        let there: Vec<u32> = changes::all_uids(&mut self.session).await?.into_iter().collect();
        let unchanged = self.measure(&there).await?;
        for uid in there.iter().rev() {
            match self.names.at(*uid) {
                Some((id, _)) if unchanged.contains(uid) => told.changes.push(Change::Unchanged(id.clone())),
                Some(_) | None => told.new.push(*uid),
            }
        }
        Ok(told)
    }

    /// Asks for sizes, so that questions can be bounded; which of the messages are known in their present state.
    async fn measure(&mut self, uids: &[u32]) -> Result<BTreeSet<u32>, Error> {
        let mut unchanged = BTreeSet::new();
        let items = fetch::items(&self.session, "");
        let numbered = self.session.condstore();
        for uids in uids.chunks(10_000) {
            let command = Command::new(format!("UID FETCH {} {items}", fetch::uid_set(uids)));
            let (names, sizes) = (&self.names, &mut self.sizes);
            self.session
                .run(command, ErrorKind::Unexpected, |reply| {
                    let Reply::Message(message) = reply else { return };
                    let Some(uid) = message.uid else { return };
                    if let Some(size) = message.size {
                        sizes.insert(uid, size);
                    }
                    let state = message
                        .flags
                        .map(|flags| State::of(message.modseq.filter(|_| numbered), &flags));
                    if let Some((_, Some(before))) = names.at(uid)
                        && state.as_ref() == Some(before)
                    {
                        unchanged.insert(uid);
                    }
                })
                .await?;
        }
        Ok(unchanged)
    }

    /// UIDs in groups that one question may ask for.
    fn batches(&self, uids: &[u32], page: usize) -> Vec<Vec<u32>> {
        let mut batches: Vec<Vec<u32>> = Vec::new();
        let mut bytes = 0;
        for uid in uids {
            let size = u64::from(
                self.sizes
                    .get(uid)
                    .copied()
                    .unwrap_or_default()
                    .min(fetch::WHOLE_UP_TO),
            );
            match batches.last_mut() {
                Some(batch) if batch.len() < page && bytes + size <= BYTES_AT_ONCE => {
                    batch.push(*uid);
                    bytes += size;
                }
                Some(_) | None => {
                    batches.push(vec![*uid]);
                    bytes = size;
                }
            }
        }
        batches
    }

    /// Messages read whole. A connection that breaks on the way is made once more.
    async fn messages(&mut self, uids: &[u32]) -> Result<Vec<Change>, Error> {
        let seen = match fetch::whole(&mut self.session, uids, &self.sizes).await {
            Err(error) if error.kind == ErrorKind::Unavailable && !self.ctx.cancel.is_cancelled() => {
                self.reconnect().await?;
                fetch::whole(&mut self.session, uids, &self.sizes).await?
            }
            outcome => outcome?,
        };
        let validity = self.opened.validity;
        Ok(seen
            .into_iter()
            .map(|message| {
                let id = self.names.name(message.uid, &message.mark);
                message.change(validity, id)
            })
            .collect())
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        let mut session = Session::open(self.ctx, "pull").await?;
        let opened = session.select(&self.request.collection.id, None).await?;
        if opened.validity != self.opened.validity {
            let message = "the folder's messages got new numbers while they were read";
            return Err(Error::new(ErrorKind::CursorExpired, "pull", message));
        }
        self.session = session;
        Ok(())
    }
}

/// Whether an id belongs to this generation of UIDs, and under which UID.
pub(crate) fn uid_in(id: &RemoteId, validity: u32) -> Option<u32> {
    let (place, _) = ids::parse_id(id)?;
    (place.validity == validity).then_some(place.uid)
}
