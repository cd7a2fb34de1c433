//! The connector keeps the contract: on a server that follows the specifications, on poorer ones, and on a real
//! Radicale behind a proxy that breaks what a test wants broken.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use async_trait::async_trait;
use connector_caldav::CaldavConnector;
use connector_sdk::{Connector, Context, RemoteId};
use http::{Method, StatusCode};
use mapping::ical::Stamp;
use model::{Content, FieldPath};
use serde_json::{Value, json};
use simulators::caldav::{CaldavServer, CalendarHandle, Quirks};
use simulators::faults::{Fault as SimulatedFault, Match};
use testkit::conformance::{Subject, context, run};
use testkit::harness::{CountingProxy, Fault, FaultAction, Radicale};

use crate::account::{PASSWORD, simulated};

const STAMP: Stamp = Stamp {
    now: jiff::Timestamp::UNIX_EPOCH,
};

/// A new object for a record, as another client writes it.
fn object(content: &Content, number: usize) -> anyhow::Result<String> {
    let mut content = content.clone();
    content
        .fields
        .entry("uid".to_owned())
        .or_insert_with(|| json!(format!("put-{number}")));
    let every = content.paths().collect();
    Ok(String::from_utf8(mapping::ical::write(
        None, &content, &every, STAMP,
    )?)?)
}

fn retitled(ics: &str, title: &str) -> anyhow::Result<String> {
    let mut content = mapping::ical::read(ics.as_bytes())?;
    let path = FieldPath::master("title");
    content.set(&path, Some(Value::from(title)));
    let changed = BTreeSet::from([path]);
    Ok(String::from_utf8(mapping::ical::write(
        Some(ics.as_bytes()),
        &content,
        &changed,
        STAMP,
    )?)?)
}

fn name_of(id: &RemoteId) -> &str {
    id.0.rsplit('/').next().unwrap_or_default()
}

struct Simulated {
    connector: CaldavConnector,
    server: CaldavServer,
    calendar: CalendarHandle,
    context: Context,
    count: AtomicUsize,
}

async fn fresh(quirks: Quirks) -> anyhow::Result<Simulated> {
    let server = simulated(0, quirks).await;
    let login = json!({"username": "alice", "password": PASSWORD});
    Ok(Simulated {
        connector: connector_caldav::connector(),
        calendar: server.calendar("alice", "work"),
        context: context(server.base_url(), &login, &Value::Null)?,
        server,
        count: AtomicUsize::new(0),
    })
}

#[async_trait]
impl Subject for Simulated {
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }

    fn context(&self) -> Context {
        let mut context = self.context.clone();
        context.cancel = context.cancel.child_token();
        context
    }

    fn collection(&self) -> RemoteId {
        RemoteId(self.calendar.path())
    }

    fn absent(&self) -> RemoteId {
        RemoteId(self.calendar.path_of("never.ics"))
    }

    async fn put(&self, content: &Content) -> anyhow::Result<RemoteId> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("put-{number}.ics");
        self.calendar.put(&name, object(content, number)?)?;
        Ok(RemoteId(self.calendar.path_of(&name)))
    }

    async fn retitle(&self, id: &RemoteId, title: &str) -> anyhow::Result<()> {
        let ics = self.calendar.get(name_of(id)).context("it is not there")?.ics;
        self.calendar.put(name_of(id), retitled(&ics, title)?)?;
        Ok(())
    }

    async fn delete(&self, id: &RemoteId) -> anyhow::Result<()> {
        Ok(self.calendar.delete(name_of(id))?)
    }

    async fn expire_cursors(&self) -> anyhow::Result<()> {
        Ok(self.calendar.expire_sync_tokens()?)
    }

    async fn revoke(&self) -> anyhow::Result<()> {
        Ok(self.server.set_password("alice", None)?)
    }

    async fn lose_next_answer(&self) -> bool {
        for method in [Method::PUT, Method::DELETE] {
            self.server
                .faults()
                .next(Match::method(method), SimulatedFault::LoseResponse);
        }
        true
    }

    async fn put_unreadable(&self) -> anyhow::Result<Option<RemoteId>> {
        self.calendar.put(
            "broken.ics",
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nthis is no line\r\n",
        )?;
        Ok(Some(RemoteId(self.calendar.path_of("broken.ics"))))
    }

    fn writes(&self) -> usize {
        self.server.log().writes()
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}

