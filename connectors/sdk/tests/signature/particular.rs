//! What is particular about one vendor or another.

use connector_sdk::signature::{Refusal, Scheme, StandardWebhooks, Window, vendors};
use connector_sdk::{RawRequest, WebhookSecrets};

use crate::vectors::{self, request, set};

fn refusal(
    scheme: &impl Scheme,
    request: RawRequest,
    secrets: &WebhookSecrets,
    now_ms: i64,
) -> Option<Refusal> {
    scheme.verify(request, secrets, now_ms).err()?.refusal()
}

fn vector(name: &str) -> crate::attack::Vector {
    vectors::all()
        .into_iter()
        .find(|vector| vector.name == name)
        .expect("a vector of this name")
}

#[test]
fn an_id_with_a_full_stop_could_shift_what_is_signed_and_is_refused() {
    // The specification: ids and timestamps may have no full stop, since full stops divide what is signed.
    let mut moved = vector("Standard Webhooks v1");
    set(&mut moved.request, "webhook-id", |id| format!("{id}.1614265330"));
    let answer = refusal(
        &StandardWebhooks::DEFAULT,
        moved.request.clone(),
        &moved.secrets,
        moved.now_ms(),
    );
    assert_eq!(answer, Some(Refusal::Malformed));
}

#[test]
fn a_secret_of_one_version_never_proves_the_other() {
    let (symmetric, asymmetric) = (vector("Standard Webhooks v1"), vector("Standard Webhooks v1a"));
    for (request, secrets) in [
        (symmetric.request.clone(), &asymmetric.secrets),
        (asymmetric.request.clone(), &symmetric.secrets),
    ] {
        let answer = refusal(&StandardWebhooks::DEFAULT, request, secrets, symmetric.now_ms());
        assert_eq!(answer, Some(Refusal::WrongAlgorithm));
    }
    // The public key is known to everybody: used as an HMAC key it must prove nothing.
    let public = asymmetric.secrets.live()[0].expose().replace("whpk_", "whsec_");
    let forged = connector_sdk::signature::standard_webhooks::sign(
        &connector_sdk::WebhookSecret::new(public),
        "msg_1",
        1_614_265_330,
        b"forged",
    )
    .unwrap();
    let headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", forged.as_str()),
    ];
    let forged = request(&headers, "forged", 1_614_265_330);
    let answer = refusal(
        &StandardWebhooks::DEFAULT,
        forged,
        &asymmetric.secrets,
        symmetric.now_ms(),
    );
    assert_eq!(answer, Some(Refusal::WrongAlgorithm));
}

#[test]
fn more_than_sixteen_signatures_are_not_tried() {
    let mut many = vector("Standard Webhooks v1");
    let wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= ";
    set(&mut many.request, "webhook-signature", |value| {
        format!("{}{value}", wrong.repeat(15))
    });
    assert_eq!(
        refusal(
            &StandardWebhooks::DEFAULT,
            many.request.clone(),
            &many.secrets,
            many.now_ms()
        ),
        None
    );
    set(&mut many.request, "webhook-signature", |value| {
        format!("{wrong}{value}")
    });
    let answer = refusal(
        &StandardWebhooks::DEFAULT,
        many.request.clone(),
        &many.secrets,
        many.now_ms(),
    );
    assert_eq!(answer, Some(Refusal::Malformed));
}

#[test]
fn the_window_can_be_set() {
    let stripe = vector("Stripe");
    let narrow = vendors::STRIPE.within(Window::seconds(10));
    let at = |seconds: i64| {
        refusal(
            &narrow,
            stripe.request.clone(),
            &stripe.secrets,
            stripe.now_ms() + seconds * 1_000,
        )
    };
    assert_eq!((at(10), at(11)), (None, Some(Refusal::Stale)));
    assert_eq!((at(-10), at(-11)), (None, Some(Refusal::Future)));
}

