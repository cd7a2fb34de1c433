//! Two connections and a mirror, made the first time and found again later.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::client::Client;
use super::vendors::Vendors;
use super::{caldav, google};
use crate::failure::Failure;

/// How long copies may take to reach the other side before the demo says that it is ready all the same.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the banner speaks of.
pub(super) struct Scene {
    /// How many events the hub has.
    pub(super) events: usize,
    /// An event of the mirrored calendar.
    pub(super) example: Option<Example>,
}

/// An event that is in both calendars.
pub(super) struct Example {
    pub(super) id: String,
    pub(super) title: String,
    /// Its address at the CalDAV server.
    pub(super) remote_id: String,
}

/// Makes or finds connections and mirror, and waits for the first syncs.
pub(super) async fn prepare(
    client: &Client,
    vendors: &Vendors,
    shown: &MultiProgress,
) -> Result<Scene, Failure> {
    let connections = client.get("/v1/connections").await?;
    let google_config =
        json!({ "base_url": vendors.google.api_url(), "token_url": vendors.google.token_url() });
    let caldav_config = json!({ "base_url": vendors.caldav.base_url() });
    let google = Wanted {
        provider: "google",
        name: "Google Calendar (simulated)",
        config: google_config,
        credentials: json!({ "access_token": google::TOKEN }),
    };
    let caldav = Wanted {
        provider: "caldav",
        name: "CalDAV (simulated)",
        config: caldav_config,
        credentials: json!({ "username": caldav::ACCOUNT, "password": caldav::PASSWORD }),
    };
    tokio::try_join!(
        google.connected(client, &connections, shown),
        caldav.connected(client, &connections, shown),
    )?;
    mirror(client).await?;
    let bar = bar(shown, "Copies to the other side");
    client
        .settled(PATIENCE, |left| bar.set_message(format!("{left} on their way")))
        .await?;
    bar.finish_with_message("done");
    scene(client).await
}

/// A connection as it shall be.
struct Wanted {
    provider: &'static str,
    name: &'static str,
    config: Value,
    credentials: Value,
}

impl Wanted {
    /// Makes the connection, or tells a known one where its provider now is; then syncs it.
    async fn connected(&self, client: &Client, known: &Value, shown: &MultiProgress) -> Result<(), Failure> {
        let bar = bar(shown, self.name);
        let known = known
            .as_array()
            .into_iter()
            .flatten()
            .find(|known| known["provider"] == self.provider);
        let job = match known {
            None => {
                let body = json!({
                    "provider": self.provider,
                    "name": self.name,
                    "config": self.config,
                    "credentials": self.credentials,
                });
                let made = client.post("/v1/connections", &body).await?;
                made["job_id"].as_str().unwrap_or_default().to_owned()
            }
            Some(known) => {
                let id = known["id"].as_str().unwrap_or_default();
                if known["config"] != self.config {
                    client
                        .patch(
                            &format!("/v1/connections/{id}"),
                            &json!({ "config": self.config }),
                        )
                        .await?;
                }
                let job = client
                    .post(&format!("/v1/connections/{id}/sync"), &json!({}))
                    .await?;
                job["id"].as_str().unwrap_or_default().to_owned()
            }
        };
        client
            .ended(&job, |done, total| {
                bar.set_message(match total {
                    Some(total) => format!("{done} of {total}"),
                    None => format!("{done} objects"),
                });
            })
            .await?;
        bar.finish_with_message("done");
        Ok(())
    }
}

fn bar(shown: &MultiProgress, name: &str) -> ProgressBar {
    let bar = shown.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("  {spinner:.cyan} {prefix:<28} {msg}") {
        bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏✓"));
    }
    bar.set_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(80));
    bar
}

/// The mirror of the team's calendar, made when there is none.
async fn mirror(client: &Client) -> Result<(), Failure> {
    if client
        .get("/v1/mirrors")
        .await?
        .as_array()
        .is_some_and(|mirrors| !mirrors.is_empty())
    {
        return Ok(());
    }
    let calendars = client.get("/v1/calendars").await?;
    let id_of = |wanted: &dyn Fn(&Value) -> bool| {
        let found = calendars
            .as_array()
            .into_iter()
            .flatten()
            .find(|calendar| wanted(calendar));
        found
            .and_then(|calendar| calendar["id"].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let team = id_of(&|calendar| calendar["remote_id"] == google::TEAM);
    let work = id_of(&|calendar| calendar["provider"] == "caldav" && calendar["name"] == caldav::WORK);
    let body = json!({
        "name": "Team, in both calendars",
        "members": [{"collection_id": team, "role": "both"}, {"collection_id": work, "role": "both"}],
    });
    client.post("/v1/mirrors", &body).await?;
    // Its links come into being in a job of their own.
    let jobs = client.get("/v1/jobs?limit=50").await?;
    let made = jobs
        .as_array()
        .into_iter()
        .flatten()
        .find(|job| job["task"] == "mirror");
    match made.and_then(|job| job["id"].as_str()) {
        Some(id) => client.ended(id, |_, _| {}).await,
        None => Ok(()),
    }
}

async fn scene(client: &Client) -> Result<Scene, Failure> {
    let calendars = client.get("/v1/calendars").await?;
    let calendars: Vec<&Value> = calendars.as_array().into_iter().flatten().collect();
    let count = |calendar: &Value| calendar["counts"]["events"].as_u64().unwrap_or_default();
    let copies = calendars
        .iter()
        .filter(|calendar| calendar["name"] == caldav::WORK);
    let copies: u64 = copies.map(|calendar| count(calendar)).sum();
    let all: u64 = calendars.iter().map(|calendar| count(calendar)).sum();
    let team = calendars
        .iter()
        .find(|calendar| calendar["remote_id"] == google::TEAM);
    let team = team
        .and_then(|calendar| calendar["id"].as_str())
        .unwrap_or_default();
    let events = client
        .get(&format!("/v1/events?calendar_id={team}&limit=200"))
        .await?;
    let example = events
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["recurrence"].is_null());
    let mut example = example.filter_map(|event| {
        let links = event["links"].as_array()?;
        let copy = links.iter().find(|link| link["collection_id"] != team)?;
        Some(Example {
            id: event["id"].as_str()?.to_owned(),
            title: event["title"].as_str()?.to_owned(),
            remote_id: copy["remote_id"].as_str()?.to_owned(),
        })
    });
    let events = usize::try_from(all.saturating_sub(copies)).unwrap_or_default();
    Ok(Scene {
        events,
        example: example.next(),
    })
}
