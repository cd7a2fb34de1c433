//! What is not let through: keys without the permission, other hosts, paths that lead elsewhere, too much of anything; and
//! what is taken off on the way.

use reqwest::Method;
use serde_json::json;
use simulators::faults::{Fault, Gate, Match};
use testkit::harness::{sqlite, until};

use super::vendor::{Vendor, raw};
use super::{at, last_line};
use crate::scene::{google_server, with_caldav, with_google};
use crate::server::{Answer, LIMIT, calendar_server, start_server, start_server_with};

#[tokio::test]
async fn a_key_needs_the_permission_and_gives_only_what_it_has() {
    let caldav = calendar_server().await;
    let (server, connection, _) = with_caldav(&caldav).await;
    let mark = caldav.log().mark();
    let plain = server.post("/v1/api-keys", json!({"name": "plain"})).await.data();
    assert_eq!(plain["permissions"], json!([]));
    let plain = plain["secret"].as_str().unwrap().to_owned();
    let path = at(&connection, "");
    let refused = server.send(Method::GET, &path, None, &plain).await;
    refused.failure(403, "forbidden");
    let greedy = json!({"name": "greedy", "permissions": ["passthrough"]});
    let refused = server
        .send(Method::POST, "/v1/api-keys", Some(greedy.clone()), &plain)
        .await;
    refused.failure(403, "forbidden");
    assert!(caldav.log().since(mark).is_empty());
    assert_eq!(server.get("/v1/audit").await.data(), json!([]));
    let given = server.post("/v1/api-keys", greedy).await.data();
    assert_eq!(given["permissions"], json!(["passthrough"]));
    let given = given["secret"].as_str().unwrap();
    let answer = server.send(Method::OPTIONS, &path, None, given).await;
    assert_eq!(answer.header("concord-passthrough"), "caldav", "{}", answer.text);
    let unknown = json!({"name": "x", "permissions": ["everything"]});
    assert_eq!(server.post("/v1/api-keys", unknown).await.status, 422);
}

#[tokio::test]
async fn paths_that_lead_elsewhere_are_refused_and_nothing_is_sent() {
    let (vendor, server) = (Vendor::start().await, start_server().await);
    let connection = vendor.connect(&server).await;
    for rest in [
        "/127.0.0.1:9/x",
        "//thief.example",
        "../secret",
        "a/../../secret",
        "a/%2e%2e/secret",
        "a/.%2E/secret",
        "%252e%252e/secret",
        "a%2f..%2fsecret",
        "..;x/secret",
        "a%5c..%5csecret",
        "a%0d%0aX-Injected:%20yes",
        "a%00",
        "http://thief.example/",
        "a%zz",
    ] {
        let answer = raw(&server, &format!("GET {}", at(&connection, rest)), "").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{rest}: {answer}");
        assert!(answer.contains("call_refused"), "{rest}: {answer}");
    }
    // What is no request target at all never comes so far.
    for line in [
        format!("GET http://thief.example{}", at(&connection, "x\\..\\y")),
        format!("GET {} x", at(&connection, "a")),
    ] {
        let answer = raw(&server, &line, "").await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{line}: {answer}");
    }
    for method in ["TRACE", "CONNECT", "COPY", "MOVE", "LOCK", "BREW"] {
        let answer = raw(&server, &format!("{method} {}", at(&connection, "x")), "").await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{method}: {answer}");
    }
    assert_eq!(vendor.got(), Vec::<serde_json::Value>::new());
    assert_eq!(server.get("/v1/audit").await.data(), json!([]));
}

#[tokio::test]
async fn other_hosts_are_refused_and_the_connections_own_is_reached_from_its_root() {
    let (vendor, server) = (Vendor::start().await, start_server().await);
    let connection = vendor.connect(&server).await;
    let call = async |origin: &str| {
        let request = server
            .request(Method::GET, &at(&connection, "other"))
            .bearer_auth(&server.key)
            .header("concord-origin", origin);
        Answer::of(request).await
    };
    let own = vendor.url.trim_end_matches("/dav/");
    for origin in [
        "https://thief.example",
        "http://127.0.0.1:9",
        "http://localhost",
        "http://127.1",
        &own.replace("http", "https"),
        &format!("{own}/elsewhere"),
        "",
    ] {
        call(origin).await.failure(403, "call_refused");
    }
    assert!(vendor.got().is_empty());
    assert_eq!(call(own).await.status, 200);
    assert_eq!(vendor.got()[0]["target"], "/other", "not beneath /dav/");
    let twice = format!("concord-origin: {own}\r\nconcord-origin: {own}\r\n");
    let answer = raw(&server, &format!("GET {}", at(&connection, "x")), &twice).await;
    assert!(answer.contains("invalid_header"), "{answer}");
}

#[tokio::test]
async fn redirects_are_passed_on_and_not_followed() {
    let (vendor, server) = (Vendor::start().await, start_server().await);
    let connection = vendor.connect(&server).await;
    let answer = raw(&server, &format!("GET {}", at(&connection, "redirect")), "").await;
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(answer.contains("location: https://thief.example/"), "{answer}");
    assert_eq!(vendor.got().len(), 1);
}