#[test]
fn a_list_with_two_times_is_refused() {
    let mut twice = vector("Stripe");
    set(&mut twice.request, "stripe-signature", |value| {
        format!("t=1,{value}")
    });
    let answer = refusal(
        &vendors::STRIPE,
        twice.request.clone(),
        &twice.secrets,
        twice.now_ms(),
    );
    assert_eq!(answer, Some(Refusal::Malformed));
}

#[test]
fn a_delivery_to_another_address_is_refused_where_the_address_is_signed() {
    for name in ["Trello, body and address", "HubSpot v3"] {
        let genuine = vector(name);
        let mut elsewhere = genuine.request.clone();
        elsewhere.path_and_query = "/hooks/conn_2".to_owned();
        let mut other_host = genuine.request.clone();
        other_host.origin = "https://hub.example.com".into();
        for request in [elsewhere, other_host] {
            let refused = genuine
                .scheme
                .verify(request, &genuine.secrets, genuine.now_ms())
                .unwrap_err();
            assert_eq!(refused.refusal(), Some(Refusal::WrongSignature), "{name}");
        }
    }
}

#[test]
fn one_wrong_client_state_among_many_is_refused_and_so_is_none_at_all() {
    let graph = vector("Microsoft Graph, clientState");
    let with = |body: &str| {
        let request = request(&[("content-type", "application/json")], body, 1_800_000_000);
        refusal(&vendors::MICROSOFT_GRAPH, request, &graph.secrets, 0)
    };
    let token = graph.secrets.live()[0].expose();
    assert_eq!(
        with(&format!(r#"{{"value":[{{"clientState":"{token}"}}]}}"#)),
        None
    );
    let mixed =
        format!(r#"{{"value":[{{"clientState":"{token}"}},{{"clientState":"guessed-by-someone"}}]}}"#);
    assert_eq!(with(&mixed), Some(Refusal::WrongSignature));
    for body in [
        &format!(r#"{{"value":[{{"clientState":"{token}"}},{{}}]}}"#)[..],
        &format!(r#"{{"value":[{{"clientState":"{token}"}},{{"clientState":null}}]}}"#),
        r#"{"value":[]}"#,
        "{}",
        "",
    ] {
        assert_eq!(with(body), Some(Refusal::Malformed), "{body}");
    }
}

#[test]
fn a_token_that_could_be_guessed_is_no_secret() {
    let request = request(&[("x-gitlab-token", "short")], "", 0);
    assert_eq!(
        refusal(&vendors::GITLAB, request, &WebhookSecrets::one("short"), 0),
        Some(Refusal::NoSecret)
    );
}

#[test]
fn zoom_gets_its_answer_only_for_a_challenge_that_it_signed() {
    // HMAC-SHA256 of the plain token with the secret token, computed with OpenSSL.
    let body = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#;
    let headers = [
        (
            "x-zm-signature",
            "v0=f63cf58c534aadfc8a72ee935e1b47bd54b549e690f4959e34e44c153d5cf5d5",
        ),
        ("x-zm-request-timestamp", "1800000000"),
    ];
    let secrets = WebhookSecrets::one("zoom_secret_token");
    let proven = vendors::ZOOM
        .verify(
            request(&headers, body, 1_800_000_000),
            &secrets,
            1_800_000_000_000,
        )
        .unwrap();
    let answer = vendors::zoom_validation(&proven, &secrets).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json["plainToken"], "qgg8vlvZRS6UYooatFL8Aw");
    assert_eq!(
        json["encryptedToken"],
        "bd48235863f4a6323ccc4963c594908b7c97f88b4a6a95278f4f093690b12726"
    );

    let delivery = vector("Zoom");
    let proven = delivery
        .scheme
        .verify(delivery.request.clone(), &delivery.secrets, delivery.now_ms())
        .unwrap();
    assert!(
        vendors::zoom_validation(&proven, &delivery.secrets).is_none(),
        "a delivery is no challenge"
    );
}
