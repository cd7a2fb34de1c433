//! The connector keeps the contract, on a server with all that the protocol offers and on poorer ones.

use async_trait::async_trait;
use connector_sdk::{Connector, Context, RemoteId};
use mapping::mime::Noted;
use model::{Content, Kind};
use testkit::conformance::{Subject, run};

use crate::account::{Account, FOLDER, USER, message};

#[async_trait]
impl Subject for Account {
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }

    fn context(&self) -> Context {
        let mut context = self.context.clone();
        context.cancel = context.cancel.child_token();
        context
    }

    fn kind(&self) -> Kind {
        Kind::Message
    }

    fn collection(&self) -> RemoteId {
        RemoteId(FOLDER.to_owned())
    }

    fn absent(&self) -> RemoteId {
        RemoteId("7.4294967295.10.0123456789abcdef".to_owned())
    }

    async fn put(&self, content: &Content) -> anyhow::Result<RemoteId> {
        let subject = content.fields["subject"].as_str().unwrap_or_default();
        self.server.append(USER, FOLDER, message(subject).as_bytes())?;
        let uid = self.server.uids(USER, FOLDER, &["all"])?.pop();
        let uid = uid.ok_or_else(|| anyhow::anyhow!("it is not there"))?;
        let words = Noted::of_fields(&content.fields).words();
        self.server.add_flags(USER, FOLDER, uid, &words.join(" "))?;
        let mut known = connector_sdk::Known::new();
        self.pull(None, &mut known).await?;
        let id = known.into_keys().find(|id| Self::uid(id) == uid);
        id.ok_or_else(|| anyhow::anyhow!("the connector does not see it"))
    }

    async fn retitle(&self, id: &RemoteId, title: &str) -> anyhow::Result<()> {
        let uid = Self::uid(id).to_string();
        let flags = format!("\\Seen \\Flagged {title}");
        let words = [
            "flags", "replace", "-u", USER, &flags, "mailbox", FOLDER, "uid", &uid,
        ];
        self.server.doveadm(&words, b"").map(drop)
    }

    async fn delete(&self, id: &RemoteId) -> anyhow::Result<()> {
        self.server.expunge(USER, FOLDER, Self::uid(id))
    }

    async fn expire_cursors(&self) -> anyhow::Result<()> {
        self.server.renumber(USER, FOLDER, 4_000_000_000)
    }

    async fn revoke(&self) -> anyhow::Result<()> {
        self.server.revoke().await
    }

    async fn put_unreadable(&self) -> anyhow::Result<Option<RemoteId>> {
        Ok(None)
    }

    fn writes(&self) -> usize {
        self.dial.writes()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.server.password().to_owned()]
    }
}

#[tokio::test]
async fn a_server_that_tells_what_vanished() {
    run(async || Account::start(&[]).await).await.unwrap();
}

#[tokio::test]
async fn a_server_that_numbers_changes_only() {
    run(async || Account::start(&["QRESYNC"]).await).await.unwrap();
}

#[tokio::test]
async fn a_server_that_numbers_nothing() {
    run(async || Account::start(&["QRESYNC", "CONDSTORE"]).await)
        .await
        .unwrap();
}
