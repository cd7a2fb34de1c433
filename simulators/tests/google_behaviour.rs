//! The rest of the Google stand-in: roles, limits, troubles, tokens, channels, free/busy, TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail anywhere, helpers included"
)]

mod google;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use google::{ADA, Api, GRACE, TEAM, at, builder, daily, ids, meeting, reason, start};
use http::{HeaderMap, Method};
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulators::faults::{Fault, Match};
use simulators::google_calendar::{AccountConfig, Config, GoogleCalendar, ManualClock, Quota, Role, Trouble};
use simulators::server::{ServerOptions, SimulatorServer};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_reader_may_not_write_and_a_stranger_finds_nothing() {
    let (google, api) = start().await;
    let owner = api.on(TEAM);
    let mut secret = meeting("Secret");
    secret["visibility"] = json!("private");
    let secret = owner.insert(secret).await;
    google.set_role(TEAM, GRACE, Role::Reader);
    let grace = Api::new(&google, GRACE).on(TEAM);
    let (status, answer) = grace.send(Method::POST, "/events", Some(meeting("No"))).await;
    assert_eq!((status, reason(&answer)), (403, "requiredAccessLevel"));
    assert_eq!(
        answer["error"]["message"],
        "You need to have writer access to this calendar."
    );
    let seen = grace
        .ok(
            Method::GET,
            &format!("/events/{}", secret["id"].as_str().unwrap()),
            None,
        )
        .await;
    assert!(seen.get("summary").is_none());
    google.set_role(TEAM, GRACE, None);
    assert_eq!(grace.send(Method::GET, "/events", None).await.0, 404);
    let listed = Api::new(&google, GRACE).at("/users/me/calendarList").await;
    assert_eq!(ids(&listed), [GRACE]);
}

#[tokio::test]
async fn a_spent_quota_refuses_until_the_next_window_and_a_patch_costs_three() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let window = SignedDuration::from_secs(60);
    let quota = Quota {
        units: 5,
        window,
        refusal: Trouble::UserRateLimitExceeded,
    };
    let server = GoogleCalendar::start(builder(&clock).quota(quota)).await.unwrap();
    let api = Api::new(&server, ADA);
    let event = api.insert(meeting("One")).await;
    let path = format!("/events/{}", event["id"].as_str().unwrap());
    api.ok(Method::PATCH, &path, Some(json!({"summary": "Four"})))
        .await;
    api.ok(Method::GET, &path, None).await;
    let (status, answer) = api.send(Method::GET, &path, None).await;
    assert_eq!((status, reason(&answer)), (403, "userRateLimitExceeded"));
    assert_eq!(answer["error"]["errors"][0]["domain"], "usageLimits");
    clock.advance(window);
    api.ok(Method::GET, &path, None).await;
}

#[tokio::test]
async fn injected_troubles_look_like_googles_and_the_request_has_no_effect() {
    let (google, api) = start().await;
    for (trouble, status, name) in [
        (Trouble::RateLimitExceeded, 403, "rateLimitExceeded"),
        (Trouble::QuotaExceeded, 403, "quotaExceeded"),
        (Trouble::TooManyRequests, 429, "rateLimitExceeded"),
        (Trouble::BackendError, 500, "backendError"),
    ] {
        google
            .faults()
            .next(Match::path("/events").with_method(Method::POST), trouble.fault());
        let (got, answer) = api.send(Method::POST, "/events", Some(meeting("Never"))).await;
        assert_eq!((got, reason(&answer)), (status, name));
    }
    assert_eq!(google.event_count(ADA), 0);
}

