//! The connector keeps the contract, spoken to Google's stand-in over real HTTP.

use connector_google::{GoogleConnector, connector};
use connector_sdk::{Connector, Context, RemoteId};
use http::Method;
use model::{Content, PartKey};
use serde_json::json;
use simulators::faults::{Fault, Match};
use simulators::google_calendar::{
    AccountConfig, CalendarConfig, Config, GoogleCalendar, GoogleCalendarServer, ManualClock,
};
use testkit::conformance::{Subject, context, run};

const EMAIL: &str = "ada@example.org";
const TOKEN: &str = "ya29.secret-token";
const ZONE: &str = "Europe/Berlin";

struct Simulated {
    google: GoogleCalendarServer,
    connector: GoogleConnector,
    context: Context,
}

async fn fresh() -> anyhow::Result<Simulated> {
    let clock = ManualClock::at("2026-01-01T00:00:00Z".parse()?);
    let account = AccountConfig::new(EMAIL).access_token(TOKEN);
    let calendar = CalendarConfig::new(EMAIL, EMAIL).summary("Ada").time_zone(ZONE);
    let config = Config::new(clock.clock())
        .account(account)
        .calendar(calendar)
        .page_size_cap(2);
    let google = GoogleCalendar::start(config).await?;
    Ok(Simulated {
        context: context(&google.api_url(), &json!({"access_token": TOKEN}), &json!({}))?,
        connector: connector(),
        google,
    })
}

#[async_trait::async_trait]
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
        RemoteId(EMAIL.to_owned())
    }

    fn absent(&self) -> RemoteId {
        RemoteId("neverthere0".to_owned())
    }

    async fn put(&self, content: &Content) -> anyhow::Result<RemoteId> {
        let body = mapping::google::insert(content, &PartKey::MASTER, ZONE)?;
        let event = self
            .google
            .calendar(EMAIL)
            .insert(body)
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let id = event["id"].as_str().ok_or_else(|| anyhow::anyhow!("no id"))?;
        Ok(RemoteId(id.to_owned()))
    }

    async fn retitle(&self, id: &RemoteId, title: &str) -> anyhow::Result<()> {
        let patched = self
            .google
            .calendar(EMAIL)
            .patch(&id.0, json!({"summary": title}));
        patched.map(drop).map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    async fn delete(&self, id: &RemoteId) -> anyhow::Result<()> {
        let deleted = self.google.calendar(EMAIL).delete(&id.0);
        deleted.map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    async fn expire_cursors(&self) -> anyhow::Result<()> {
        self.google.expire_sync_tokens();
        Ok(())
    }

    async fn revoke(&self) -> anyhow::Result<()> {
        self.google.revoke(EMAIL);
        Ok(())
    }

    async fn lose_next_answer(&self) -> bool {
        self.google
            .faults()
            .next(Match::method(Method::POST), Fault::LoseResponse);
        true
    }

    fn writes(&self) -> usize {
        self.google.log().writes()
    }

    fn mails(&self) -> usize {
        self.google.notifications().len()
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
}

#[tokio::test]
async fn the_connector_keeps_the_contract() {
    run(async || fresh().await).await.unwrap();
}
