//! What a collector of traces is told of a webhook: one trace, from its first byte to the client's socket.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::post;
use connector_memory::delivery;
use connector_sdk::{Clock as _, SystemClock};
use futures::StreamExt as _;
use hub::server::Make;
use hub::traces::Settings;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Said;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::harness::until;
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{LIMIT, Scene, WORK, event};

const SENDERS: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A collector, and a receiver of webhooks, on loopback; they end with the test.
#[derive(Clone, Default)]
struct Ears {
    spans: Arc<Mutex<Vec<Span>>>,
    traceparents: Arc<Mutex<Vec<String>>>,
}

impl Ears {
    /// Listens; answers with its address.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/traces", post(collect))
            .route("/hook", post(receive))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    fn named(&self, name: &str) -> Vec<Span> {
        self.spans()
            .into_iter()
            .filter(|span| span.name == name)
            .collect()
    }

    /// The spans of these names, once there is at least one of each.
    async fn all_of<const N: usize>(&self, names: [&str; N]) -> [Span; N] {
        let found = until("the spans", LIMIT, async || {
            let found = names.map(|name| self.named(name).into_iter().next());
            found
                .iter()
                .all(Option::is_some)
                .then(|| found.map(Option::unwrap))
        });
        found.await.unwrap_or_else(|error| {
            let there: Vec<String> = self.spans().into_iter().map(|span| span.name).collect();
            panic!("{error}: {names:?}, and there are {there:?}")
        })
    }
}

async fn collect(State(ears): State<Ears>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        for scope in resource.scope_spans {
            ears.spans.lock().unwrap().extend(scope.spans);
        }
    }
    StatusCode::OK
}

async fn receive(State(ears): State<Ears>, headers: HeaderMap) -> StatusCode {
    let traceparent = headers
        .get("traceparent")
        .map(|value| value.to_str().unwrap().to_owned());
    ears.traceparents.lock().unwrap().extend(traceparent);
    StatusCode::OK
}

