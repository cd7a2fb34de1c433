//! Where a call goes: beneath the connection's own address, or at an origin that its connector declares. Whatever could be
//! read as another place by anybody on the way is refused, not put right.

use url::Url;

/// Longest path, in bytes.
const LONGEST_PATH: usize = 4_096;
/// Longest query, in bytes.
const LONGEST_QUERY: usize = 8_192;
/// How often something may be percent-encoded over itself.
const DEEPEST: usize = 3;

/// Why a call goes nowhere; for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; nothing was sent")]
pub struct Refusal(pub String);

fn refused<T>(problem: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(problem.into()))
}

/// The address of a call. `path` and `query` are as they came, still encoded. `origin` chooses another place than the
/// connection's base address: its own host from the root, or one of `origins`.
///
/// # Errors
/// [`Refusal`].
pub(super) fn target(
    base: &Url,
    origins: &[&str],
    origin: Option<&str>,
    path: &str,
    query: Option<&str>,
) -> Result<Url, Refusal> {
    check_path(path)?;
    if query.is_some_and(|query| query.len() > LONGEST_QUERY) {
        return refused(format!("the query is longer than {LONGEST_QUERY} bytes"));
    }
    let root = match origin {
        None => base.clone(),
        Some(text) => allowed(base, origins, text)?,
    };
    let whole = if path.is_empty() {
        root.path().to_owned()
    } else {
        format!("{}/{path}", root.path().trim_end_matches('/'))
    };
    let mut url = root.clone();
    url.set_fragment(None);
    url.set_path(&whole);
    url.set_query(query);
    // What was checked is what is sent: nothing of it was read otherwise on the way into the address.
    if url.origin() != root.origin() || url.path() != whole {
        return refused("the path cannot be sent as it stands; percent-encode what is no letter or digit");
    }
    Ok(url)
}

/// The root of the origin that was asked for, if calls may go there.
fn allowed(base: &Url, origins: &[&str], text: &str) -> Result<Url, Refusal> {
    let Ok(mut wanted) = crate::egress::parse(text) else {
        return refused("the origin must be scheme and host: https://api.example.com");
    };
    if wanted.path() != "/" || wanted.query().is_some() {
        return refused("the origin must be scheme and host alone, the path belongs into the address");
    }
    let declared = origins.iter().filter_map(|origin| Url::parse(origin).ok());
    let mut known = declared.map(|origin| origin.origin()).chain([base.origin()]);
    if !known.any(|origin| origin == wanted.origin()) {
        let host = wanted.host_str().unwrap_or_default();
        return refused(format!(
            "{host} is neither this connection's own host nor one that its connector declares"
        ));
    }
    wanted.set_fragment(None);
    Ok(wanted)
}

