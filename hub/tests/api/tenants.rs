//! Another tenant's object is a 404, on every route that names one. The routes come from the OpenAPI document, so a
//! new one cannot be forgotten.

use ::sync::ports::{Effect, Store as _};
use ::sync::state::{Collection, Conflict, Record};
use connector_memory::delivery;
use connector_sdk::signature::{Scheme as _, StandardWebhooks, standard_webhooks};
use connector_sdk::webhooks::inbox::StoredHead;
use connector_sdk::{Access, Clock as _, RemoteCollection, RemoteId, SystemClock, WebhookSecrets};
use hub::entropy::SystemEntropy;
use hub::state::id_parts;
use model::{
    CollectionId, ConflictId, ConnectLinkId, Content, Fields, InboundId, JobId, Kind, ProviderAppId, RecordId,
};
use reqwest::Method;
use serde_json::{Value, json};
use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig};
use store::{AppRef, ConnectLink, LinkFilter, NewInbound, Paging, ProviderApp, Wanted};

use crate::server::{PASSWORD, TestServer, USER, start_server_with};

const SERIES: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Concord//test//EN\r\nBEGIN:VEVENT\r\n\
     UID:series@example.com\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\n\
     RRULE:FREQ=DAILY;COUNT=5\r\nSUMMARY:Standup\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
const START: &str = "2026-03-02T09:00:00";

