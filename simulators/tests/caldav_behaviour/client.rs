//! A plain HTTP client with a reader of multistatus bodies that shares nothing with the simulator's own.

use std::collections::BTreeMap;

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use reqwest::Method;
use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig, CalendarHandle, Config};

pub(crate) const CALENDAR: &str = "/dav/calendars/ann%40example.com/work/";

/// A server with one account, one calendar and no events.
pub(crate) async fn server() -> (CaldavServer, Client, CalendarHandle) {
    let calendar = CalendarConfig::new("work")
        .display_name("Work")
        .color("#1BADF8FF")
        .timezone("Europe/Berlin");
    let ann = AccountConfig::new("ann@example.com")
        .password("secret")
        .token("token-1")
        .calendar(calendar);
    let bob = AccountConfig::new("bob")
        .password("hidden")
        .calendar(CalendarConfig::new("private"));
    let server = CaldavServer::start(Config::with_account(ann).account(bob))
        .await
        .unwrap();
    let client = Client::new(&server).basic("ann@example.com", "secret");
    let calendar = server.calendar("ann@example.com", "work");
    (server, client, calendar)
}

/// An event of one hour on 2 March 2026.
pub(crate) fn event(uid: &str, summary: &str) -> String {
    event_with(
        uid,
        &format!("DTSTART:20260302T090000Z|DTEND:20260302T100000Z|SUMMARY:{summary}|"),
    )
}

/// An event with these properties, lines ended with `|`.
pub(crate) fn event_with(uid: &str, properties: &str) -> String {
    let text = format!(
        "BEGIN:VCALENDAR|VERSION:2.0|PRODID:-//Test//EN|BEGIN:VEVENT|UID:{uid}|DTSTAMP:20260101T000000Z|\
         {properties}END:VEVENT|END:VCALENDAR|"
    );
    text.replace('|', "\r\n")
}

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base_url: String,
    authorization: Option<String>,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn multistatus(&self) -> Multistatus {
        assert_eq!(self.status, 207, "{}", self.body);
        read(&self.body)
    }

    /// Asserts an error answer that names this condition.
    pub(crate) fn assert_condition(&self, status: u16, condition: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        let root = tree(&self.body);
        assert_eq!(root.name, "error");
        assert!(
            root.children.iter().any(|child| child.name == condition),
            "{condition} in {}",
            self.body
        );
    }
}

impl Client {
    pub(crate) fn new(server: &CaldavServer) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            http,
            base_url: server.base_url().to_owned(),
            authorization: None,
        }
    }

    pub(crate) fn basic(mut self, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.authorization = Some(format!("Basic {encoded}"));
        self
    }

    pub(crate) fn bearer(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base_url)
        };
        let request = self.http.request(method, url);
        match &self.authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = self.request(method, path).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply {
            status,
            headers,
            body: response.text().await.unwrap(),
        }
    }

    pub(crate) async fn propfind(&self, path: &str, depth: &str, properties: &str) -> Reply {
        let body = format!("<propfind xmlns=\"DAV:\" {NAMESPACES}><prop>{properties}</prop></propfind>");
        self.send("PROPFIND", path, &[("depth", depth)], &body).await
    }

    pub(crate) async fn put(&self, name: &str, ics: &str, headers: &[(&str, &str)]) -> Reply {
        let headers: Vec<_> = [("content-type", "text/calendar; charset=utf-8")]
            .iter()
            .chain(headers)
            .copied()
            .collect();
        self.send("PUT", &format!("{CALENDAR}{name}"), &headers, ics)
            .await
    }

    pub(crate) async fn multiget(&self, names: &[&str]) -> Reply {
        let hrefs: String = names
            .iter()
            .map(|name| format!("<href>{CALENDAR}{name}</href>"))
            .collect();
        let body = format!(
            "<c:calendar-multiget xmlns=\"DAV:\" {NAMESPACES}><prop><getetag/><c:calendar-data/></prop>{hrefs}\
             </c:calendar-multiget>"
        );
        self.send("REPORT", CALENDAR, &[], &body).await
    }

    /// A `sync-collection` report with an optional limit.
    pub(crate) async fn sync(&self, token: &str, limit: Option<usize>) -> Reply {
        let limit = limit
            .map(|limit| format!("<limit><nresults>{limit}</nresults></limit>"))
            .unwrap_or_default();
        let body = format!(
            "<sync-collection xmlns=\"DAV:\"><sync-token>{token}</sync-token><sync-level>1</sync-level>{limit}\
             <prop><getetag/></prop></sync-collection>"
        );
        self.send("REPORT", CALENDAR, &[], &body).await
    }
}