#[tokio::test]
async fn a_lost_response_took_effect_and_a_dropped_request_did_not() {
    let (google, api) = start().await;
    google.faults().next(Match::any(), Fault::LoseResponse);
    assert!(
        api.try_send(Method::POST, "/events", Some(meeting("Lost")))
            .await
            .is_err()
    );
    assert_eq!(google.event_count(ADA), 1);
    google.faults().next(Match::any(), Fault::DropBeforeEffect);
    assert!(
        api.try_send(Method::POST, "/events", Some(meeting("Dropped")))
            .await
            .is_err()
    );
    assert_eq!(google.event_count(ADA), 1);
    assert_eq!(google.log().writes(), 2);
    assert!(google.log().entries().iter().all(|entry| entry.status.is_none()));
    let other = google.clone();
    google.faults().next(
        Match::path("/events/").with_method(Method::PATCH),
        Fault::before(move || {
            let id = other.calendar(ADA).events()[0]["id"].as_str().unwrap().to_owned();
            other
                .calendar(ADA)
                .patch(&id, json!({"location": "first"}))
                .unwrap();
        }),
    );
    let event = google.calendar(ADA).events().remove(0);
    let path = format!("/events/{}", event["id"].as_str().unwrap());
    let body = Some(json!({"summary": "second"}));
    let (status, _) = api
        .conditional(Method::PATCH, &path, body, event["etag"].as_str().unwrap())
        .await;
    assert_eq!(status, 412);
}

#[tokio::test]
async fn access_tokens_expire_and_the_token_endpoint_gives_new_ones_until_revoked() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let config = Config::new(clock.clock())
        .oauth_client("client", "secret")
        .account(AccountConfig::new(ADA).refresh_token("refresh"));
    let server = GoogleCalendar::start(config).await.unwrap();
    let refresh = |secret: &'static str| {
        let form =
            format!("grant_type=refresh_token&refresh_token=refresh&client_id=client&client_secret={secret}");
        let request = reqwest::Client::new().post(server.token_url()).body(form);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    assert_eq!(refresh("wrong").await.0, 401);
    let (status, answer) = refresh("secret").await;
    assert_eq!((status, &answer["token_type"]), (200, &json!("Bearer")));
    let api = Api::with_token(&server, ADA, answer["access_token"].as_str().unwrap());
    api.ok(Method::GET, "/events", None).await;
    clock.advance(SignedDuration::from_secs(answer["expires_in"].as_i64().unwrap()));
    let (status, answer) = api.send(Method::GET, "/events", None).await;
    assert_eq!((status, reason(&answer)), (401, "authError"));
    server.revoke(ADA);
    let (status, answer) = refresh("secret").await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    let logged = format!("{:?}", server.log().entries());
    assert!(!logged.contains("ya29"), "no credentials in the log");
}

#[tokio::test]
async fn a_channel_reports_changes_until_it_expires_or_is_stopped() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let server = GoogleCalendar::start(builder(&clock)).await.unwrap();
    let api = Api::new(&server, ADA);
    let (sender, mut notices) = mpsc::unbounded_channel();
    let receive = |State(sender): State<mpsc::UnboundedSender<HeaderMap>>, headers: HeaderMap| async move {
        sender.send(headers).unwrap();
    };
    let hooks = Router::new().route("/hook", post(receive)).with_state(sender);
    let hooks = SimulatorServer::start(hooks, ServerOptions::default())
        .await
        .unwrap();
    let address = format!("{}/hook", hooks.base_url());
    let expiration = at("2026-01-02T00:00:00Z").as_millisecond();
    let body =
        json!({"id": "ch-1", "type": "web_hook", "address": address, "token": "t", "expiration": expiration});
    let channel = api.ok(Method::POST, "/events/watch", Some(body.clone())).await;
    assert_eq!(channel["expiration"], expiration.to_string());
    let (status, answer) = api.send(Method::POST, "/events/watch", Some(body)).await;
    assert_eq!((status, reason(&answer)), (400, "channelIdNotUnique"));

    let header = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
    let first = notices.recv().await.unwrap();
    assert_eq!(header(&first, "x-goog-resource-state"), "sync");
    assert_eq!(header(&first, "x-goog-message-number"), "1");
    api.insert(meeting("News")).await;
    let second = notices.recv().await.unwrap();
    assert_eq!(header(&second, "x-goog-resource-state"), "exists");
    assert_eq!(header(&second, "x-goog-channel-id"), "ch-1");
    assert_eq!(header(&second, "x-goog-channel-token"), "t");
    assert_eq!(
        header(&second, "x-goog-resource-id"),
        channel["resourceId"].as_str().unwrap()
    );
    assert!(second.contains_key("x-goog-channel-expiration") && second.contains_key("x-goog-resource-uri"));

    clock.advance(SignedDuration::from_hours(24));
    assert!(server.open_channels().is_empty());
    api.insert(meeting("Unheard")).await;
    let again = json!({"id": "ch-2", "type": "web_hook", "address": address});
    let again = api.ok(Method::POST, "/events/watch", Some(again)).await;
    let third = notices.recv().await.unwrap();
    assert_eq!(
        header(&third, "x-goog-channel-id"),
        "ch-2",
        "the expired channel told nothing"
    );
    let stop = json!({"id": "ch-2", "resourceId": again["resourceId"]});
    assert_eq!(api.post_root("/channels/stop", stop.clone()).await.0, 204);
    assert_eq!(api.post_root("/channels/stop", stop).await.0, 404);
    assert!(server.open_channels().is_empty());
}

