//! The receiving facet. What deliveries look like is told in [`crate::delivery`].

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::signature::{KeySet, Scheme as _, SharedToken, StandardWebhooks, standard_webhooks};
use connector_sdk::{
    Change, Context, Coverage, Error, ErrorKind, Grade, Handshake, Notice, Observed, OrderingKey, RawRequest,
    RemoteObject, Route, SubscribeRequest, Subscription, VerifiedRequest, WebhookProof, WebhookSecrets,
    Webhooks,
};
use http::Method;
use model::Kind;
use serde_json::{Map, Value};

use crate::connector::MemoryConnector;
use crate::delivery::{Delivery, MAX_NOTICES, TOKEN, Told};

/// The longest that a subscription lasts: a week.
pub(crate) const MAX_LASTING_MS: i64 = 7 * 24 * 3_600_000;
const MAX_BODY_BYTES: usize = 256 << 10;
const MAX_CHALLENGE_BYTES: usize = 256;

const PROOF_BY_TOKEN: SharedToken = SharedToken::header(TOKEN);

#[async_trait]
impl Webhooks for MemoryConnector {
    fn max_body_bytes(&self) -> usize {
        MAX_BODY_BYTES
    }

    fn handshake(&self, request: &RawRequest, _secrets: &WebhookSecrets, _now_ms: i64) -> Option<Handshake> {
        let challenge = request
            .query("challenge")
            .filter(|_| request.method == Method::GET)?;
        (challenge.len() <= MAX_CHALLENGE_BYTES).then(|| Handshake::text(challenge))
    }

    fn verify(
        &self,
        request: RawRequest,
        secrets: &WebhookSecrets,
        now_ms: i64,
    ) -> Result<VerifiedRequest, Error> {
        match self.provider.options().webhook {
            WebhookProof::Signed => StandardWebhooks::DEFAULT.verify(request, secrets, now_ms),
            WebhookProof::SharedSecret => PROOF_BY_TOKEN.verify(request, secrets, now_ms),
            WebhookProof::None => Err(Error::new(
                ErrorKind::Unsupported,
                "webhook.verify",
                "this provider sends no deliveries",
            )),
        }
    }

    async fn keys(&self, _ctx: &Context) -> Result<Option<KeySet>, Error> {
        Ok(None)
    }

    fn delivery_id(&self, request: &VerifiedRequest) -> Option<String> {
        match request.grade() {
            Grade::Signed => request.header(standard_webhooks::ID).map(str::to_owned),
            // Nothing covers the header then.
            Grade::SharedSecret => None,
        }
    }

    fn routes(&self, request: &VerifiedRequest) -> Vec<Route> {
        let notices = told(request.body()).unwrap_or_default();
        let mut routes: Vec<Route> = Vec::new();
        for account in notices.into_iter().filter_map(|notice| notice.account) {
            let route = Route(account);
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        routes
    }

    fn routes_of(&self, config: &Map<String, Value>) -> Vec<Route> {
        let account = config.get("account").and_then(Value::as_str);
        account
            .into_iter()
            .map(|account| Route(account.to_owned()))
            .collect()
    }

    fn parse(&self, request: &VerifiedRequest, route: Option<&Route>) -> Result<Vec<Notice>, Error> {
        let concerns = |told: &Told| route.is_none_or(|route| told.account.as_ref() == Some(&route.0));
        let notices = told(request.body())?.into_iter().filter(concerns);
        notices.map(|told| notice(request, told)).collect()
    }

    async fn subscribe(&self, ctx: &Context, request: &SubscribeRequest<'_>) -> Result<Subscription, Error> {
        let expires_at_ms = ctx.clock.now_ms() + request.lasting_ms.clamp(0, MAX_LASTING_MS);
        let order = (request.callback_url.clone(), expires_at_ms);
        self.provider.write("webhook.subscribe", |state| {
            state.subscriptions.insert(request.id.to_owned(), order);
            Ok(subscription(request.id, expires_at_ms))
        })
    }

    async fn renew(
        &self,
        ctx: &Context,
        subscription_before: &Subscription,
        request: &SubscribeRequest<'_>,
    ) -> Result<Subscription, Error> {
        let until_ms = ctx.clock.now_ms() + request.lasting_ms.clamp(0, MAX_LASTING_MS);
        self.provider.write("webhook.renew", |state| {
            let Some((_, expires_at_ms)) = state.subscriptions.get_mut(&subscription_before.id) else {
                let message = "there is no such subscription any more";
                return Err(Error::new(ErrorKind::NotFound, "webhook.renew", message));
            };
            *expires_at_ms = until_ms;
            Ok(subscription(&subscription_before.id, until_ms))
        })
    }

    async fn unsubscribe(&self, _ctx: &Context, subscription: &Subscription) -> Result<(), Error> {
        self.provider.write("webhook.unsubscribe", |state| {
            state.subscriptions.remove(&subscription.id);
            Ok(())
        })
    }
}

fn subscription(id: &str, expires_at_ms: i64) -> Subscription {
    Subscription {
        id: id.to_owned(),
        resource_id: None,
        secret: None,
        expires_at_ms: Some(expires_at_ms),
    }
}

fn told(body: &Bytes) -> Result<Vec<Told>, Error> {
    let delivery: Delivery = serde_json::from_slice(body)
        .map_err(|error| invalid("the delivery is not of this provider's form").with_source(error))?;
    if delivery.notices.len() > MAX_NOTICES {
        return Err(invalid("the delivery brings more than 1000 notices"));
    }
    Ok(delivery.notices)
}

fn notice(request: &VerifiedRequest, told: Told) -> Result<Notice, Error> {
    let change = match (told.object, told.deleted) {
        (None, None) => {
            return Ok(Notice::Dirty {
                collection: told.collection,
            });
        }
        (Some(_), Some(_)) => return Err(invalid("a notice says both `object` and `deleted`")),
        (None, Some(id)) => Change::Deleted(id),
        (Some(object), None) => Change::Present(Box::new(RemoteObject {
            id: object.id,
            version: object.version,
            kind: Kind::Event,
            series: None,
            coverage: Coverage::Full,
            raw: serde_json::to_vec(&object.content)
                .map(Bytes::from)
                .unwrap_or_default(),
            content: object.content,
        })),
    };
    let (Some(collection), Some(order)) = (told.collection, told.order) else {
        return Err(invalid(
            "a notice that says what changed also says `collection` and `order`",
        ));
    };
    Observed::new(request, collection, change, OrderingKey(order)).map(Notice::Observed)
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, "webhook.parse", message)
}
