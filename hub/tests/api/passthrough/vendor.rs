//! A vendor that answers with what it got, and that misbehaves where it is asked to; and requests that no client library
//! would send.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::server::TestServer;

/// A vendor's server.
pub(crate) struct Vendor {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Value>>>,
}

impl Vendor {
    pub(crate) async fn start() -> Self {
        let got: Arc<Mutex<Vec<Value>>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/dav/", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&got));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, got }
    }

    /// What reached it of calls in its own words.
    pub(crate) fn got(&self) -> Vec<Value> {
        self.got.lock().unwrap().clone()
    }

    /// A connection of CalDAV to it, which is not tried.
    pub(crate) async fn connect(&self, server: &TestServer) -> String {
        let body = json!({
            "provider": "caldav",
            "config": {"base_url": self.url},
            "credentials": {"username": "ada", "password": "hunter2"},
        });
        let made = server.post("/v1/connections?verify=false", body).await;
        let made = made.data();
        let tried = |job: &Value| job["error"].is_object();
        server.job_when(made["job_id"].as_str().unwrap(), tried).await;
        self.got.lock().unwrap().clear();
        made["id"].as_str().unwrap().to_owned()
    }
}

async fn answer(State(got): State<Arc<Mutex<Vec<Value>>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let headers: serde_json::Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(value.to_str().unwrap())))
        .collect();
    let path = head.uri.path().to_owned();
    // The connection's own syncs are tried again meanwhile, and ask what they find here.
    if head.method.as_str() != "PROPFIND" {
        got.lock().unwrap().push(json!({
            "method": head.method.as_str(),
            "target": head.uri.to_string(),
            "headers": headers,
            "body_bytes": body.len(),
        }));
    }
    if path.ends_with("/redirect") {
        return (StatusCode::FOUND, [("location", "https://thief.example/")]).into_response();
    }
    if path.ends_with("/large") {
        return vec![b'x'; 17 << 20].into_response();
    }
    if path.ends_with("/missing") {
        return (
            StatusCode::NOT_FOUND,
            [("content-type", "text/plain")],
            "not here",
        )
            .into_response();
    }
    let mut response = Response::new(Body::from("vendor's own words"));
    for (name, value) in [
        ("set-cookie", "session=stolen"),
        ("www-authenticate", "Basic realm=\"vendor\""),
        ("access-control-allow-origin", "*"),
        ("concord-audit-id", "forged"),
        ("x-vendor", "kept"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Sends a request line as it stands; answers with status line, headers and body as text.
pub(crate) async fn raw(server: &TestServer, line: &str, more: &str) -> String {
    let mut stream = TcpStream::connect(server.server.address()).await.unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: concord\r\nauthorization: Bearer {}\r\n{more}connection: close\r\n\r\n",
        server.key
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
