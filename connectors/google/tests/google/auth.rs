//! Imported tokens, and their renewal.

use std::sync::Arc;

use connector_google::connector;
use connector_sdk::{Auth as _, Connector as _, Credentials, ErrorKind, Pull as _};
use serde_json::{Value, json};
use simulators::faults::{Fault, Match};

use super::{ADA, TOKEN, World, world, world_with};

fn credentials(json: &Value) -> Credentials {
    Credentials::from_json(json.as_object().unwrap()).unwrap()
}

/// A connection that was imported with a refresh token.
fn renewable(world: &mut World) {
    let secrets = json!({
        "refresh_token": "1//refresh", "client_id": "hub", "client_secret": "s3cret", "access_token": "old",
    });
    world.ctx.credentials = Arc::new(credentials(&secrets));
    let config = json!({"token_url": world.google.token_url()});
    world.ctx.config = Arc::new(config.as_object().unwrap().clone());
}

#[test]
fn credentials_of_a_wrong_shape_are_named() {
    let connector = connector();
    let auth = connector.auth();
    assert!(auth.check(&credentials(&json!({"access_token": "a"}))).is_ok());
    let whole = json!({"refresh_token": "r", "client_id": "i", "client_secret": "s"});
    assert!(auth.check(&credentials(&whole)).is_ok());
    for (json, missing) in [
        (json!({}), "access_token"),
        (json!({"access_token": ""}), "access_token"),
        (json!({"refresh_token": "r", "client_secret": "s"}), "client_id"),
        (
            json!({"refresh_token": "r", "client_id": "i", "access_token": "a"}),
            "client_secret",
        ),
    ] {
        let error = auth.check(&credentials(&json)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains(missing), "{}", error.message);
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_works() {
    let mut world = world_with(|config| config.oauth_client("hub", "s3cret")).await;
    renewable(&mut world);
    let refused = connector().collections(&world.ctx).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unauthorized);
    let renewed = connector().refresh(&world.ctx).await.unwrap().unwrap();
    assert_ne!(renewed.get("access_token"), Some("old"));
    assert_eq!(
        renewed.get("refresh_token"),
        Some("1//refresh"),
        "the others are kept"
    );
    world.ctx.credentials = Arc::new(renewed);
    assert_eq!(connector().collections(&world.ctx).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_connection_with_a_refresh_token_alone_asks_to_be_renewed() {
    let mut world = world().await;
    world.ctx.credentials = Arc::new(credentials(&json!({"refresh_token": "1//refresh"})));
    let error = connector().collections(&world.ctx).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert_eq!(world.google.log().entries().len(), 0);
}

#[tokio::test]
async fn a_plain_token_cannot_be_renewed() {
    let world = world().await;
    assert!(connector().refresh(&world.ctx).await.unwrap().is_none());
    assert_eq!(world.ctx.credentials.get("access_token"), Some(TOKEN));
}

#[tokio::test]
async fn a_refused_renewal_is_final_and_tells_no_secret() {
    let mut world = world_with(|config| config.oauth_client("hub", "s3cret")).await;
    renewable(&mut world);
    world.google.revoke(ADA);
    let error = connector().refresh(&world.ctx).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(
        error.message.contains("has expired or was revoked"),
        "{}",
        error.message
    );

    let stranger = json!({"refresh_token": "1//refresh", "client_id": "hub", "client_secret": "wrong!"});
    world.ctx.credentials = Arc::new(credentials(&stranger));
    let error = connector().refresh(&world.ctx).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied, "it is the app's trouble");
    assert!(!format!("{error} {error:?}").contains("wrong!"));
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_is_tried_again_later() {
    let mut world = world().await;
    renewable(&mut world);
    for (status, body, kind) in [
        (503, "busy", ErrorKind::Unavailable),
        (429, "{}", ErrorKind::RateLimited),
        (
            200,
            "{\"token_type\":\"Bearer\",\"id_token\":\"ey.secret\"}",
            ErrorKind::Unexpected,
        ),
        (200, "<html>", ErrorKind::Unexpected),
    ] {
        world
            .google
            .faults()
            .next(Match::path("/token"), Fault::answer(status, body));
        let error = connector().refresh(&world.ctx).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status}");
        assert!(!format!("{error:?}").contains("secret"));
    }
    let config = json!({"token_url": "file:///etc/passwd"});
    world.ctx.config = Arc::new(config.as_object().unwrap().clone());
    assert_eq!(
        connector().refresh(&world.ctx).await.unwrap_err().kind,
        ErrorKind::Invalid
    );
}
