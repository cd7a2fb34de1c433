//! Writing: flags and labels, and deletes. What was sent is never written.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use connector_sdk::{
    Action, Applied, Change, Context, Error, ErrorKind, Push, RemoteCollection, RemoteId, Target, Write,
};
use mapping::mime::Noted;
use model::{Content, FieldPath};

use crate::fetch::{self, items};
use crate::find::by_mark;
use crate::ids::{self, State};
use crate::pull::uid_in;
use crate::session::{Opened, Session};
use crate::wire::connection::Command;
use crate::wire::reply::{Code, Fetched, Reply};

pub(crate) struct ImapPush;

#[async_trait]
impl Push for ImapPush {
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        let mut outcomes = Vec::with_capacity(writes.len());
        let mut folder: Option<Folder<'_>> = None;
        for write in writes {
            let outcome = match folder.take() {
                Some(open) => Ok(open),
                None => Folder::open(ctx, collection, operation(write)).await,
            };
            let outcome = match outcome {
                Ok(mut open) => {
                    let outcome = open.carry_out(write).await;
                    // After a broken connection the next write gets a new one.
                    folder = Some(open).filter(|_| {
                        outcome
                            .as_ref()
                            .err()
                            .is_none_or(|error| error.kind != ErrorKind::Unavailable)
                    });
                    outcome
                }
                Err(error) => Err(error),
            };
            outcomes.push(outcome);
        }
        if let Some(folder) = folder {
            folder.session.close().await;
        }
        outcomes
    }

    async fn probe(
        &self,
        _ctx: &Context,
        _collection: &RemoteCollection,
        _write: &Write,
    ) -> Result<Option<Applied>, Error> {
        let message = "messages are not made by this connector";
        Err(Error::new(ErrorKind::Unsupported, "probe", message))
    }
}

const fn operation(write: &Write) -> &'static str {
    match &write.action {
        Action::Create { .. } => "push.create",
        Action::Update { .. } => "push.update",
        Action::Delete { .. } => "push.delete",
    }
}

/// An open folder that is written to.
struct Folder<'a> {
    session: Session<'a>,
    opened: Opened,
}

/// The message that a write goes to, as it is now.
struct Present {
    uid: u32,
    flags: Vec<String>,
    modseq: Option<u64>,
}

impl<'a> Folder<'a> {
    async fn open(
        ctx: &'a Context,
        collection: &RemoteCollection,
        operation: &'static str,
    ) -> Result<Self, Error> {
        let mut session = Session::open(ctx, operation).await?;
        let opened = session.select(&collection.id, None).await?;
        Ok(Self { session, opened })
    }

    async fn carry_out(&mut self, write: &Write) -> Result<Applied, Error> {
        match &write.action {
            Action::Create { .. } => {
                let message = "messages are not made by this connector";
                Err(self.session.error(ErrorKind::Unsupported, message))
            }
            Action::Update {
                target,
                content,
                changed,
            } => self.update(target, content, changed).await,
            Action::Delete { target } => self.delete(target).await,
        }
    }

    async fn update(
        &mut self,
        target: &Target,
        content: &Content,
        changed: &BTreeSet<FieldPath>,
    ) -> Result<Applied, Error> {
        let Some(now) = self.present(target).await? else {
            let message = "the message is not there any more; nothing was written";
            return Err(self.session.error(ErrorKind::NotFound, message));
        };
        self.check_version(target, &now)?;
        let before = Noted::of_words(now.flags.iter().map(String::as_str));
        let mut after = before.clone();
        let wanted = Noted::of_fields(&content.fields);
        for path in changed {
            match path.field.as_str() {
                "flags" => after.flags.clone_from(&wanted.flags),
                "labels" => after.labels.clone_from(&wanted.labels),
                _ => {}
            }
        }
        if after.canonical() != before {
            self.check_can_keep(&after, &before)?;
            self.store(&now, &after, &before).await?;
        }
        self.read_back(target, now.uid).await
    }