const NAMESPACES: &str = "xmlns:c=\"urn:ietf:params:xml:ns:caldav\" xmlns:cs=\"http://calendarserver.org/ns/\" \
    xmlns:ic=\"http://apple.com/ns/ical/\"";

/// A multistatus body.
#[derive(Debug)]
pub(crate) struct Multistatus {
    pub(crate) responses: Vec<Response>,
    pub(crate) sync_token: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) href: String,
    pub(crate) status: Option<u16>,
    pub(crate) condition: Option<String>,
    /// Properties by local name, those with status 200 only.
    pub(crate) properties: BTreeMap<String, Tree>,
    /// Local names of properties with status 404.
    pub(crate) missing: Vec<String>,
}

impl Response {
    /// Last part of the href.
    pub(crate) fn name(&self) -> &str {
        self.href.rsplit('/').next().unwrap()
    }

    pub(crate) fn text(&self, property: &str) -> Option<&str> {
        self.properties.get(property).map(|tree| tree.text.as_str())
    }
}

impl Multistatus {
    /// Names of members by status: found (none) or the response's own.
    pub(crate) fn members(&self) -> Vec<(&str, Option<u16>)> {
        self.responses
            .iter()
            .map(|response| (response.name(), response.status))
            .collect()
    }

    pub(crate) fn named(&self, name: &str) -> &Response {
        self.responses
            .iter()
            .find(|response| response.name() == name)
            .unwrap()
    }
}

/// An element with its namespace forgotten, once it is known to be one of the four.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Tree>,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Tree {
    fn child(&self, name: &str) -> Option<&Tree> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Names of all elements inside.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.children
            .iter()
            .flat_map(|child| [child.name.as_str()].into_iter().chain(child.names()))
            .collect()
    }
}

fn read(body: &str) -> Multistatus {
    let root = tree(body);
    assert_eq!(root.name, "multistatus");
    let sync_token = root.child("sync-token").map(|token| token.text.clone());
    let responses = root
        .children
        .iter()
        .filter(|child| child.name == "response")
        .map(response)
        .collect();
    Multistatus {
        responses,
        sync_token,
    }
}

fn response(element: &Tree) -> Response {
    let mut response = Response {
        href: element.child("href").unwrap().text.clone(),
        status: element.child("status").map(code),
        condition: element.child("error").map(|error| error.children[0].name.clone()),
        properties: BTreeMap::new(),
        missing: Vec::new(),
    };
    for propstat in element.children.iter().filter(|child| child.name == "propstat") {
        for property in &propstat.child("prop").unwrap().children {
            match code(propstat.child("status").unwrap()) {
                200 => drop(
                    response
                        .properties
                        .insert(property.name.clone(), property.clone()),
                ),
                404 => response.missing.push(property.name.clone()),
                other => panic!("propstat with {other}"),
            }
        }
    }
    response
}

fn code(status: &Tree) -> u16 {
    status.text.split(' ').nth(1).unwrap().parse().unwrap()
}

fn tree(body: &str) -> Tree {
    let mut reader = NsReader::from_str(body);
    let mut open = vec![Tree::default()];
    loop {
        let (namespace, event) = reader.read_resolved_event().unwrap();
        let known = matches!(&namespace, ResolveResult::Bound(namespace) if !namespace.0.is_empty());
        match event {
            Event::Start(start) => {
                assert!(known, "an element without a namespace");
                open.push(opened(&start));
            }
            Event::Empty(start) => {
                assert!(known, "an element without a namespace");
                open.last_mut().unwrap().children.push(opened(&start));
            }
            Event::End(_) => {
                let done = open.pop().unwrap();
                open.last_mut().unwrap().children.push(done);
            }
            Event::Text(text) => open.last_mut().unwrap().text.push_str(&text),
            Event::CData(text) => open.last_mut().unwrap().text.push_str(&text),
            Event::GeneralRef(reference) => {
                let text = &mut open.last_mut().unwrap().text;
                match reference.resolve_char_ref().unwrap() {
                    Some(character) => text.push(character),
                    None => text.push_str(quick_xml::escape::resolve_predefined_entity(&reference).unwrap()),
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    open.remove(0).children.remove(0)
}

fn opened(start: &quick_xml::events::BytesStart<'_>) -> Tree {
    let attributes = start.attributes().map(|attribute| {
        let attribute = attribute.unwrap();
        (attribute.key.0.to_owned(), attribute.value.into_owned())
    });
    Tree {
        name: start.local_name().as_ref().to_owned(),
        attributes: attributes.collect(),
        ..Tree::default()
    }
}
