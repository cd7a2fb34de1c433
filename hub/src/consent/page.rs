//! The pages people see: plain HTML, no script, nothing from elsewhere, never kept by a cache or shown in a frame.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;\
color:#1c2430;background:#fff}h1{font-size:1.5rem}button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:.4rem;\
background:#1f5fbf;color:#fff;cursor:pointer}.small{color:#5a6472;font-size:.9rem}";

/// A page.
pub(super) struct Page<'a> {
    pub(super) status: StatusCode,
    pub(super) title: &'a str,
    /// Paragraphs and lists, escaped.
    pub(super) body: String,
    /// Where its form may lead besides this server: `https://accounts.google.com`.
    pub(super) leads_to: Option<String>,
}

impl Page<'_> {
    pub(super) fn respond(self) -> Response {
        let title = escape(self.title);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\"><title>{title}</title>\
             <style>{STYLE}</style></head>\n<body><main><h1>{title}</h1>\n{}\n</main></body></html>\n",
            self.body
        );
        let style = STANDARD.encode(Sha256::digest(STYLE));
        // Browsers hold a form's redirects to `form-action`, too.
        let leads_to = self
            .leads_to
            .map(|origin| format!(" {origin}"))
            .unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'{leads_to}; frame-ancestors 'none'; \
             base-uri 'none'"
        );
        let mut response = (self.status, Html(html)).into_response();
        let headers = response.headers_mut();
        let fixed: [(HeaderName, &'static str); 3] = [
            (CACHE_CONTROL, "no-store"),
            // Addresses hold the link's secret, and the callback's a code.
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// A page that says why it does not go on; `text` is escaped here.
pub(super) fn stop(status: StatusCode, title: &str, text: &str) -> Response {
    Page {
        status,
        title,
        body: paragraph(text),
        leads_to: None,
    }
    .respond()
}

/// A paragraph of plain text.
pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// Text as HTML shows it, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_comes_from_elsewhere_becomes_markup() {
        assert_eq!(
            escape("<b a='x' c=\"y\">&"),
            "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;"
        );
        let response = stop(StatusCode::OK, "A", "b");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    }
}
