//! Notification channels: kept until they expire or are stopped; notices go to loopback addresses only.
//! <https://developers.google.com/workspace/calendar/api/guides/push>

use std::net::{IpAddr, SocketAddr};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use url::Url;

use super::errors::ApiError;
use super::state::{World, base32hex};

/// What a channel lives when its creator names no time, and the most it may ask for.
const DEFAULT_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 7);
const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 30);
/// "Maximum length: 64 characters."
const LONGEST_ID: usize = 64;

/// A channel that watches a calendar's events.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub id: String,
    pub owner: String,
    pub calendar_id: String,
    pub resource_id: String,
    pub resource_uri: String,
    pub address: Url,
    pub token: Option<String>,
    pub expiration: Timestamp,
    messages: u64,
}

impl Channel {
    pub(crate) fn resource(&self) -> Value {
        let mut shown = json!({
            "kind": "api#channel",
            "id": self.id,
            "resourceId": self.resource_id,
            "resourceUri": self.resource_uri,
            "expiration": self.expiration.as_millisecond().to_string(),
        });
        if let Some(token) = &self.token {
            shown["token"] = json!(token);
        }
        shown
    }
}

/// A notice on its way.
#[derive(Debug)]
pub(crate) struct Delivery {
    address: Url,
    headers: Vec<(&'static str, String)>,
}

/// `events.watch`. The first notice, `sync`, says that the channel is open.
pub(crate) fn watch(
    world: &mut World,
    owner: &str,
    calendar_id: &str,
    resource_uri: String,
    body: &Map<String, Value>,
) -> Result<Value, ApiError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let id = text("id")
        .filter(|id| !id.is_empty())
        .ok_or_else(|| ApiError::required("Missing channel id."))?;
    if id.len() > LONGEST_ID {
        return Err(ApiError::invalid("The channel id is longer than 64 characters."));
    }
    if !matches!(text("type").as_deref(), Some("web_hook" | "webhook")) {
        return Err(ApiError::invalid("Unknown channel type."));
    }
    let now = world.now();
    world.channels.retain(|_, channel| channel.expiration > now);
    if world.channels.contains_key(&id) {
        let message = format!("Channel id {id} not unique");
        return Err(ApiError::new(400, "global", "channelIdNotUnique", message));
    }
    let address = text("address").and_then(|address| Url::parse(&address).ok());
    let address = address.ok_or_else(|| ApiError::required("Missing or invalid address."))?;
    if address.scheme() != "https" && loopback(&address).is_none() {
        let message = format!("WebHook callback must be HTTPS: {address}");
        return Err(ApiError::new(400, "global", "push.webhookUrlNotHttps", message));
    }
    let digest = Sha256::digest(format!("resource/{calendar_id}"));
    let channel = Channel {
        id: id.clone(),
        owner: owner.to_owned(),
        calendar_id: calendar_id.to_owned(),
        resource_id: base32hex(&digest[..16]),
        resource_uri,
        address,
        token: text("token"),
        expiration: expiration(now, body)?,
        messages: 0,
    };
    let answer = channel.resource();
    world.channels.insert(id.clone(), channel);
    send(world, &id, "sync");
    Ok(answer)
}

fn expiration(now: Timestamp, body: &Map<String, Value>) -> Result<Timestamp, ApiError> {
    let invalid = || ApiError::invalid("Invalid expiration.");
    let number = |value: &Value| {
        value
            .as_i64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    };
    let after = |lifetime| now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
    let ttl = body.get("params").and_then(|params| params.get("ttl"));
    let asked = match (body.get("expiration"), ttl) {
        (Some(moment), _) => {
            Timestamp::from_millisecond(number(moment).ok_or_else(invalid)?).map_err(|_| invalid())?
        }
        (None, Some(seconds)) => after(SignedDuration::from_secs(number(seconds).ok_or_else(invalid)?)),
        (None, None) => after(DEFAULT_LIFETIME),
    };
    if asked <= now {
        return Err(invalid());
    }
    Ok(asked.min(after(LONGEST_LIFETIME)))
}

/// `channels.stop`: both ids have to fit, and the channel has to be the caller's.
pub(crate) fn stop(world: &mut World, owner: &str, body: &Map<String, Value>) -> Result<(), ApiError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, resource_id) = (text("id"), text("resourceId"));
    let known = world.channels.get(id);
    if known.is_none_or(|channel| channel.owner != owner || channel.resource_id != resource_id) {
        let message = format!("Channel '{id}' not found for project");
        return Err(ApiError::new(404, "global", "notFound", message));
    }
    world.channels.shift_remove(id);
    Ok(())
}

/// Tells a calendar's channels that something has changed. Notices carry no content.
pub(crate) fn announce(world: &mut World, calendar_id: &str) {
    let now = world.now();
    let open = world.channels.values();
    let open = open.filter(|channel| channel.calendar_id == calendar_id && channel.expiration > now);
    let ids: Vec<String> = open.map(|channel| channel.id.clone()).collect();
    for id in ids {
        send(world, &id, "exists");
    }
}

fn send(world: &mut World, id: &str, state: &str) {
    let Some(channel) = world.channels.get_mut(id) else {
        return;
    };
    channel.messages += 1;
    let expiration = channel
        .expiration
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let mut headers = vec![
        ("X-Goog-Channel-ID", channel.id.clone()),
        ("X-Goog-Message-Number", channel.messages.to_string()),
        ("X-Goog-Resource-ID", channel.resource_id.clone()),
        ("X-Goog-Resource-State", state.to_owned()),
        ("X-Goog-Resource-URI", channel.resource_uri.clone()),
        ("X-Goog-Channel-Expiration", expiration),
    ];
    if let Some(token) = &channel.token {
        headers.push(("X-Goog-Channel-Token", token.clone()));
    }
    // The receiver ends with the server; a notice after that has nobody to go to.
    let _ = world.deliveries.send(Delivery {
        address: channel.address.clone(),
        headers,
    });
}

/// The socket address of a plain http URL on this machine; nothing else is ever contacted.
fn loopback(address: &Url) -> Option<SocketAddr> {
    if address.scheme() != "http" {
        return None;
    }
    let ip: IpAddr = match address.host()? {
        url::Host::Domain("localhost") => IpAddr::from([127, 0, 0, 1]),
        url::Host::Domain(_) => return None,
        url::Host::Ipv4(ip) => ip.into(),
        url::Host::Ipv6(ip) => ip.into(),
    };
    ip.is_loopback()
        .then(|| SocketAddr::new(ip, address.port().unwrap_or(80)))
}

/// Sends notices one after the other until the simulator is gone.
pub(crate) async fn deliver(mut queue: UnboundedReceiver<Delivery>) {
    while let Some(delivery) = queue.recv().await {
        let Some(socket) = loopback(&delivery.address) else {
            continue;
        };
        if let Err(error) = post(socket, &delivery).await {
            tracing::debug!(%error, "a channel's address did not take a notice");
        }
    }
}

async fn post(socket: SocketAddr, delivery: &Delivery) -> std::io::Result<()> {
    let target = &delivery.address[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = format!("POST {target} HTTP/1.1\r\nHost: {socket}\r\nConnection: close\r\n");
    request.push_str("Content-Length: 0\r\nContent-Type: application/json; utf-8\r\n");
    for (name, value) in &delivery.headers {
        let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(socket).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await?;
    Ok(())
}
