//! The schemes of vendors by name, each with the vendor's page. A connector of one of them names its row here.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::hmac::{Encoding, Hmac, Part, Timestamp};
use super::jwt::{Jwt, JwtAlgorithm};
use super::public_key::PublicKeySignature;
use super::shared_token::SharedToken;
use super::timed_list::TimedList;
use super::window::{Unit, Window};
use crate::webhooks::{Handshake, RawRequest, VerifiedRequest, WebhookSecrets};

/// GitHub: <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
pub const GITHUB: Hmac = Hmac::sha256("x-hub-signature-256", Encoding::Hex).labelled("sha256=");

/// Shopify: <https://shopify.dev/docs/apps/build/webhooks/verify-deliveries>.
pub const SHOPIFY: Hmac = Hmac::sha256("x-shopify-hmac-sha256", Encoding::Base64);

/// Stripe: <https://docs.stripe.com/webhooks/signature>.
pub const STRIPE: TimedList = TimedList::stripe("stripe-signature");

/// Slack: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.
pub const SLACK: Hmac = Hmac::sha256("x-slack-signature", Encoding::Hex)
    .labelled("v0=")
    .signing(&[Part::Text("v0:"), Part::Timestamp, Part::Text(":"), Part::Body])
    .at(Timestamp {
        header: "x-slack-request-timestamp",
        unit: Unit::Seconds,
        window: Window::DEFAULT,
    });

/// Zoom: <https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events>.
pub const ZOOM: Hmac = Hmac::sha256("x-zm-signature", Encoding::Hex)
    .labelled("v0=")
    .signing(&[Part::Text("v0:"), Part::Timestamp, Part::Text(":"), Part::Body])
    .at(Timestamp {
        header: "x-zm-request-timestamp",
        unit: Unit::Seconds,
        window: Window::DEFAULT,
    });

/// HubSpot, version 3: <https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation>.
/// HubSpot decodes some percent-encoded characters of the address before it signs; the hub's addresses have none.
pub const HUBSPOT: Hmac = Hmac::sha256("x-hubspot-signature-v3", Encoding::Base64)
    .signing(&[Part::Method, Part::Url, Part::Body, Part::Timestamp])
    .at(Timestamp {
        header: "x-hubspot-request-timestamp",
        unit: Unit::Milliseconds,
        window: Window::DEFAULT,
    });

/// Asana: <https://developers.asana.com/docs/webhooks-guide>.
pub const ASANA: Hmac = Hmac::sha256("x-hook-signature", Encoding::Hex);

/// ClickUp: <https://developer.clickup.com/docs/webhooksignature>.
pub const CLICKUP: Hmac = Hmac::sha256("x-signature", Encoding::Hex);

/// Linear: <https://linear.app/developers/webhooks>. Its time is in the signed body, for the connector to look at.
pub const LINEAR: Hmac = Hmac::sha256("linear-signature", Encoding::Hex);

/// Trello: <https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/#webhook-signatures>.
pub const TRELLO: Hmac = Hmac::sha1("x-trello-webhook", Encoding::Base64).signing(&[Part::Body, Part::Url]);

/// Intercom: <https://developers.intercom.com/docs/webhooks/webhook-notifications>.
pub const INTERCOM: Hmac = Hmac::sha1("x-hub-signature", Encoding::Hex).labelled("sha1=");

/// SendGrid's event webhook: <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features>.
pub const SENDGRID: PublicKeySignature = PublicKeySignature::ecdsa_p256(
    "x-twilio-email-event-webhook-signature",
    Timestamp {
        header: "x-twilio-email-event-webhook-timestamp",
        unit: Unit::Seconds,
        window: Window::DEFAULT,
    },
);

/// Discord: <https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint>.
pub const DISCORD: PublicKeySignature = PublicKeySignature::ed25519(
    "x-signature-ed25519",
    Timestamp {
        header: "x-signature-timestamp",
        unit: Unit::Seconds,
        window: Window::DEFAULT,
    },
);

/// Google Pub/Sub push (Gmail): <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>. The keys are at
/// <https://www.googleapis.com/oauth2/v3/certs>.
pub const GOOGLE_PUBSUB: Jwt = Jwt::bearer(
    JwtAlgorithm::Rs256,
    &["https://accounts.google.com", "accounts.google.com"],
);

/// Google's channels (Calendar, Drive): <https://developers.google.com/workspace/calendar/api/guides/push>.
pub const GOOGLE_CHANNEL: SharedToken = SharedToken::header("x-goog-channel-token");

/// GitLab's secret token: <https://docs.gitlab.com/user/project/integrations/webhooks/>.
pub const GITLAB: SharedToken = SharedToken::header("x-gitlab-token");

/// Microsoft Graph: each notification of a body brings the subscription's `clientState`:
/// <https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks>.
pub const MICROSOFT_GRAPH: SharedToken = SharedToken::body(client_states);

fn client_states(request: &RawRequest) -> Option<Vec<String>> {
    let body: Value = serde_json::from_slice(&request.body).ok()?;
    let notifications = body.get("value")?.as_array()?.iter();
    notifications
        .map(|notification| notification.get("clientState")?.as_str().map(str::to_owned))
        .collect()
}

/// Zoom's answer to `endpoint.url_validation`: <https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint>.
///
/// It takes a proven request: the answer is a keyed hash of a text that the asker chooses, with the very secret that
/// signs deliveries, so answering strangers would sign deliveries for them.
#[must_use]
pub fn zoom_validation(request: &VerifiedRequest, secrets: &WebhookSecrets) -> Option<Handshake> {
    let body: Value = serde_json::from_slice(request.body()).ok()?;
    if body.get("event")?.as_str()? != "endpoint.url_validation" {
        return None;
    }
    let plain = body.get("payload")?.get("plainToken")?.as_str()?;
    let secret = secrets.live().get(request.secret_index())?.expose();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        plain.as_bytes(),
    );
    Some(Handshake::json(
        &json!({"plainToken": plain, "encryptedToken": hex::encode(tag)}),
    ))
}