#[tokio::test]
async fn the_callers_proofs_and_the_vendors_sessions_do_not_cross() {
    let (vendor, server) = (Vendor::start().await, start_server().await);
    let connection = vendor.connect(&server).await;
    let request = server
        .request(Method::PUT, &at(&connection, "x?q=%0d%0a"))
        .bearer_auth(&server.key)
        .header("cookie", "browser=1")
        .header("proxy-authorization", "Basic x")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-http-method-override", "DELETE")
        .header("connection", "x-of-this-hop")
        .header("x-of-this-hop", "1")
        .header("if-match", "\"3\"")
        .body("text");
    let answer = Answer::of(request).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "vendor's own words"));
    let got = vendor.got().remove(0);
    assert_eq!(
        (&got["method"], &got["target"]),
        (&json!("PUT"), &json!("/dav/x?q=%0d%0a"))
    );
    let headers = got["headers"].as_object().unwrap();
    assert_eq!(
        headers["authorization"], "Basic YWRhOmh1bnRlcjI=",
        "the connection's own"
    );
    assert_eq!(headers["if-match"], "\"3\"");
    for name in [
        "cookie",
        "proxy-authorization",
        "x-forwarded-for",
        "x-http-method-override",
        "x-of-this-hop",
    ] {
        assert!(!headers.contains_key(name), "{name}: {got}");
    }
    assert!(!got.to_string().contains("ck_"), "{got}");
    for name in ["set-cookie", "www-authenticate", "access-control-allow-origin"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    assert_eq!(answer.header("x-vendor"), "kept");
    assert_ne!(answer.header("concord-audit-id"), "forged");
    assert!(answer.header("content-security-policy").contains("sandbox"));
}

#[tokio::test]
async fn too_much_in_either_direction_is_refused() {
    let (vendor, server) = (Vendor::start().await, start_server().await);
    let connection = vendor.connect(&server).await;
    let send = async |bytes: usize| {
        let request = server
            .request(Method::PUT, &at(&connection, "x"))
            .bearer_auth(&server.key)
            .body(vec![b'x'; bytes]);
        Answer::of(request).await
    };
    send((8 << 20) + 1).await.failure(413, "payload_too_large");
    assert!(vendor.got().is_empty());
    assert_eq!(send(8 << 20).await.status, 200);
    let large = server.get(&at(&connection, "large")).await;
    let error = large.failure(502, "provider_error");
    assert!(error["message"].as_str().unwrap().contains("16 MiB"), "{error}");
    assert!(
        last_line(&server).await["failure"]
            .as_str()
            .unwrap()
            .contains("16 MiB")
    );
}

#[tokio::test]
async fn connections_that_rest_or_speak_no_http_are_not_called() {
    let caldav = calendar_server().await;
    let (server, connection, _) = with_caldav(&caldav).await;
    let path = format!("/v1/connections/{connection}");
    server.patch(&path, json!({"paused": true})).await.data();
    server.get(&at(&connection, "")).await.failure(409, "conflict");
}

#[tokio::test]
async fn the_way_out_is_guarded_where_connections_are() {
    let vendor = Vendor::start().await;
    let server = start_server_with("guard_connections = \"yes\"").await;
    let connection = vendor.connect(&server).await;
    let answer = server.get(&at(&connection, "x")).await;
    let error = answer.failure(422, "provider_unreachable");
    assert!(
        error["message"].as_str().unwrap().contains("nothing was sent"),
        "{error}"
    );
    assert!(vendor.got().is_empty());
}

#[tokio::test]
async fn a_connection_takes_four_calls_at_once() {
    let google = google_server().await;
    let (server, connection, _) = with_google(&google).await;
    let path = at(&connection, "users/me/calendarList");
    let gates: Vec<Gate> = (0..4).map(|_| Gate::new()).collect();
    for gate in &gates {
        google.faults().next(Match::any(), Fault::Hold(gate.clone()));
    }
    let fifth = async {
        for gate in &gates {
            gate.reached().await;
        }
        server.get(&path).await.failure(429, "too_many_calls");
        for gate in &gates {
            gate.open();
        }
    };
    let four = futures::future::join_all((0..4).map(|_| server.get(&path)));
    let (answers, ()) = tokio::join!(four, fifth);
    assert!(answers.iter().all(|answer| answer.status == 200));
    until("a free place", LIMIT, async || {
        (server.get(&path).await.status == 200).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_sent() {
    let (vendor, server) = (Vendor::start().await, start_server().await);
    let connection = vendor.connect(&server).await;
    let file = server.folder.path().join("concord.db");
    let trigger =
        "CREATE TRIGGER trouble BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk trouble'); END;";
    sqlite::execute(&file, trigger).unwrap();
    server
        .get(&at(&connection, "x"))
        .await
        .failure(503, "unavailable");
    assert!(vendor.got().is_empty());
    sqlite::execute(&file, "DROP TRIGGER trouble;").unwrap();
    assert_eq!(server.get(&at(&connection, "x")).await.status, 200);
}
