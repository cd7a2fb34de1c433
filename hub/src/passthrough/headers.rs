//! Headers in both directions: what belongs to one hop, to the caller's own key or to a browser's session stays here.

use http::header::{CONNECTION, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Of one hop: <https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1>. Those that `Connection` names besides.
const OF_A_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
    "expect",
    "host",
];

/// What is not sent to the vendor: the caller's own proofs, what says who called, what the transport decides, and what
/// would make a request another one than its method says.
const NOT_SENT: &[&str] = &[
    "authorization",
    "cookie",
    "cookie2",
    "user-agent",
    "accept-encoding",
    "origin",
    "referer",
    "destination",
    "forwarded",
    "via",
    "x-real-ip",
    "x-request-id",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "traceparent",
    "tracestate",
    "baggage",
];

/// What is not passed on of an answer: sessions, requests for proof that the hub gives itself, and what would change how
/// browsers treat this server.
const NOT_ANSWERED: &[&str] = &[
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "authentication-info",
    "alt-svc",
    "clear-site-data",
    "content-security-policy",
    "refresh",
    "service-worker-allowed",
    "strict-transport-security",
    "x-content-type-options",
    "x-request-id",
];

fn starts_so(name: &HeaderName, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.as_str().starts_with(prefix))
}

fn kept(headers: &HeaderMap, left_out: &[&str], prefixes: &[&str]) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let text = name.as_str();
        let stays = OF_A_HOP.contains(&text)
            || left_out.contains(&text)
            || starts_so(name, prefixes)
            || named.iter().any(|named| named == text);
        if !stays {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// A caller's headers as the vendor gets them; unsigned.
pub(super) fn to_vendor(headers: &HeaderMap) -> HeaderMap {
    kept(headers, NOT_SENT, &["concord-", "proxy-", "sec-", "x-forwarded-"])
}

/// A vendor's headers as the caller gets them.
pub fn to_caller(headers: &HeaderMap) -> HeaderMap {
    let mut kept = kept(headers, NOT_ANSWERED, &["concord-", "proxy-", "access-control-"]);
    // Whatever the vendor answers is data here: nothing that a browser would run as this server's.
    kept.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    kept.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let of = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(of).collect()
    }

    #[test]
    fn nothing_of_the_callers_key_or_hop_reaches_the_vendor() {
        let sent = to_vendor(&headers(&[
            ("authorization", "Bearer ck_secret"),
            ("proxy-authorization", "Basic x"),
            ("cookie", "a=b"),
            ("connection", "close, X-Of-The-Hop"),
            ("x-of-the-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("host", "concord.example"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-http-method-override", "DELETE"),
            ("concord-origin", "https://x.example"),
            ("content-type", "application/json"),
            ("if-match", "\"3\""),
            ("depth", "1"),
            ("x-goog-field", "kept"),
        ]));
        let mut names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "depth", "if-match", "x-goog-field"]);
    }

    #[test]
    fn a_vendors_sessions_and_orders_to_browsers_stop_here() {
        let answered = to_caller(&headers(&[
            ("set-cookie", "session=1"),
            ("www-authenticate", "Bearer realm=x"),
            ("access-control-allow-origin", "*"),
            ("clear-site-data", "\"*\""),
            ("concord-passthrough", "forged"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("etag", "\"1\""),
            ("retry-after", "7"),
            ("location", "https://elsewhere.example/"),
        ]));
        let mut names: Vec<&str> = answered.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let wanted = [
            "content-security-policy",
            "etag",
            "location",
            "retry-after",
            "x-content-type-options",
        ];
        assert_eq!(names, wanted);
    }
}
