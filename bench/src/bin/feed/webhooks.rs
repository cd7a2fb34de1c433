//! From a provider's signed webhook to the client of a WebSocket: taken in, made durable, answered, worked on by whichever
//! node, committed to a record and the feed, told. Timed from the moment at which it was to be sent.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use connector_memory::delivery;
use connector_sdk::{Clock as _, RemoteId, SystemClock, WebhookSecret};
use futures::future::try_join_all;
use model::{Content, Fields};
use serde_json::{Value, json};
use testkit::harness::until;
use tokio::time::{Instant, interval};

use crate::clients::{connect, listen};
use crate::place::{Layout, Place, WORK};
use crate::spread::Spread;

/// Bound of every wait.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Open sockets.
    #[arg(long, default_value_t = 200)]
    sockets: usize,
    /// Sockets that each change concerns: those that follow its connection.
    #[arg(long, default_value_t = 10)]
    concerned: usize,
    /// Webhooks per second, each of one new event.
    #[arg(long, default_value_t = 500)]
    rate: usize,
    /// For so many seconds.
    #[arg(long, default_value_t = 20)]
    seconds: usize,
    #[command(flatten)]
    layout: Layout,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let Arguments {
        sockets,
        concerned,
        rate,
        seconds,
        layout,
    } = *arguments;
    ensure!(
        concerned > 0 && sockets.is_multiple_of(concerned) && sockets >= concerned,
        "`sockets` must be a multiple of `concerned`"
    );
    let (place, count) = (Place::start(layout).await?, rate * seconds);
    let api = Api::of(&place)?;
    let lines = try_join_all((0..sockets / concerned).map(|_| api.connect())).await?;
    ensure!(
        count.is_multiple_of(lines.len()),
        "as many webhooks for each connection"
    );
    let bodies = bodies(&place, count);
    let mut clients = Vec::new();
    for line in lines.iter().flat_map(|line| std::iter::repeat_n(line, concerned)) {
        let socket = connect(&place, &format!("kind=event&connection_id={}", line.connection)).await?;
        clients.push(tokio::spawn(listen(socket, count / lines.len())));
    }
    eprintln!("feed: {sockets} sockets are open; {count} webhooks follow");
    let period = Duration::from_secs(1) / u32::try_from(rate)?;
    let mut ticks = interval(period);
    let begun = Instant::now();
    let mut sent = Vec::with_capacity(count);
    for (number, body) in bodies.into_iter().enumerate() {
        ticks.tick().await;
        let (api, line) = (api.clone(), lines[number % lines.len()].clone());
        sent.push(tokio::spawn(async move { api.send(&line, number, body).await }));
    }
    let mut answered = Vec::with_capacity(count);
    for each in sent {
        answered.push(each.await??);
    }
    let meant = |number: usize| begun + period * u32::try_from(number).unwrap_or(u32::MAX);
    let told = tokio::time::timeout(LIMIT, try_join_all(clients)).await;
    let told = told.context("not every client was told everything in time")??;
    let numbers = api.numbers().await?;
    let (mut from_send, mut from_commit) = (Vec::new(), Vec::new());
    for (id, at) in told
        .into_iter()
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
    {
        let number = *numbers.get(&id).context("an event of ours")?;
        from_send.push(at.saturating_duration_since(meant(number)));
        from_commit.push(at.saturating_duration_since(answered[number]));
    }
    ensure!(
        from_send.len() == count * concerned,
        "{} messages came",
        from_send.len()
    );
    let acknowledged = answered.iter().enumerate();
    let acknowledged = acknowledged.map(|(number, at)| at.saturating_duration_since(meant(number)));
    println!("webhooks, {layout}: {count} at {rate}/s, {sockets} sockets, {concerned} concerned by each");
    println!("  sent to 200:          {}", Spread::of(acknowledged.collect()));
    println!("  200 to client:        {}", Spread::of(from_commit));
    println!("  sent to client:       {}", Spread::of(from_send));
    place.end().await;
    Ok(())
}

/// What the provider says of so many new events.
fn bodies(place: &Place, count: usize) -> Vec<Bytes> {
    let at = |hour: u8| json!({"kind": "zoned", "wall": format!("2026-03-02T{hour:02}:00:00"), "zone": "Europe/Berlin"});
    let body = |number: usize| {
        let id = format!("object-{number}");
        let fields = [
            ("uid", json!(id)),
            ("title", json!(number.to_string())),
            ("start", at(9)),
            ("end", at(10)),
        ];
        let fields: Fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        place.provider.put(WORK, &id, Content::new(fields));
        let said = place.provider.observation(WORK, &RemoteId(id.clone()));
        // Only webhooks tell of it.
        place.provider.delete(WORK, &id);
        delivery::body(&[said])
    };
    (0..count).map(body).collect()
}

/// A connection, and what its webhooks are signed with.
#[derive(Clone)]
struct Line {
    connection: String,
    secret: WebhookSecret,
}

/// The way to the first server.
#[derive(Clone)]
struct Api {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Api {
    fn of(place: &Place) -> Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            base: place.first().base_url(),
            key: place.key.clone(),
        })
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = request.bearer_auth(&self.key).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// A connection that has been read to its end.
    async fn connect(&self) -> Result<Line> {
        let body = json!({"provider": "memory", "config": {"base_url": "http://127.0.0.1:9/"}});
        let request = self.http.post(format!("{}/v1/connections", self.base));
        let made = self.call(request.json(&body)).await?;
        let id = made["data"]["id"].as_str().context("an id")?;
        let job = made["data"]["job_id"].as_str().context("a job")?;
        until("the first sync", LIMIT, async || {
            let request = self.http.get(format!("{}/v1/jobs/{job}", self.base));
            let job = self.call(request).await.ok()?;
            (job["data"]["state"] == "done").then_some(())
        })
        .await?;
        let request = self
            .http
            .put(format!("{}/v1/connections/{id}/webhook", self.base));
        let address = self.call(request.json(&json!({}))).await?;
        Ok(Line {
            connection: id.to_owned(),
            secret: WebhookSecret::new(address["data"]["secret"].as_str().context("a secret")?),
        })
    }

    /// Sends a webhook; when it was acknowledged.
    async fn send(&self, line: &Line, number: usize, body: Bytes) -> Result<Instant> {
        let id = format!("msg_{number}");
        let headers = delivery::headers(&line.secret, &id, SystemClock.now_ms(), &body)?;
        let request = self.http.post(format!("{}/hooks/{}", self.base, line.connection));
        let answer = request.headers(headers).body(body).send().await?;
        ensure!(
            answer.status() == 200,
            "a webhook was answered {}",
            answer.status()
        );
        Ok(Instant::now())
    }

    /// The number of each event, by its id.
    async fn numbers(&self) -> Result<HashMap<String, usize>> {
        let (mut numbers, mut cursor) = (HashMap::new(), String::new());
        loop {
            let url = format!("{}/v1/events?limit=200{cursor}", self.base);
            let page = self.call(self.http.get(url)).await?;
            for event in page["data"].as_array().context("events")? {
                let (id, title) = (event["id"].as_str(), event["title"].as_str());
                let number = title.context("a title")?.parse()?;
                numbers.insert(id.context("an id")?.to_owned(), number);
            }
            match page["page"]["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(numbers),
            }
        }
    }
}