    /// Sets the flags on the condition that they are as they were read.
    async fn store(&mut self, now: &Present, after: &Noted, before: &Noted) -> Result<(), Error> {
        let words = after.words();
        let uid = now.uid;
        if let Some(modseq) = now.modseq {
            // System flags that the model does not know stay (all but \Recent, which nobody can set).
            let kept = now.flags.iter().filter(|flag| {
                flag.starts_with('\\')
                    && !flag.eq_ignore_ascii_case("\\Recent")
                    && Noted::of_words([flag.as_str()]) == Noted::default()
            });
            let all: Vec<&str> = kept.chain(&words).map(String::as_str).collect();
            let command = format!(
                "UID STORE {uid} (UNCHANGEDSINCE {modseq}) FLAGS.SILENT ({})",
                all.join(" ")
            );
            return self.store_unless_changed(command).await;
        }
        // Without numbered changes nothing guards the write: it names what it changes and leaves the rest alone.
        let old = before.words();
        let differences = [("+", &words, &old), ("-", &old, &words)];
        for (sign, these, others) in differences {
            let named: Vec<&str> = these
                .iter()
                .filter(|word| !others.contains(word))
                .map(String::as_str)
                .collect();
            if !named.is_empty() {
                let command = format!("UID STORE {uid} {sign}FLAGS.SILENT ({})", named.join(" "));
                self.session
                    .run(Command::new(command), ErrorKind::Invalid, drop)
                    .await?;
            }
        }
        Ok(())
    }

    /// RFC 7162 section 3.1.3: what changed meanwhile is named in `MODIFIED`, and not written.
    async fn store_unless_changed(&mut self, command: String) -> Result<(), Error> {
        let done = self
            .session
            .run(Command::new(command), ErrorKind::Invalid, drop)
            .await?;
        if done.code == Code::Word("MODIFIED".to_owned()) {
            return Err(self.changed_since());
        }
        Ok(())
    }