/// Every operation of the API.
pub(crate) fn operations() -> Vec<(Method, String)> {
    let document = serde_json::to_value(hub::api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
        let path = path.clone();
        methods
            .into_iter()
            .filter_map(move |method| Some((method.to_uppercase().parse().ok()?, path.clone())))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// A tenant with an object of every sort: a series, something unreadable, a mirror, a conflict.
async fn tenant_with_everything() -> (TestServer, CaldavServer) {
    let work = CalendarConfig::new("work")
        .object("series.ics", SERIES)
        .object("broken.ics", "BEGIN:VCALENDAR\r\nnonsense");
    let account = AccountConfig::new(USER)
        .password(PASSWORD)
        .calendar(work)
        .calendar(CalendarConfig::new("home"));
    let calendars = CaldavServer::start(simulators::caldav::Config::with_account(account))
        .await
        .unwrap();
    let server = start_server_with("egress_allow = \"127.0.0.0/8\"\negress_ports = \"1-65535\"").await;
    let made = server.connect(&calendars).await;
    let member = |index: usize| json!({"collection_id": made["collections"][index]["id"], "role": "both"});
    let mirror = server
        .post(
            "/v1/mirrors",
            json!({"name": "both", "members": [member(0), member(1)]}),
        )
        .await;
    assert_eq!(mirror.status, 201, "{}", mirror.text);
    put_conflict(&server).await;
    put_delivery(&server).await;
    put_webhook(&server).await;
    put_connect_link(&server).await;
    put_message(&server).await;
    (server, calendars)
}

/// An app, and a delivery that came in at its address.
async fn put_webhook(server: &TestServer) {
    let store = server.server.state().unscoped_store();
    let organization = store.organizations().await.unwrap().remove(0).id;
    let links = store
        .links(&organization, &LinkFilter::default(), &Paging::first(1))
        .await
        .unwrap();
    let now_ms = SystemClock.now_ms();
    let id = || id_parts(&SystemClock, &SystemEntropy);
    let app = ProviderApp {
        id: ProviderAppId::new(id().0, id().1),
        organization: organization.clone(),
        provider: "memory".to_owned(),
        name: "An app".to_owned(),
        created_at: now_ms,
    };
    store.insert_provider_app(&app, &[], None).await.unwrap();
    let secret = standard_webhooks::secret([7; 32]);
    let request = delivery::signed(&secret, "msg_1", now_ms, delivery::body(&[])).unwrap();
    let secrets = WebhookSecrets::new([secret]);
    let verified = StandardWebhooks::DEFAULT
        .verify(request, &secrets, now_ms)
        .unwrap();
    let row = NewInbound {
        id: InboundId::new(id().0, id().1),
        organization,
        connection: Some(links.items[0].connection.clone()),
        app: Some(app.id),
        route: None,
        provider: app.provider.clone(),
        delivery: Some("msg_1".to_owned()),
        head: serde_json::to_string(&StoredHead::of(&verified)).unwrap(),
        body: verified.body().clone(),
        trace: None,
        received_at: now_ms,
        job: JobId::new(id().0, id().1),
    };
    store.receive(vec![row]).await.unwrap();
}

/// A link at which somebody could connect an account.
async fn put_connect_link(server: &TestServer) {
    let store = server.server.state().unscoped_store();
    let organization = store.organizations().await.unwrap().remove(0).id;
    let apps = store
        .provider_apps(&organization, &Paging::first(1))
        .await
        .unwrap();
    let (now_ms, random) = id_parts(&SystemClock, &SystemEntropy);
    let link = ConnectLink {
        id: ConnectLinkId::new(now_ms, random),
        app: AppRef {
            owner: organization.clone(),
            id: apps.items[0].id.clone(),
        },
        organization,
        connection: None,
        wanted: Wanted::default(),
        uses_left: 1,
        expires_at: SystemClock.now_ms() + 60_000,
        created_by: "a test".to_owned(),
        created_at: SystemClock.now_ms(),
    };
    store.insert_connect_link(&link, "digest").await.unwrap();
}

async fn put_conflict(server: &TestServer) {
    let store = server.server.state().unscoped_store();
    let organization = store.organizations().await.unwrap().remove(0).id;
    let links = store
        .links(&organization, &LinkFilter::default(), &Paging::first(1))
        .await
        .unwrap();
    let link = &links.items[0];
    let (now_ms, random) = id_parts(&SystemClock, &SystemEntropy);
    let conflict = Conflict {
        id: ConflictId::new(now_ms, random),
        organization: organization.clone(),
        record: link.record.clone(),
        link: link.id.clone(),
        path: Some(model::FieldPath::master("title")),
        anchor: None,
        base: None,
        hub: Some(json!("ours")),
        remote: Some(json!("theirs")),
        winner: None,
        rule: conflict::Rule::Ask,
        resolved_at: None,
        created_at: SystemClock.now_ms(),
    };
    let effects = vec![Effect::PutConflict(Box::new(conflict))];
    store.commit(&organization, None, effects).await.unwrap();
}

/// A folder with a message in it.
async fn put_message(server: &TestServer) {
    let store = server.server.state().unscoped_store();
    let organization = store.organizations().await.unwrap().remove(0).id;
    let filter = LinkFilter::default();
    let links = store
        .links(&organization, &filter, &Paging::first(1))
        .await
        .unwrap();
    let (now_ms, random) = id_parts(&SystemClock, &SystemEntropy);
    let folder = Collection {
        id: CollectionId::new(now_ms, random),
        organization: organization.clone(),
        connection: links.items[0].connection.clone(),
        remote: RemoteCollection {
            id: RemoteId("INBOX".to_owned()),
            kind: Kind::Message,
            name: "INBOX".to_owned(),
            access: Access::ReadWrite,
            fields: Fields::new(),
        },
        cursor: None,
        enumerated_at: None,
        enabled: false,
        hold: None,
    };
    let message = Record {
        id: RecordId::new(now_ms, random),
        organization: organization.clone(),
        kind: Kind::Message,
        version: 1,
        content: Content::new([("subject".to_owned(), json!("Ours"))].into()),
        clocks: std::collections::BTreeMap::new(),
        home: None,
        deleted: false,
        merged_into: None,
        created_at: SystemClock.now_ms(),
        updated_at: SystemClock.now_ms(),
    };
    let effects = vec![
        Effect::PutCollection(Box::new(folder)),
        Effect::CreateRecord(Box::new(message)),
    ];
    store.commit(&organization, None, effects).await.unwrap();
}

/// A webhook endpoint that is told nothing but a test, which nobody takes.
async fn put_delivery(server: &TestServer) {
    let made = server
        .post(
            "/v1/webhook-endpoints",
            json!({"url": "http://127.0.0.1:9/", "kinds": ["nothing"]}),
        )
        .await
        .data();
    let path = format!("/v1/webhook-endpoints/{}/test", made["id"].as_str().unwrap());
    server.post(&path, json!({})).await.data();
}

/// The path with ids of the first tenant's own objects in it.
async fn with_real_ids(server: &TestServer, path: &str) -> String {
    if path == "/v1/passthrough/{id}/{path}" {
        let connections = server.get("/v1/connections").await.data();
        let calendars = server.get("/v1/calendars").await.data();
        let mut remotes = calendars
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["remote_id"].as_str().unwrap());
        let work = remotes.find(|remote| remote.ends_with("/work/")).unwrap();
        let connection = connections[0]["id"].as_str().unwrap();
        return format!("/v1/passthrough/{connection}{work}series.ics");
    }
    let (list, _) = path
        .split_once("/{id}")
        .unwrap_or_else(|| panic!("what does {path} name?"));
    // Records of all kinds have a history in common, and a list for each kind.
    let list = if list == "/v1/records" { "/v1/events" } else { list };
    let listed = server.get(list).await.data();
    let id = listed[0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{list} is empty: {listed}"));
    let mut real = path.replace("{id}", id).replace("{start}", START);
    if real.contains("{delivery_id}") {
        let deliveries = server.get(real.trim_end_matches("/{delivery_id}")).await.data();
        real = real.replace("{delivery_id}", deliveries[0]["id"].as_str().unwrap());
    }
    real
}

/// A body that the object's owner could send.
fn body_for(method: &Method, path: &str) -> Option<Value> {
    match (method.as_str(), path) {
        ("GET" | "DELETE", _) => None,
        (_, "/v1/conflicts/{id}/resolve") => Some(json!({"take": "hub"})),
        (_, "/v1/webhook-endpoints/{id}/replay") => {
            Some(json!({"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}))
        }
        ("PATCH", "/v1/provider-apps/{id}") => Some(json!({"name": "theirs"})),
        (_, "/v1/calendars/{id}" | "/v1/folders/{id}") => Some(json!({"enabled": true})),
        _ => Some(json!({})),
    }
}

/// Lists that are about the caller or the server and not about objects.
fn is_never_empty(path: &str) -> bool {
    matches!(path, "/v1/connectors" | "/v1/api-keys" | "/v1/changes/stream")
}

#[tokio::test]
async fn anothers_objects_are_not_found_on_any_route_and_in_no_list() {
    let (server, _calendars) = tenant_with_everything().await;
    let stranger = server.other_tenant().await;
    let mut tried = 0;
    for (method, path) in operations() {
        if !path.starts_with("/v1/") {
            continue;
        }
        if path.contains('{') {
            let real = with_real_ids(&server, &path).await;
            let body = body_for(&method, &path);
            let answer = server.send(method.clone(), &real, body, &stranger).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
            answer.failure(404, "not_found");
            if method == Method::GET {
                let own = server.get(&real).await;
                assert_eq!(own.status, 200, "the owner finds {real}: {}", own.text);
            }
            tried += 1;
        } else if method == Method::GET && !is_never_empty(&path) {
            let answer = server.send(method, &path, None, &stranger).await;
            assert_eq!(answer.data(), json!([]), "{path} shows another's objects");
        }
    }
    assert!(tried >= 20, "the walk found the routes, {tried} of them");
    let mine = server.get("/v1/connections").await.data();
    assert_eq!(
        mine.as_array().unwrap().len(),
        1,
        "the owner still has it: {mine}"
    );
}

#[tokio::test]
async fn anothers_collections_cannot_be_named_in_a_body() {
    let (server, _calendars) = tenant_with_everything().await;
    let stranger = server.other_tenant().await;
    let listed = server.get("/v1/calendars").await.data();
    let (one, two) = (&listed[0]["id"], &listed[1]["id"]);
    let member = |id: &Value| json!({"collection_id": id, "role": "both"});
    let start = json!({"kind": "zoned", "wall": START, "zone": "UTC"});
    for (path, body) in [
        (
            "/v1/mirrors",
            json!({"name": "theft", "members": [member(one), member(two)]}),
        ),
        (
            "/v1/events",
            json!({"calendar_id": one, "title": "theft", "start": start, "end": start}),
        ),
        (
            "/v1/free-busy",
            json!({"from": "2026-03-01T00:00:00Z", "to": "2026-03-08T00:00:00Z", "calendar_ids": [one]}),
        ),
    ] {
        let answer = server.send(Method::POST, path, Some(body), &stranger).await;
        assert!(
            matches!(answer.status, 404 | 422),
            "{path}: {} {}",
            answer.status,
            answer.text
        );
    }
}
