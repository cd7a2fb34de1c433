//! Deliveries: proven, refused, routed, understood; and the subscriptions behind them.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use connector_sdk::{
    Capability, Error, ErrorKind, RawRequest, Route, SubscribeRequest, WebhookProof, WebhookSecret,
    WebhookSecrets, Webhooks,
};
use serde_json::{Map, Value};

use super::case::cases;
use super::{Subject, capability, collection};

/// Deliveries as a provider sends them, made by the test's own hand.
pub struct Deliveries {
    /// The secret that they are proven with.
    pub secret: WebhookSecret,
    /// Another secret of the same form: another tenant's.
    pub other_secret: WebhookSecret,
    /// A delivery with this body, sent at this moment (epoch milliseconds) and proven with this secret. The number
    /// tells deliveries apart; the same number is the same delivery.
    pub deliver: fn(body: Bytes, number: u32, sent_ms: i64, secret: &WebhookSecret) -> RawRequest,
    /// A body that says something to the first connection, and nothing to the second.
    pub body: Bytes,
    /// The settings of two connections.
    pub connections: [Map<String, Value>; 2],
    /// The headers that the proof reads, in lower case.
    pub headers: &'static [&'static str],
    /// How far the provider's time may be from now, in milliseconds; `None` where it tells none.
    pub window_ms: Option<i64>,
}

const NOW_MS: i64 = 1_800_000_000_000;

fn receives(capability: &Capability) -> bool {
    capability.webhook != WebhookProof::None
}

fn signs(capability: &Capability) -> bool {
    capability.webhook == WebhookProof::Signed
}

cases![
    (
        a_delivery_is_proven_by_any_live_secret_and_again,
        "H1, H4",
        receives
    ),
    (
        a_delivery_that_proves_nothing_is_refused_with_a_reason,
        "H2",
        receives
    ),
    (a_delivery_with_a_changed_byte_is_refused, "H2", signs),
    (a_delivery_from_another_time_is_refused, "H3", receives),
    (a_delivery_speaks_to_the_connection_that_it_names, "H5", receives),
    (a_delivery_that_cannot_be_understood_is_invalid, "H6", receives),
    (a_subscription_can_be_renewed_and_ended, "H7", receives),
];

fn parts(subject: &dyn Subject) -> Result<(&dyn Webhooks, Deliveries)> {
    let facet = subject
        .connector()
        .webhooks()
        .context("the connector cannot receive")?;
    let deliveries = subject.deliveries().context("the test brings no deliveries")?;
    Ok((facet, deliveries))
}

fn secrets(live: &[&WebhookSecret]) -> WebhookSecrets {
    WebhookSecrets::new(live.iter().copied().cloned())
}

impl Deliveries {
    fn genuine(&self) -> RawRequest {
        self.numbered(1)
    }

    fn numbered(&self, number: u32) -> RawRequest {
        (self.deliver)(self.body.clone(), number, NOW_MS, &self.secret)
    }
}

fn refused(what: &str, outcome: Result<impl Sized, Error>) -> Result<()> {
    let Err(error) = outcome else {
        bail!("{what} is accepted");
    };
    ensure!(
        error.kind == ErrorKind::BadSignature,
        "{what} is told as {error:?}"
    );
    ensure!(
        error.refusal().is_some(),
        "{what} is refused without a reason: {error:?}"
    );
    Ok(())
}

async fn a_delivery_is_proven_by_any_live_secret_and_again(subject: &dyn Subject) -> Result<()> {
    let (facet, with) = parts(subject)?;
    let mut ids = Vec::new();
    for live in [vec![&with.secret], vec![&with.other_secret, &with.secret]] {
        let proven = facet.verify(with.genuine(), &secrets(&live), NOW_MS)?;
        let grade = capability(subject).webhook.grade();
        ensure!(Some(proven.grade()) == grade, "its grade is {:?}", proven.grade());
        ensure!(
            proven.secret_index() == live.len() - 1,
            "another secret proved it"
        );
        ensure!(proven.body() == &with.body, "the body is another");
        ids.push(facet.delivery_id(&proven));
    }
    ensure!(ids[0] == ids[1], "sent again it has another id");
    let other = facet.verify(with.numbered(2), &secrets(&[&with.secret]), NOW_MS)?;
    if let Some(id) = facet.delivery_id(&other) {
        ensure!(ids[0].as_ref() != Some(&id), "two deliveries have one id");
    }
    Ok(())
}

async fn a_delivery_that_proves_nothing_is_refused_with_a_reason(subject: &dyn Subject) -> Result<()> {
    let (facet, with) = parts(subject)?;
    let live = secrets(&[&with.secret]);
    let verify = |request, live: &WebhookSecrets| facet.verify(request, live, NOW_MS);
    refused(
        "another secret's delivery",
        verify(with.genuine(), &secrets(&[&with.other_secret])),
    )?;
    refused(
        "a delivery where there is no secret",
        verify(with.genuine(), &secrets(&[])),
    )?;
    for header in with.headers {
        let mut without = with.genuine();
        let value = without.headers.remove(*header).context("the header is there")?;
        refused(&format!("a delivery without `{header}`"), verify(without, &live))?;
        let mut doubled = with.genuine();
        doubled.headers.append(*header, value);
        refused(
            &format!("a delivery with `{header}` twice"),
            verify(doubled, &live),
        )?;
    }
    Ok(())
}

