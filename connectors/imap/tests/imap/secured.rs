//! TLS: from the first byte, by STARTTLS, or not at all.

use bytes::Bytes;
use connector_sdk::dial::{NetworkDialer, SystemLookup};
use connector_sdk::{Connector as _, Context, ErrorKind};
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::conformance::context;
use testkit::harness::{Dovecot, TlsFront, TlsIdentity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn trusting(url: &str, password: &str, config: &Value, root: Option<&TlsIdentity>) -> Context {
    let login = json!({"username": "alice", "password": password});
    let mut context = context(url, &login, config).unwrap();
    let roots: Vec<Bytes> = root
        .iter()
        .map(|identity| Bytes::from(identity.authority_pem.clone()))
        .collect();
    context.dial = Arc::new(NetworkDialer::new(&roots, Arc::new(SystemLookup)).unwrap());
    context
}

async fn listed(context: &Context) -> Result<usize, connector_sdk::Error> {
    let connector = connector_imap::connector();
    Ok(connector.pull().unwrap().collections(context).await?.len())
}

#[tokio::test]
async fn a_server_is_spoken_to_under_tls_when_its_certificate_is_trusted() {
    let server = Dovecot::start().await.unwrap();
    let identity = TlsIdentity::valid().unwrap();
    let upstream = format!("127.0.0.1:{}", server.port()).parse().unwrap();
    let front = TlsFront::start(upstream, &identity).await.unwrap();
    let port = front.base_url().unwrap().port().unwrap();
    let url = format!("imaps://localhost:{port}");
    let password = server.password();
    assert_eq!(
        listed(&trusting(&url, password, &json!({}), Some(&identity)))
            .await
            .unwrap(),
        3
    );
    let error = listed(&trusting(&url, password, &json!({}), None))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("not trusted"), "{error}");
}

/// What a server hears until we leave, which offers these capabilities and says `after` to STARTTLS.
async fn heard(greeting: &'static str, after: &'static str) -> (connector_sdk::Error, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("imap://{}", listener.local_addr().unwrap());
    let hearing = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(greeting.as_bytes()).await.unwrap();
        let mut heard = String::new();
        let mut buffer = vec![0; 4_096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
            if stream.write_all(after.as_bytes()).await.is_err() {
                break;
            }
        }
        heard
    });
    let error = listed(&trusting(&url, "correct-horse", &json!({}), None))
        .await
        .unwrap_err();
    (error, hearing.await.unwrap())
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_does_not_go_along_with_starttls() {
    for (greeting, after) in [
        ("* OK [CAPABILITY IMAP4rev1] no TLS here\r\n", ""),
        ("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] come in\r\n", ""),
        (
            "* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n",
            "c1 NO not now\r\n",
        ),
        // What comes before the handshake could be anybody's.
        (
            "* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n",
            "c1 OK go on\r\n* CAPABILITY X\r\n",
        ),
        (
            "* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n",
            "c1 OK go on\r\n",
        ),
    ] {
        let (error, heard) = heard(greeting, after).await;
        assert!(
            matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Unexpected),
            "{greeting}: {error}"
        );
        assert!(
            !heard.contains("LOGIN") && !heard.contains("AUTHENTICATE"),
            "{heard}"
        );
    }
}

#[tokio::test]
async fn without_tls_only_this_machine_is_spoken_to() {
    let context = trusting("imap://192.0.2.1:143", "x", &json!({"security": "none"}), None);
    let error = listed(&context).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    let context = trusting("imaps://127.0.0.1:993", "x", &json!({"security": "none"}), None);
    assert_eq!(listed(&context).await.unwrap_err().kind, ErrorKind::Invalid);
}