    async fn delete(&mut self, target: &Target) -> Result<Applied, Error> {
        let Some(now) = self.present(target).await? else {
            return Ok(Applied::Gone);
        };
        self.check_version(target, &now)?;
        if self.opened.read_only {
            return Err(self.read_only());
        }
        let uid = now.uid;
        if !self.session.can("UIDPLUS") {
            self.check_alone(uid).await?;
        }
        match now.modseq {
            Some(modseq) => {
                let mark = format!("UID STORE {uid} (UNCHANGEDSINCE {modseq}) +FLAGS.SILENT (\\Deleted)");
                self.store_unless_changed(mark).await?;
            }
            None => {
                let mark = Command::new(format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
                self.session.run(mark, ErrorKind::Invalid, drop).await?;
            }
        }
        let expunge = if self.session.can("UIDPLUS") {
            format!("UID EXPUNGE {uid}")
        } else {
            "EXPUNGE".to_owned()
        };
        self.session
            .run(Command::new(expunge), ErrorKind::Invalid, drop)
            .await?;
        Ok(Applied::Gone)
    }

    /// A server without UIDPLUS (RFC 4315) removes everything that is marked, other clients' messages too.
    async fn check_alone(&mut self, uid: u32) -> Result<(), Error> {
        let mut marked = Vec::new();
        let search = Command::new("UID SEARCH DELETED");
        self.session
            .run(search, ErrorKind::Unexpected, |reply| {
                if let Reply::Found(uids) = reply {
                    marked.extend(uids);
                }
            })
            .await?;
        if marked.iter().all(|other| *other == uid) {
            return Ok(());
        }
        let message = "other messages of this folder are marked for removal, and the server cannot remove this one \
                       alone; nothing was removed. Tidy the folder up with a mail program, then try again";
        Err(self.session.error(ErrorKind::Unsupported, message))
    }

    /// The message as it is now, without its body.
    async fn present(&mut self, target: &Target) -> Result<Option<Present>, Error> {
        let Some(uid) = self.uid(target).await? else {
            return Ok(None);
        };
        let command = Command::new(format!("UID FETCH {uid} {}", items(&self.session, "")));
        let mut found = None;
        self.session
            .run(command, ErrorKind::Unexpected, |reply| {
                if let Reply::Message(message) = reply
                    && message.uid == Some(uid)
                    && let Fetched {
                        flags: Some(flags),
                        modseq,
                        ..
                    } = *message
                {
                    found = Some(Present { uid, flags, modseq });
                }
            })
            .await?;
        let numbered = self.opened.modseq.is_some();
        Ok(found.map(|found| Present {
            modseq: found.modseq.filter(|_| numbered),
            ..found
        }))
    }

    /// Under which UID it is: as last seen, else as its id says, else it is looked for.
    async fn uid(&mut self, target: &Target) -> Result<Option<u32>, Error> {
        let validity = self.opened.validity;
        if let Some((place, _)) = target.version.as_ref().and_then(ids::parse_version)
            && place.validity == validity
        {
            return Ok(Some(place.uid));
        }
        let Some(id) = &target.id else { return Ok(None) };
        if let Some(uid) = uid_in(id, validity) {
            return Ok(Some(uid));
        }
        let Some((_, mark)) = ids::parse_id(id) else {
            return Ok(None);
        };
        let found = by_mark(&mut self.session, &mark, &BTreeSet::new()).await?;
        Ok(found.map(|message| message.uid))
    }

    fn check_version(&self, target: &Target, now: &Present) -> Result<(), Error> {
        let Some(version) = &target.version else {
            return Ok(());
        };
        let state = State::of(now.modseq, &now.flags);
        match ids::parse_version(version) {
            Some((place, read)) if place.validity == self.opened.validity && read == state => Ok(()),
            Some(_) | None => Err(self.changed_since()),
        }
    }

    fn changed_since(&self) -> Error {
        let message = "the message changed since it was read; nothing was written";
        self.session.error(ErrorKind::VersionConflict, message)
    }

    fn read_only(&self) -> Error {
        let message = "this folder can only be read; nothing was written";
        self.session.error(ErrorKind::PermissionDenied, message)
    }

    fn check_can_keep(&self, after: &Noted, before: &Noted) -> Result<(), Error> {
        if self.opened.read_only {
            return Err(self.read_only());
        }
        let permanent = &self.opened.permanent;
        let known = |word: &String| permanent.iter().any(|kept| kept.eq_ignore_ascii_case(word));
        if permanent.is_empty() || permanent.iter().any(|kept| kept == "\\*") {
            return Ok(());
        }
        let had = before.words();
        match after
            .words()
            .iter()
            .find(|word| !had.contains(word) && !known(word))
        {
            Some(word) => {
                let message = format!("this folder cannot keep `{word}`; nothing was written");
                Err(self.session.error(ErrorKind::Invalid, message))
            }
            None => Ok(()),
        }
    }

    /// The message as the server holds it. Its body is not read again: it cannot have changed.
    async fn read_back(&mut self, target: &Target, uid: u32) -> Result<Applied, Error> {
        let raw = target.raw.clone().filter(|raw| !raw.is_empty());
        let seen = match raw {
            Some(raw) => fetch::restated(&mut self.session, uid, raw).await?,
            None => fetch::whole(&mut self.session, &[uid], &BTreeMap::new())
                .await?
                .into_iter()
                .next(),
        };
        let Some(seen) = seen else {
            return Ok(Applied::Gone);
        };
        let validity = self.opened.validity;
        let id = target.id.clone().unwrap_or_else(|| RemoteId(String::new()));
        match seen.change(validity, id) {
            Change::Present(object) => Ok(Applied::Stored(object)),
            Change::Unreadable { reason, .. } => Err(self.session.error(ErrorKind::Unexpected, reason)),
            Change::Unchanged(_) | Change::Deleted(_) => Ok(Applied::Gone),
        }
    }
}