async fn scene(collector: &str) -> Scene {
    let settings = Settings {
        endpoint: format!("{collector}/v1/traces"),
        ratio: 1.0,
    };
    let other = |make| Make {
        traces: Some(settings),
        ..make
    };
    let egress = "egress_allow = \"127.0.0.0/8\"\negress_ports = \"1-65535\"\n";
    Scene::start_with(egress, other).await
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key == name)?;
    Some(match found.value.clone()?.value? {
        Said::StringValue(text) => text,
        Said::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn one_webhook_is_one_trace_from_its_first_byte_to_the_clients_socket() {
    let ears = Ears::default();
    let url = ears.start().await;
    let scene = scene(&url).await;
    let body = json!({"url": format!("{url}/hook"), "kinds": ["event"]});
    scene
        .call(Method::POST, "/v1/webhook-endpoints", Some(body))
        .await
        .data();
    let stream = scene.server.base_url().replace("http://", "ws://") + "/v1/changes/stream?kind=event";
    let mut request = stream.into_client_request().unwrap();
    let bearer = HeaderValue::from_str(&format!("Bearer {}", scene.key)).unwrap();
    request.headers_mut().insert("authorization", bearer);
    let (mut socket, _) = connect_async(request).await.unwrap();

    scene.provider.put(WORK, "a", event("a", "Nobody's business"));
    let body = delivery::body(&[scene.observation("a")]);
    let mut headers = delivery::headers(&scene.secret, "msg_1", SystemClock.now_ms(), &body).unwrap();
    let sent = format!("00-{SENDERS}-00f067aa0ba902b7-01");
    headers.insert("traceparent", HeaderValue::from_str(&sent).unwrap());
    assert_eq!(scene.send(&scene.hook, headers, body).await.status, 200);

    // Signs of life come in between.
    let change: Value = loop {
        let message = tokio::time::timeout(LIMIT, socket.next()).await.unwrap();
        if let Message::Text(text) = message.unwrap().unwrap() {
            break serde_json::from_str(&text).unwrap();
        }
    };
    let names = [
        "webhook receive",
        "webhook store",
        "webhook take",
        "webhook deliver",
        "stream send",
    ];
    let [received, stored, taken, delivered, told] = ears.all_of(names).await;
    let spans = [&received, &stored, &taken, &delivered, &told];
    let traces: BTreeSet<&[u8]> = spans.iter().map(|span| span.trace_id.as_slice()).collect();
    assert_eq!(traces.len(), 1, "{spans:?}");
    assert!(
        received.parent_span_id.is_empty(),
        "nobody else's trace is gone on with"
    );
    assert_eq!(stored.parent_span_id, received.span_id);
    assert_eq!(taken.parent_span_id, received.span_id);
    assert_eq!(delivered.parent_span_id, taken.span_id);
    assert_eq!(told.parent_span_id, taken.span_id);
    assert_eq!(hex(&received.links[0].trace_id), SENDERS);

    let sent = format!("00-{}-{}-01", hex(&delivered.trace_id), hex(&delivered.span_id));
    assert_eq!(*ears.traceparents.lock().unwrap(), [sent]);
    let id = attribute(&received, "concord.webhook.id").unwrap();
    assert_eq!(change["webhook_id"], id.as_str());
    let inbound = scene.get(&format!("/v1/deliveries/{id}")).await;
    assert_eq!(inbound["delivery_id"], "msg_1");
    assert_eq!(
        attribute(&told, "concord.change.seq").unwrap(),
        change["seq"].to_string()
    );
    for span in spans {
        let text = format!("{span:?}");
        for secret in ["Nobody's business", "msg_1", &scene.key, "127.0.0.1"] {
            assert!(!text.contains(secret), "{secret} stands in {text}");
        }
    }
}

#[tokio::test]
async fn what_a_webhook_makes_the_hub_look_for_is_of_its_trace() {
    let ears = Ears::default();
    let scene = scene(&ears.start().await).await;
    scene.provider.put(WORK, "a", event("a", "One"));
    scene.deliver("msg_1", &[delivery::dirty(WORK)]).await;
    let [received, taken, job, commit] = ears
        .all_of(["webhook receive", "webhook take", "job", "change commit"])
        .await;
    for span in [&taken, &job, &commit] {
        assert_eq!(span.trace_id, received.trace_id);
    }
    assert_eq!(attribute(&job, "concord.job.task").unwrap(), "sync");
    assert_eq!(
        (&job.parent_span_id, &commit.parent_span_id),
        (&taken.span_id, &taken.span_id)
    );
}

#[tokio::test]
async fn webhooks_that_are_taken_together_are_linked_to_each_other() {
    let ears = Ears::default();
    let scene = scene(&ears.start().await).await;
    let path = format!("/v1/connections/{}", scene.connection);
    let pause = async |paused: bool| {
        let body = json!({ "paused": paused });
        scene.call(Method::PATCH, &path, Some(body)).await.data()
    };
    pause(true).await;
    for id in ["a", "b", "c"] {
        scene.provider.put(WORK, id, event(id, id));
        scene
            .deliver(&format!("msg_{id}"), &[scene.observation(id)])
            .await;
    }
    pause(false).await;
    let taken = until("all three", LIMIT, async || {
        let taken = ears.named("webhook take");
        (taken.len() == 3).then_some(taken)
    });
    let taken = taken.await.unwrap();
    let traces: BTreeSet<&[u8]> = taken.iter().map(|span| span.trace_id.as_slice()).collect();
    assert_eq!(traces.len(), 3, "each webhook has its own trace");
    for span in taken
        .iter()
        .filter(|span| attribute(span, "concord.webhooks.together").unwrap() != "1")
    {
        assert!(!span.links.is_empty());
        for link in &span.links {
            assert!(traces.contains(link.trace_id.as_slice()), "{link:?}");
        }
    }
    let linked = taken.iter().filter(|span| !span.links.is_empty()).count();
    assert_eq!(linked, 3, "they waited for the same job");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nothing_but_its_spans() {
    // Nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let scene = scene(&format!("http://{address}")).await;
    scene.provider.put(WORK, "a", event("a", "One"));
    assert_eq!(
        scene.deliver("msg_1", &[scene.observation("a")]).await.status,
        200
    );
    scene.delivery_in("msg_1", "done").await;
    assert_eq!(scene.titles().await, ["One"]);
    let dropped = async || {
        let metrics = scene.call(Method::GET, "/metrics", None).await.text;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("concord_trace_spans_dropped_total{reason=\"not_taken\"}"));
        line.map(|_| ())
    };
    until("the dropped spans are counted", LIMIT, dropped)
        .await
        .unwrap();
}