#[tokio::test]
async fn free_busy_joins_overlaps_and_leaves_out_what_does_not_block() {
    let (google, api) = start().await;
    api.insert(daily()).await;
    let mut overlapping = meeting("Overlap");
    overlapping["end"]["dateTime"] = json!("2026-03-02T11:00:00+01:00");
    api.insert(overlapping).await;
    let mut free = meeting("Free");
    free["start"]["dateTime"] = json!("2026-03-02T12:00:00+01:00");
    free["end"]["dateTime"] = json!("2026-03-02T13:00:00+01:00");
    free["transparency"] = json!("transparent");
    api.insert(free).await;
    google
        .calendar(ADA)
        .cancel_instance("standup", "20260303T080000Z")
        .unwrap();
    let query = json!({"timeMin": "2026-03-02T00:00:00Z", "timeMax": "2026-03-05T00:00:00Z",
                       "items": [{"id": ADA}, {"id": "nobody@x.example"}]});
    let (status, answer) = api.post_root("/freeBusy", query).await;
    assert_eq!(status, 200);
    let expected = json!([
        {"start": "2026-03-02T08:00:00Z", "end": "2026-03-02T10:00:00Z"},
        {"start": "2026-03-04T08:00:00Z", "end": "2026-03-04T09:00:00Z"},
    ]);
    assert_eq!(answer["calendars"][ADA]["busy"], expected);
    assert_eq!(
        answer["calendars"]["nobody@x.example"]["errors"][0]["reason"],
        "notFound"
    );
    assert_eq!(google.log().writes(), 3, "a query is no write");
}

#[tokio::test]
async fn a_server_that_shuts_down_closes_its_port() {
    let (google, api) = start().await;
    api.ok(Method::GET, "/events", None).await;
    drop(api);
    let address = google.base_url().to_owned();
    google.shutdown().await;
    assert!(reqwest::get(address).await.is_err());
}

#[tokio::test]
async fn it_speaks_tls_with_the_certificate_that_it_is_given() {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let server = GoogleCalendar::start(builder(&clock).tls(Arc::new(tls)))
        .await
        .unwrap();
    let url = server.api_url().replace("127.0.0.1", "localhost") + "users/me/calendarList";
    assert!(url.starts_with("https://"));
    assert!(
        reqwest::get(&url).await.is_err(),
        "nobody vouches for the certificate"
    );
    let trusted = reqwest::Certificate::from_der(issued.cert.der()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    let answer = client
        .get(&url)
        .bearer_auth(format!("token-of-{ADA}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}