async fn a_delivery_with_a_changed_byte_is_refused(subject: &dyn Subject) -> Result<()> {
    let (facet, with) = parts(subject)?;
    let live = secrets(&[&with.secret]);
    for index in 0..with.body.len() {
        let mut changed = with.body.to_vec();
        changed[index] ^= 1;
        let mut request = with.genuine();
        request.body = changed.into();
        refused("a changed body", facet.verify(request, &live, NOW_MS))?;
    }
    let mut request = with.genuine();
    request.body = [&with.body[..], b" "].concat().into();
    refused("a longer body", facet.verify(request, &live, NOW_MS))
}

async fn a_delivery_from_another_time_is_refused(subject: &dyn Subject) -> Result<()> {
    let (facet, with) = parts(subject)?;
    let Some(window_ms) = with.window_ms else {
        return Ok(());
    };
    let live = secrets(&[&with.secret]);
    for now_ms in [NOW_MS - window_ms, NOW_MS + window_ms] {
        facet.verify(with.genuine(), &live, now_ms)?;
    }
    for now_ms in [NOW_MS - window_ms - 1_000, NOW_MS + window_ms + 1_000] {
        refused(
            "a delivery from another time",
            facet.verify(with.genuine(), &live, now_ms),
        )?;
    }
    Ok(())
}

async fn a_delivery_speaks_to_the_connection_that_it_names(subject: &dyn Subject) -> Result<()> {
    let (facet, with) = parts(subject)?;
    let proven = facet.verify(with.genuine(), &secrets(&[&with.secret]), NOW_MS)?;
    ensure!(!facet.parse(&proven, None)?.is_empty(), "it says nothing at all");
    let named = facet.routes(&proven);
    let [first, second] = with.connections.each_ref().map(|config| facet.routes_of(config));
    ensure!(
        first.iter().any(|route| named.contains(route)),
        "the first connection is not named"
    );
    ensure!(!second.is_empty(), "the second connection has no route");
    for route in &named {
        ensure!(!second.contains(route), "the second connection is named");
        let said = facet.parse(&proven, Some(route))?;
        ensure!(!said.is_empty(), "{route:?} is named and nothing is said to it");
    }
    for route in second.iter().chain([&Route(String::new())]) {
        let said = facet.parse(&proven, Some(route))?;
        ensure!(
            said.is_empty(),
            "{route:?} is not named and {said:?} is said to it"
        );
    }
    Ok(())
}

async fn a_delivery_that_cannot_be_understood_is_invalid(subject: &dyn Subject) -> Result<()> {
    let (facet, with) = parts(subject)?;
    let whole = with.body.len();
    for body in [&b"\xff\x00{"[..], b"[[[[", &with.body[..whole - 1]] {
        let body = Bytes::copy_from_slice(body);
        let request = (with.deliver)(body, 3, NOW_MS, &with.secret);
        // Where the body brings the proof, it is refused before it is read.
        let proven = match facet.verify(request, &secrets(&[&with.secret]), NOW_MS) {
            Ok(proven) => proven,
            Err(error) => {
                refused("a broken body", Err::<(), _>(error))?;
                continue;
            }
        };
        ensure!(
            facet.routes(&proven).is_empty(),
            "a broken body names connections"
        );
        match facet.parse(&proven, None) {
            Ok(notices) => bail!("a broken body says {notices:?}"),
            Err(error) => ensure!(error.kind == ErrorKind::Invalid, "it is told as {error:?}"),
        }
    }
    Ok(())
}

async fn a_subscription_can_be_renewed_and_ended(subject: &dyn Subject) -> Result<()> {
    let (facet, with) = parts(subject)?;
    let collection = collection(subject).await?;
    let ctx = subject.context();
    let callback_url = "https://hub.example.org/hooks/conn_1".parse()?;
    let request = SubscribeRequest {
        id: "sub_1",
        callback_url: &callback_url,
        secret: &with.secret,
        collection: Some(&collection),
        lasting_ms: 365 * 24 * 3_600_000,
    };
    let made = match facet.subscribe(&ctx, &request).await {
        Err(error) if error.kind == ErrorKind::Unsupported => return Ok(()),
        made => made?,
    };
    let renewed = facet.renew(&ctx, &made, &request).await?;
    for subscription in [&made, &renewed] {
        ensure!(!subscription.id.is_empty(), "it has no id");
        let longest_ms = capability(subject).webhook_expires_max_ms;
        ensure!(
            subscription.expires_at_ms.is_some() == longest_ms.is_some(),
            "capability and subscription differ on whether it ends by itself"
        );
        if let (Some(at), Some(longest_ms)) = (subscription.expires_at_ms, longest_ms) {
            ensure!(
                at <= ctx.clock.now_ms() + longest_ms,
                "it lasts longer than the capability says"
            );
        }
    }
    for subscription in [&made, &renewed, &renewed] {
        facet.unsubscribe(&ctx, subscription).await?;
    }
    match facet.renew(&ctx, &renewed, &request).await {
        Ok(_) => bail!("a subscription that ended is renewed"),
        Err(error) => ensure!(error.kind == ErrorKind::NotFound, "it is told as {error:?}"),
    }
    Ok(())
}
