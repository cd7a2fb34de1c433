//! Consent from end to end: a link, a browser, a simulated Google, a connection that syncs; and what must not come of it.

mod flow;
mod refused;
mod tokens;

use std::collections::BTreeMap;

use connector_sdk::{Clock as _, SystemClock};
use hub::server::Make;
use jiff::SignedDuration;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use simulators::google_calendar::{
    AccountConfig, Answer as Person, Clock, Config, GoogleCalendar, GoogleCalendarServer,
};

use crate::server::{Answer, TestServer, start_server_of};

pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const BOB: &str = "bob@example.com";
const SECRET: &str = "s3cret-of-the-app";

/// A hub with an app at a simulated Google.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) google: GoogleCalendarServer,
    /// The app's id.
    pub(crate) app: String,
}

/// Ada agrees to whatever she is asked.
pub(crate) async fn scene() -> Scene {
    scene_with(|config| config).await
}

pub(crate) async fn scene_with(more: impl FnOnce(Config) -> Config) -> Scene {
    scene_of(more, Make::default()).await
}

pub(crate) async fn scene_of(more: impl FnOnce(Config) -> Config, make: Make) -> Scene {
    let config = Config::new(Clock::new(|| SystemClock.now()))
        .account(AccountConfig::new(ADA))
        .account(AccountConfig::new(BOB))
        .oauth_client("hub", SECRET)
        .access_token_lifetime(SignedDuration::from_hours(1));
    let google = GoogleCalendar::start(more(config)).await.unwrap();
    google.answers(Person::Agrees(ADA.to_owned()));
    let server = start_server_of("", make).await;
    let app = make_app(&server, &google, &server.key).await;
    Scene { server, google, app }
}

/// Registers an app on both sides; answers with its id.
pub(crate) async fn make_app(server: &TestServer, google: &GoogleCalendarServer, key: &str) -> String {
    let body = app_body(google);
    let made = server
        .send(Method::POST, "/v1/provider-apps", Some(body), key)
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(!made.text.contains(SECRET), "the secret is never shown");
    let made = made.data();
    google.register_redirect(made["oauth"]["redirect_url"].as_str().unwrap());
    made["id"].as_str().unwrap().to_owned()
}

fn app_body(google: &GoogleCalendarServer) -> Value {
    json!({
        "provider": "google",
        "name": "Calendar of the enterprise",
        "oauth": {
            "client_id": "hub",
            "client_secret": SECRET,
            "authorize_url": google.authorize_url(),
            "token_url": google.token_url(),
            "revocation_url": google.revocation_url(),
            "issuer": "https://google.example",
            "base_url": google.api_url(),
        },
    })
}

impl Scene {
    /// A link for one person.
    pub(crate) async fn link(&self, more: Value) -> String {
        link(&self.server, &self.server.key, more).await
    }

    /// Connects whoever agrees at Google; answers with the connection.
    pub(crate) async fn connect(&self) -> Value {
        let link = self.link(json!({})).await;
        let mut browser = Browser::default();
        let callback = browser.go_to_callback(&link).await;
        let page = browser.get(&callback).await;
        assert_eq!(page.status, 200, "{}", page.text);
        self.only_connection().await
    }

    /// The one connection there is, its first sync done.
    pub(crate) async fn only_connection(&self) -> Value {
        let listed = self.server.get("/v1/connections").await.data();
        let [connection] = listed.as_array().unwrap().as_slice() else {
            panic!("there should be one connection: {listed}");
        };
        self.connection(connection["id"].as_str().unwrap()).await
    }

    pub(crate) async fn connection(&self, id: &str) -> Value {
        crate::scene::settle(&self.server).await;
        self.server.get(&format!("/v1/connections/{id}")).await.data()
    }

    pub(crate) async fn has_no_connection(&self) {
        let listed = self.server.get("/v1/connections").await.data();
        assert_eq!(listed, json!([]), "no connection was made");
    }

    /// Requests to the token endpoint with this grant type so far.
    pub(crate) fn token_requests(&self) -> usize {
        let entries = self.google.log().entries();
        entries.iter().filter(|entry| entry.path == "/token").count()
    }
}

/// A link for one person.
pub(crate) async fn link(server: &TestServer, key: &str, more: Value) -> String {
    let mut body = json!({"provider": "google"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let made = server
        .send(Method::POST, "/v1/connections/authorize", Some(body), key)
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.data()["url"].as_str().unwrap().to_owned()
}

/// A browser: it keeps cookies per host, and goes where it is sent one step at a time.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.ask(Method::GET, url).await
    }

    pub(crate) async fn post(&mut self, url: &str) -> Answer {
        self.ask(Method::POST, url).await
    }

    async fn ask(&mut self, method: Method, url: &str) -> Answer {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .build()
            .unwrap();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let answer = Answer::of(http.request(method, url).header(COOKIE, cookies.join("; "))).await;
        for set in answer.headers.get_all(SET_COOKIE) {
            let text = set.to_str().unwrap();
            assert!(
                text.contains("HttpOnly") && text.contains("SameSite=Lax"),
                "{text}"
            );
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// From a link over its page to the vendor: where the vendor is asked.
    pub(crate) async fn go_to_vendor(&mut self, link: &str) -> String {
        let page = self.get(link).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let sent = self.post(link).await;
        assert_eq!(sent.status, 303, "{}", sent.text);
        sent.header(LOCATION.as_str()).to_owned()
    }

    /// From a link over the vendor to the callback, which is not called yet.
    pub(crate) async fn go_to_callback(&mut self, link: &str) -> String {
        let vendor = self.go_to_vendor(link).await;
        let back = self.get(&vendor).await;
        assert_eq!(back.status, 302, "{}", back.text);
        back.header(LOCATION.as_str()).to_owned()
    }
}

/// A parameter of an address.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    let mut pairs = url.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The address with another value for a parameter, or with none.
pub(crate) fn with_parameter(url: &str, name: &str, value: Option<&str>) -> String {
    let mut changed = Url::parse(url).unwrap();
    let others: Vec<(String, String)> = changed
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    changed.query_pairs_mut().clear().extend_pairs(others);
    if let Some(value) = value {
        changed.query_pairs_mut().append_pair(name, value);
    }
    changed.to_string()
}
