//! Answers: statuses, multistatus bodies and the error elements that name a failed precondition (RFC 4918).

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{StatusCode, header};

use super::element::{Element, Name};

/// An answer before it becomes HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) content: Content,
}

/// An answer's body.
#[derive(Debug)]
pub(crate) enum Content {
    Empty,
    Xml(Element),
    Text {
        content_type: &'static str,
        text: String,
    },
}

/// A request that is answered with an error.
pub(crate) type Refusal = Box<Answer>;

/// Classes of RFC 4918 and extensions that the server has (RFC 4791 section 5.1).
const DAV_CLASSES: &str = "1, 3, access-control, calendar-access";

impl Answer {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Empty,
        }
    }

    pub(crate) fn xml(status: StatusCode, element: Element) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Xml(element),
        }
    }

    pub(crate) fn text(status: StatusCode, content_type: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Text {
                content_type,
                text: text.into(),
            },
        }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As HTTP; an element is written out with or without a prefix for the DAV namespace.
    pub(crate) fn into_response(self, dav_without_prefix: bool) -> Response {
        let (content_type, body) = match self.content {
            Content::Empty => (None, String::new()),
            Content::Xml(element) => (
                Some("application/xml; charset=utf-8"),
                element.to_document(dav_without_prefix),
            ),
            Content::Text { content_type, text } => (Some(content_type), text),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            HeaderName::from_static("dav"),
            HeaderValue::from_static(DAV_CLASSES),
        );
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        }
        response
    }
}

/// An error status with a plain explanation.
pub(crate) fn refuse(status: StatusCode, why: &str) -> Refusal {
    Box::new(Answer::text(status, "text/plain; charset=utf-8", why))
}

/// An error status with the element of the condition that failed (RFC 4918 section 16).
pub(crate) fn failed_condition(status: StatusCode, condition: Element) -> Refusal {
    Box::new(Answer::xml(status, Element::dav("error").with(condition)))
}

/// RFC 3744 section 7.1.1: which privilege is missing, and where.
pub(crate) fn need_privilege(href: String, privilege: &'static str) -> Refusal {
    let resource = Element::dav("resource")
        .with(Element::href(href))
        .with(Element::dav("privilege").with(Element::dav(privilege)));
    failed_condition(
        StatusCode::FORBIDDEN,
        Element::dav("need-privileges").with(resource),
    )
}

/// 405 with the methods that exist.
pub(crate) fn method_not_allowed(allowed: &str) -> Refusal {
    Box::new(Answer::empty(StatusCode::METHOD_NOT_ALLOWED).header(header::ALLOW, allowed))
}

/// A 207 answer's body in the making.
#[derive(Debug)]
pub(crate) struct Multistatus(Element);

impl Multistatus {
    pub(crate) fn new() -> Self {
        Self(Element::dav("multistatus"))
    }

    /// A resource with the properties that it has, and the names of those that it has not.
    pub(crate) fn properties(&mut self, href: String, found: Vec<Element>, missing: Vec<Name>) {
        let mut response = Element::dav("response").with(Element::href(href));
        // A response needs at least one propstat, even with nothing in it.
        if !found.is_empty() || missing.is_empty() {
            response.push(propstat(StatusCode::OK, found));
        }
        if !missing.is_empty() {
            response.push(propstat(
                StatusCode::NOT_FOUND,
                missing.into_iter().map(Element::named),
            ));
        }
        self.0.push(response);
    }

    /// A resource with a status of its own.
    pub(crate) fn status(&mut self, href: String, status: StatusCode) {
        self.0.push(
            Element::dav("response")
                .with(Element::href(href))
                .with(status_element(status)),
        );
    }

    /// A resource with a status and the condition that failed.
    pub(crate) fn condition(&mut self, href: String, status: StatusCode, condition: Element) {
        let response = Element::dav("response")
            .with(Element::href(href))
            .with(status_element(status));
        self.0.push(response.with(Element::dav("error").with(condition)));
    }

    /// An element of the multistatus itself, such as the sync token.
    pub(crate) fn element(&mut self, element: Element) {
        self.0.push(element);
    }

    pub(crate) fn into_answer(self) -> Answer {
        Answer::xml(StatusCode::MULTI_STATUS, self.0)
    }
}

fn propstat(status: StatusCode, properties: impl IntoIterator<Item = Element>) -> Element {
    Element::dav("propstat")
        .with(Element::dav("prop").with_all(properties))
        .with(status_element(status))
}

fn status_element(status: StatusCode) -> Element {
    let line = format!(
        "HTTP/1.1 {} {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    Element::dav("status").text(line.trim_end())
}