fn check_path(path: &str) -> Result<(), Refusal> {
    if path.len() > LONGEST_PATH {
        return refused(format!("the path is longer than {LONGEST_PATH} bytes"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return refused("the path holds a space, a backslash or something that is no ASCII");
    }
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        // One slash at the end is a name's own: CalDAV's collections have it.
        if segment.is_empty() && (segments.peek().is_some() || path == "/") {
            return refused("the path has an empty part (`//`)");
        }
        check_segment(segment)?;
    }
    Ok(())
}

/// A part between slashes, and whatever it is once somebody has decoded it, once or several times.
fn check_segment(segment: &str) -> Result<(), Refusal> {
    let mut bytes = segment.as_bytes().to_vec();
    for depth in 0..=DEEPEST {
        // `..;x` is `..` to servers that take parameters of parts away.
        let name = bytes.split(|byte| *byte == b';').next().unwrap_or_default();
        if matches!(name, b"." | b"..") {
            return refused("the path has a part `.` or `..`");
        }
        let decoded = decode(&bytes, depth == 0)?;
        if decoded == bytes {
            return Ok(());
        }
        if decoded
            .iter()
            .any(|byte| matches!(byte, b'/' | b'\\') || byte.is_ascii_control())
        {
            return refused("the path has an encoded slash, backslash or control character");
        }
        if std::str::from_utf8(&decoded).is_err() {
            return refused("the path encodes something that is no UTF-8");
        }
        bytes = decoded;
    }
    refused("the path is encoded over and over")
}

/// Takes one layer of percent-encoding away. What is none is refused in what came, and stands for itself beneath.
fn decode(bytes: &[u8], strict: bool) -> Result<Vec<u8>, Refusal> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2)));
        match pair {
            Some((high, low)) if byte == b'%' => {
                decoded.push(u8::try_from(high << 4 | low).unwrap_or_default());
                at += 3;
            }
            Some(_) | None if byte == b'%' && strict => {
                return refused("the path has a `%` without two digits after it");
            }
            Some(_) | None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &[&str] = &["https://people.vendor.example"];

    fn at(origin: Option<&str>, path: &str) -> Result<String, Refusal> {
        let base = Url::parse("https://api.vendor.example/calendar/v3/").unwrap();
        target(&base, DECLARED, origin, path, Some("a=1")).map(String::from)
    }

    #[test]
    fn calls_go_beneath_the_connections_address_or_to_a_declared_origin() {
        for (origin, path, wanted) in [
            (None, "", "https://api.vendor.example/calendar/v3/?a=1"),
            (
                None,
                "users/me/",
                "https://api.vendor.example/calendar/v3/users/me/?a=1",
            ),
            (
                None,
                "calendars/de.german%23holiday%40group.v/events",
                "https://api.vendor.example/calendar/v3/calendars/de.german%23holiday%40group.v/events?a=1",
            ),
            (
                None,
                "a:b/100%25",
                "https://api.vendor.example/calendar/v3/a:b/100%25?a=1",
            ),
            (
                Some("https://api.vendor.example"),
                "oauth/me",
                "https://api.vendor.example/oauth/me?a=1",
            ),
            (
                Some("https://people.vendor.example/"),
                "v1/me",
                "https://people.vendor.example/v1/me?a=1",
            ),
            (
                Some("https://PEOPLE.vendor.example:443"),
                "v1",
                "https://people.vendor.example/v1?a=1",
            ),
        ] {
            assert_eq!(at(origin, path).unwrap(), wanted);
        }
    }

    #[test]
    fn other_hosts_are_refused_however_they_are_written() {
        for origin in [
            "https://thief.example",
            "http://api.vendor.example",
            "https://api.vendor.example:8443",
            "https://api.vendor.example.thief.example",
            "https://api.vendor.example@thief.example",
            "https://thief.example\\@api.vendor.example",
            "https://api.vendor.example/calendar",
            "https://api.vendor.example?x",
            "//api.vendor.example",
            "api.vendor.example",
            "file:///etc/passwd",
            "",
        ] {
            assert!(at(Some(origin), "v1").is_err(), "{origin}");
        }
    }

    #[test]
    fn paths_that_somebody_could_read_otherwise_are_refused() {
        for path in [
            "/thief.example/x",
            "//thief.example",
            "/",
            "a//b",
            "https://thief.example/",
            "..",
            ".",
            "a/../b",
            "a/./b",
            "a/..",
            "%2e%2e/b",
            "a/%2E%2e",
            ".%2e/b",
            "%252e%252e/b",
            "%25252e%25252e/b",
            "%2525252525252e/b",
            "..;x=1/b",
            "%2e%2e%3bx/b",
            "a%2fb",
            "a%2F..%2Fb",
            "a%252fb",
            "a%5cb",
            "a\\b",
            "a%00",
            "a%0d%0aX-Injected:%201",
            "a%250d%250a",
            "a%7f",
            "a%c0%ae%c0%ae/b",
            "a%zz",
            "a%",
            "a%2",
            "a b",
            "a\tb",
            "ä",
            "a{b}",
        ] {
            assert!(at(None, path).is_err(), "{path}");
        }
        assert!(at(None, &"a".repeat(LONGEST_PATH + 1)).is_err());
    }

    #[test]
    fn bytes_of_any_sort_never_lead_elsewhere() {
        // Every pair of bytes, plain and encoded, around a part that leads up.
        for first in 0_u8..=255 {
            for second in 0_u8..=255 {
                let plain = String::from_utf8_lossy(&[b'a', first, second, b'b']).into_owned();
                let encoded = format!("x/%{first:02x}%{second:02x}/y");
                for path in [plain, encoded] {
                    if let Ok(url) = at(None, &path) {
                        assert!(
                            url.starts_with("https://api.vendor.example/calendar/v3/"),
                            "{path}"
                        );
                        assert!(!url.contains("/../") && !url.contains("/./"), "{path}");
                    }
                }
            }
        }
    }
}
