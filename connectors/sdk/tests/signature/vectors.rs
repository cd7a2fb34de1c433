//! A genuine delivery of every scheme. Published vectors are facts of their publishers, cited; the others were computed
//! with OpenSSL 3.0 (`openssl dgst -hmac`, `openssl pkeyutl -sign -rawin`, `openssl dgst -sign`) over what the vendor's
//! page says is signed, never with this library.

use std::sync::Arc;

use bytes::Bytes;
use connector_sdk::signature::{
    Encoding, Hmac, Jwt, JwtAlgorithm, KeySet, Scheme, SharedToken, StandardWebhooks, TimedList, Window,
    vendors,
};
use connector_sdk::{Grade, RawRequest, WebhookSecrets};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::attack::{Change, Source, Vector};
use crate::tokens;

/// What vendors without a published vector are made to send.
pub(crate) const BODY: &str = r#"{"id":"evt_1","type":"task.changed"}"#;
const SENT: i64 = 1_800_000_000;
pub(crate) const ORIGIN: &str = "https://hub.example.org";

pub(crate) fn request(headers: &[(&'static str, &str)], body: &str, sent: i64) -> RawRequest {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect();
    RawRequest {
        method: Method::POST,
        path_and_query: "/hooks/conn_1".to_owned(),
        origin: ORIGIN.into(),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        received_at_ms: sent * 1_000,
    }
}

/// Puts another value into a header.
pub(crate) fn set(request: &mut RawRequest, header: &'static str, change: impl FnOnce(&str) -> String) {
    let value = change(request.headers[header].to_str().unwrap());
    request
        .headers
        .insert(header, HeaderValue::from_str(&value).unwrap());
}

/// A scheme whose signature stands in one header and covers the body, without a time.
fn plain(
    name: &'static str,
    source: Source,
    scheme: impl Scheme + 'static,
    secret: &str,
    header: &'static str,
    signature: &str,
    body: &str,
) -> Vector {
    Vector {
        name,
        source,
        scheme: Box::new(scheme),
        secrets: WebhookSecrets::one(secret),
        other: WebhookSecrets::one(format!("{secret}_of_another_tenant")),
        request: request(&[(header, signature)], body, SENT),
        grade: Grade::Signed,
        headers: Vec::leak(vec![header]),
        covers_body: true,
        window: None,
        other_label: None,
        two_signatures: None,
    }
}

fn with_labels(mut vector: Vector, other_label: Option<Change>, two: Change) -> Vector {
    vector.other_label = other_label;
    vector.two_signatures = Some((two, false));
    vector
}

fn at(mut vector: Vector, headers: &'static [&'static str], request: RawRequest) -> Vector {
    vector.headers = headers;
    vector.request = request;
    vector.window = Some(Window::DEFAULT);
    vector
}

pub(crate) fn all() -> Vec<Vector> {
    let mut all = plain_hmac();
    all.extend(timed_hmac());
    all.extend(standard());
    all.extend(public_keys());
    all.extend(shared());
    all.extend(tokens::vectors());
    all
}

/// <https://www.rfc-editor.org/rfc/rfc2202#section-3>, test case 2.
const RFC_2202: &str = "https://www.rfc-editor.org/rfc/rfc2202#section-3";
/// <https://www.rfc-editor.org/rfc/rfc4231#section-4.3>, test case 2.
const RFC_4231: &str = "https://www.rfc-editor.org/rfc/rfc4231#section-4.3";
const RFC_BODY: &str = "what do ya want for nothing?";

fn plain_hmac() -> Vec<Vector> {
    let hex_header = "x-signature";
    vec![
        with_labels(
            plain(
                "GitHub, sha256= hex",
                Source::Published(
                    "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation",
                ),
                vendors::GITHUB,
                "It's a Secret to Everybody",
                "x-hub-signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                "Hello, World!",
            ),
            Some(|request| {
                set(request, "x-hub-signature-256", |value| {
                    value.replace("sha256=", "sha1=")
                })
            }),
            |request| {
                set(request, "x-hub-signature-256", |value| {
                    format!("sha256={},{value}", "0".repeat(64))
                })
            },
        ),
        plain(
            "HMAC-SHA1, hex",
            Source::Published(RFC_2202),
            Hmac::sha1(hex_header, Encoding::Hex),
            "Jefe",
            hex_header,
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            RFC_BODY,
        ),
        plain(
            "HMAC-SHA1, base64",
            Source::Published(RFC_2202),
            Hmac::sha1(hex_header, Encoding::Base64),
            "Jefe",
            hex_header,
            "7/zfauXrL6LSdBbV8YTfnCWafHk=",
            RFC_BODY,
        ),
        plain(
            "HMAC-SHA256, hex",
            Source::Published(RFC_4231),
            Hmac::sha256(hex_header, Encoding::Hex),
            "Jefe",
            hex_header,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            RFC_BODY,
        ),
        plain(
            "HMAC-SHA256, base64",
            Source::Published(RFC_4231),
            Hmac::sha256(hex_header, Encoding::Base64),
            "Jefe",
            hex_header,
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=",
            RFC_BODY,
        ),
        plain(
            "Shopify",
            Source::OpenSsl,
            vendors::SHOPIFY,
            "shpss_secret",
            "x-shopify-hmac-sha256",
            "ZOOycT47skHYX3YmUGbDbva1nU94CfhSEWcXHELbrzQ=",
            BODY,
        ),
        plain(
            "Asana",
            Source::OpenSsl,
            vendors::ASANA,
            "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81",
            "x-hook-signature",
            "a21c2306c98a0c28b7321703d5dc0f6d5d4917ec2c1fd56d9113d5a83d28f08c",
            BODY,
        ),
        plain(
            "ClickUp",
            Source::OpenSsl,
            vendors::CLICKUP,
            "clickup_secret",
            "x-signature",
            "a97c79541120d838626098a7724fce6c9ceaa8169b8e7bca5e6c10c4f026cdea",
            BODY,
        ),
        plain(
            "Linear",
            Source::OpenSsl,
            vendors::LINEAR,
            "lin_wh_secret",
            "linear-signature",
            "a20395779e76af9c3afb0413810483a82d2b2c91a245c66fb972bb8a2f614048",
            BODY,
        ),
        plain(
            "Trello, body and address",
            Source::OpenSsl,
            vendors::TRELLO,
            "trello_secret",
            "x-trello-webhook",
            "u2f+tWkL0JyboRQ6J1FqvWWyytM=",
            BODY,
        ),
        with_labels(
            plain(
                "Intercom, sha1= hex",
                Source::OpenSsl,
                vendors::INTERCOM,
                "intercom_secret",
                "x-hub-signature",
                "sha1=e9e114e66e94a99a6cc5257988b9070ea9534580",
                BODY,
            ),
            Some(|request| {
                set(request, "x-hub-signature", |value| {
                    value.replace("sha1=", "sha256=")
                })
            }),
            |request| {
                set(request, "x-hub-signature", |value| {
                    format!("sha1={},{value}", "0".repeat(40))
                })
            },
        ),
    ]
}

/// Slack's own example, signing secret and all.
const SLACK_PAGE: &str = "https://docs.slack.dev/authentication/verifying-requests-from-slack";
const SLACK_BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
    &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
    &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
    &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

fn timed_hmac() -> Vec<Vector> {
    let now = SENT.to_string();
    let slack = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let slack = at(
        plain(
            "Slack",
            Source::Published(SLACK_PAGE),
            vendors::SLACK,
            "8f742231b10e8888abcd99yyyzzz85a5",
            "x-slack-signature",
            slack,
            SLACK_BODY,
        ),
        &["x-slack-signature", "x-slack-request-timestamp"],
        request(
            &[
                ("x-slack-signature", slack),
                ("x-slack-request-timestamp", "1531420618"),
            ],
            SLACK_BODY,
            1_531_420_618,
        ),
    );
    let zoom = "v0=9fa1c6c36e9aac339b46c296eda4cc4b82783132f53d8eb5135dad3a9bb86e0d";
    let zoom = at(
        plain(
            "Zoom",
            Source::OpenSsl,
            vendors::ZOOM,
            "zoom_secret_token",
            "x-zm-signature",
            zoom,
            BODY,
        ),
        &["x-zm-signature", "x-zm-request-timestamp"],
        request(
            &[("x-zm-signature", zoom), ("x-zm-request-timestamp", &now)],
            BODY,
            SENT,
        ),
    );
    let hubspot = "afe75zhazTZvYUWHOn1tR/GNc5/fKR9iP7Gpm+E7dYQ=";
    let mut hubspot = at(
        plain(
            "HubSpot v3",
            Source::OpenSsl,
            vendors::HUBSPOT,
            "hubspot_secret",
            "x-hubspot-signature-v3",
            hubspot,
            BODY,
        ),
        &["x-hubspot-signature-v3", "x-hubspot-request-timestamp"],
        request(
            &[
                ("x-hubspot-signature-v3", hubspot),
                ("x-hubspot-request-timestamp", "1800000000000"),
            ],
            BODY,
            SENT,
        ),
    );
    hubspot.request.path_and_query = "/hooks/apps/papp_1".to_owned();
    vec![
        with_labels(
            slack,
            Some(|request| set(request, "x-slack-signature", |value| value.replace("v0=", "v1="))),
            |request| {
                set(request, "x-slack-signature", |value| {
                    format!("v0={},{value}", "0".repeat(64))
                })
            },
        ),
        with_labels(
            zoom,
            Some(|request| set(request, "x-zm-signature", |value| value.replace("v0=", "v1="))),
            |request| {
                set(request, "x-zm-signature", |value| {
                    format!("v0={},{value}", "0".repeat(64))
                })
            },
        ),
        hubspot,
        list(
            "Stripe",
            vendors::STRIPE,
            "whsec_test_secret",
            "stripe-signature",
            "t=1800000000,v1=5b4ba0006aa0d0ca6a42a9bf747597834b3cc53a2ab8381f787966d1ca85d6f3",
            |request| set(request, "stripe-signature", |value| value.replace("v1=", "v0=")),
            |request| {
                let wrong = format!(",v1={},v1=", "0".repeat(64));
                set(request, "stripe-signature", |value| value.replace(",v1=", &wrong));
            },
        ),
        list(
            "Paddle",
            TimedList::paddle("paddle-signature"),
            "pdl_secret",
            "paddle-signature",
            "ts=1800000000;h1=def68f4094dd4ca9490d4312c06c526f60c9532ad22ae9e69e776f5f53bced93",
            |request| set(request, "paddle-signature", |value| value.replace("h1=", "h0=")),
            |request| {
                let wrong = format!(";h1={};h1=", "0".repeat(64));
                set(request, "paddle-signature", |value| value.replace(";h1=", &wrong));
            },
        ),
    ]
}

fn list(
    name: &'static str,
    scheme: TimedList,
    secret: &str,
    header: &'static str,
    signature: &str,
    other_label: Change,
    two: Change,
) -> Vector {
    let mut vector = plain(name, Source::OpenSsl, scheme, secret, header, signature, BODY);
    vector.window = Some(Window::DEFAULT);
    vector.other_label = Some(other_label);
    vector.two_signatures = Some((two, true));
    vector
}

/// `TestWebhookSign` and `TestAsymmetricWebhookSign` of the specification's own library. The public key belongs to the
/// published seed (derived with OpenSSL).
pub(crate) const STANDARD_WEBHOOKS: &str =
    "https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries/go";
const STANDARD_BODY: &str = r#"{"test": 2432232314}"#;

fn standard() -> Vec<Vector> {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SYMMETRIC: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const ASYMMETRIC: &str =
        "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";
    const WRONG: &str =
        "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    let vector = |name,
                  scheme: StandardWebhooks,
                  secret: &str,
                  other: &str,
                  headers: [&'static str; 3],
                  signature: &str| {
        let sent = [
            (headers[0], "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            (headers[1], "1614265330"),
            (headers[2], signature),
        ];
        Vector {
            name,
            source: Source::Published(STANDARD_WEBHOOKS),
            scheme: Box::new(scheme),
            secrets: WebhookSecrets::one(secret),
            other: WebhookSecrets::one(other),
            request: request(&sent, STANDARD_BODY, 1_614_265_330),
            grade: Grade::Signed,
            headers: Vec::leak(headers.to_vec()),
            covers_body: true,
            window: Some(Window::DEFAULT),
            other_label: Some(|request| {
                for header in ["webhook-signature", "svix-signature"] {
                    if request.headers.contains_key(header) {
                        set(request, header, |value| value.replacen("v1", "v2", 1));
                    }
                }
            }),
            two_signatures: Some((
                |request| {
                    for header in ["webhook-signature", "svix-signature"] {
                        if request.headers.contains_key(header) {
                            set(request, header, |value| format!("{WRONG} {value} {WRONG}"));
                        }
                    }
                },
                true,
            )),
        }
    };
    let own = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let svix = ["svix-id", "svix-timestamp", "svix-signature"];
    let other = "whsec_T3RoZXJUZW5hbnRzU2VjcmV0S2V5MTIzNDU2";
    vec![
        vector(
            "Standard Webhooks v1",
            StandardWebhooks::DEFAULT,
            SECRET,
            other,
            own,
            SYMMETRIC,
        ),
        vector("Svix", StandardWebhooks::SVIX, SECRET, other, svix, SYMMETRIC),
        vector(
            "Standard Webhooks v1a",
            StandardWebhooks::DEFAULT,
            "whpk_ZlN4eg7dSSqi0moX9hQUk3orrOouK3QVQSlJa248c/g=",
            "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            own,
            ASYMMETRIC,
        ),
    ]
}

fn public_keys() -> Vec<Vector> {
    let now = SENT.to_string();
    let discord = "fef2943404fdb0a9e7cdba8e7fe96c20289d6d43c510077a4678c418109f8cf2\
                   ed137eb47a64146077e3194e506bda8b0846bb005ac372933187e6d8c930050b";
    let mut discord_vector = at(
        plain(
            // The key is that of RFC 8032, section 7.1, test 1.
            "Discord, Ed25519",
            Source::OpenSsl,
            vendors::DISCORD,
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "x-signature-ed25519",
            discord,
            BODY,
        ),
        &["x-signature-ed25519", "x-signature-timestamp"],
        request(
            &[("x-signature-ed25519", discord), ("x-signature-timestamp", &now)],
            BODY,
            SENT,
        ),
    );
    discord_vector.other =
        WebhookSecrets::one("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let two: Change = |request| {
        set(request, "x-signature-ed25519", |value| {
            format!("{},{value}", "0".repeat(128))
        })
    };
    discord_vector.two_signatures = Some((two, false));

    let sendgrid =
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=";
    let sendgrid_body = "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\
        \"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\
        \"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\
        \"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n";
    let headers = [
        "x-twilio-email-event-webhook-signature",
        "x-twilio-email-event-webhook-timestamp",
    ];
    let mut sendgrid_vector = at(
        plain(
            "SendGrid, ECDSA P-256",
            Source::Published(
                "https://github.com/sendgrid/sendgrid-nodejs/blob/main/packages/eventwebhook/src/eventwebhook.spec.js",
            ),
            vendors::SENDGRID,
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
            headers[0],
            sendgrid,
            sendgrid_body,
        ),
        Vec::leak(headers.to_vec()),
        request(
            &[(headers[0], sendgrid), (headers[1], "1600112502")],
            sendgrid_body,
            1_600_112_502,
        ),
    );
    // The key of the same file's older version.
    sendgrid_vector.other = WebhookSecrets::one(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==",
    );
    vec![discord_vector, sendgrid_vector]
}

fn shared() -> Vec<Vector> {
    const TOKEN: &str = "5f0c1a9b7d3e4c2f8a6b9d0e1c2f3a4b";
    let shared = |name, scheme: SharedToken, header: &'static str| Vector {
        grade: Grade::SharedSecret,
        covers_body: false,
        ..plain(name, Source::Token, scheme, TOKEN, header, TOKEN, BODY)
    };
    let body = format!(
        r#"{{"value":[{{"subscriptionId":"s1","clientState":"{TOKEN}"}},{{"subscriptionId":"s2","clientState":"{TOKEN}"}}]}}"#
    );
    let mut graph = shared(
        "Microsoft Graph, clientState",
        vendors::MICROSOFT_GRAPH,
        "content-type",
    );
    graph.request = request(&[("content-type", "application/json")], &body, SENT);
    graph.headers = &[];
    vec![
        shared(
            "Google channel token",
            vendors::GOOGLE_CHANNEL,
            "x-goog-channel-token",
        ),
        shared("GitLab secret token", vendors::GITLAB, "x-gitlab-token"),
        graph,
    ]
}

/// A key set of JSON text.
pub(crate) fn keys(json: &str) -> Arc<KeySet> {
    Arc::new(KeySet::from_json(json.as_bytes()).unwrap())
}

/// A scheme for tokens beside a body that they cover.
pub(crate) const fn with_hash() -> Jwt {
    Jwt::with_body_hash(
        "x-jwt",
        "payload_hash",
        JwtAlgorithm::Rs256,
        &["https://vendor.example.org"],
    )
}