#[tokio::test]
async fn a_server_that_follows_the_specifications() {
    run(async || {
        fresh(Quirks {
            page_size: Some(2),
            ..Quirks::default()
        })
        .await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_server_that_is_read_back_after_each_write() {
    let quirks = Quirks {
        page_size: Some(2),
        no_etag_on_put: true,
        dav_without_prefix: true,
        absolute_hrefs: true,
        ..Quirks::default()
    };
    run(async || fresh(quirks.clone()).await).await.unwrap();
}

#[tokio::test]
async fn a_server_without_etags() {
    run(async || {
        fresh(Quirks {
            page_size: Some(2),
            no_etags: true,
            ..Quirks::default()
        })
        .await
    })
    .await
    .unwrap();
}

struct Real {
    connector: CaldavConnector,
    server: Radicale,
    proxy: CountingProxy,
    context: Context,
    count: AtomicUsize,
}

async fn real() -> anyhow::Result<Real> {
    let server = Radicale::start().await?;
    server.load_collection("alice", "work", Vec::<(&str, &str)>::new())?;
    let proxy = CountingProxy::start(server.base_url()).await?;
    let login = json!({"username": "alice", "password": server.credentials.password});
    Ok(Real {
        connector: connector_caldav::connector(),
        context: context(proxy.base_url()?.as_str(), &login, &Value::Null)?,
        server,
        proxy,
        count: AtomicUsize::new(0),
    })
}

#[async_trait]
impl Subject for Real {
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }

    fn context(&self) -> Context {
        let mut context = self.context.clone();
        context.cancel = context.cancel.child_token();
        context
    }

    fn collection(&self) -> RemoteId {
        RemoteId("/alice/work/".to_owned())
    }

    fn absent(&self) -> RemoteId {
        RemoteId("/alice/work/never.ics".to_owned())
    }

    async fn put(&self, content: &Content) -> anyhow::Result<RemoteId> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("put-{number}.ics");
        self.server
            .put("alice", "work", &name, &object(content, number)?, None)
            .await?;
        Ok(RemoteId(format!("/alice/work/{name}")))
    }

    async fn retitle(&self, id: &RemoteId, title: &str) -> anyhow::Result<()> {
        let ics = self
            .server
            .read_item("alice", "work", name_of(id))?
            .context("it is not there")?;
        self.server
            .put("alice", "work", name_of(id), &retitled(&ics, title)?, None)
            .await?;
        Ok(())
    }

    async fn delete(&self, id: &RemoteId) -> anyhow::Result<()> {
        self.server.delete("alice", "work", name_of(id)).await
    }

    /// Radicale forgets tokens after 30 days; this is its answer then.
    async fn expire_cursors(&self) -> anyhow::Result<()> {
        let refusal =
            "<?xml version='1.0' encoding='utf-8'?>\n<error xmlns=\"DAV:\"><valid-sync-token /></error>";
        let action = FaultAction::Status(StatusCode::FORBIDDEN, refusal.to_owned());
        self.proxy
            .inject(Fault::new(action).method(Method::from_bytes(b"REPORT")?));
        Ok(())
    }

    async fn revoke(&self) -> anyhow::Result<()> {
        let action = FaultAction::Status(
            StatusCode::UNAUTHORIZED,
            "Access to the requested resource forbidden.".to_owned(),
        );
        self.proxy.inject(Fault::new(action).always());
        Ok(())
    }

    async fn lose_next_answer(&self) -> bool {
        self.proxy
            .inject(Fault::new(FaultAction::LoseAnswer).method(Method::PUT));
        true
    }

    fn writes(&self) -> usize {
        self.proxy.writes().len()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.server.credentials.password.clone()]
    }
}

#[tokio::test]
async fn a_real_radicale() {
    run(async || real().await).await.unwrap();
}
