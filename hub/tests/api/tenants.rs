//! Another tenant's object is a 404, on every route that names one. The routes come from the OpenAPI document, so a
//! new one cannot be forgotten.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{TestServer, calendar_server, start_server};

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

/// The path with ids of the first tenant's own objects in it.
async fn with_real_ids(server: &TestServer, path: &str) -> String {
    let first_of = async |list: &str| {
        let listed = server.get(list).await.data();
        let id = listed[0]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{list} is empty: {listed}"));
        id.to_owned()
    };
    let list = match path.split('/').nth(2).unwrap() {
        "connections" => "/v1/connections",
        "jobs" => "/v1/jobs",
        "api-keys" => "/v1/api-keys",
        other => panic!("say here which object of the first tenant `{other}` is tried with"),
    };
    path.replace("{id}", &first_of(list).await)
}

/// A body that would be accepted from the object's owner.
fn body_for(method: &Method, path: &str) -> Option<Value> {
    match (method.as_str(), path) {
        ("GET" | "DELETE", _) => None,
        _ => Some(json!({})),
    }
}

#[tokio::test]
async fn anothers_objects_are_not_found_on_any_route_and_in_no_list() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    server.connect(&calendars).await;
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
            tried += 1;
        } else if method == Method::GET && !matches!(path.as_str(), "/v1/connectors" | "/v1/api-keys") {
            let answer = server.send(method.clone(), &path, None, &stranger).await;
            if answer.status == 200 {
                assert_eq!(
                    answer.json()["data"],
                    json!([]),
                    "{method} {path} shows another's objects"
                );
            }
        }
    }
    assert!(tried >= 6, "the walk found the routes");
    let mine = server.get("/v1/connections").await.data();
    assert_eq!(
        mine.as_array().unwrap().len(),
        1,
        "the owner still has it: {mine}"
    );
}
