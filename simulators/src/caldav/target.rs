//! Paths and hrefs: which resource a request path names, and how a resource is named in an answer.
//!
//! Layout below the context path: `principals/{account}/`, `calendars/{account}/{calendar}/{object}`.

/// What a path names. Whether it exists is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    WellKnown,
    /// `/`, above the context path.
    Top,
    Root,
    Principal(String),
    Home(String),
    Calendar(String, String),
    Object(String, String, String),
    Unknown,
}

impl Target {
    /// Reads a percent-encoded path.
    pub(crate) fn of_path(path: &str, context_path: &str) -> Self {
        match path {
            "/.well-known/caldav" | "/.well-known/caldav/" => return Self::WellKnown,
            "/" if context_path != "/" => return Self::Top,
            _ => {}
        }
        let inside = match path.strip_prefix(context_path) {
            Some(inside) => inside,
            None if path == context_path.trim_end_matches('/') => "",
            None => return Self::Unknown,
        };
        let is_collection = inside.is_empty() || inside.ends_with('/');
        let segments = inside
            .trim_end_matches('/')
            .split('/')
            .map(decode)
            .collect::<Option<Vec<_>>>();
        let Some(mut segments) = segments else {
            return Self::Unknown;
        };
        if segments == [""] {
            return Self::Root;
        }
        if segments
            .iter()
            .any(|segment| segment.is_empty() || segment == "." || segment == "..")
        {
            return Self::Unknown;
        }
        let tail = segments.split_off(1);
        match (segments[0].as_str(), tail.as_slice()) {
            ("principals", [account]) => Self::Principal(account.clone()),
            ("calendars", [account]) => Self::Home(account.clone()),
            // RFC 4918 section 5.2: a collection may be named without its final slash.
            ("calendars", [account, calendar]) => Self::Calendar(account.clone(), calendar.clone()),
            ("calendars", [account, calendar, object]) if !is_collection => {
                Self::Object(account.clone(), calendar.clone(), object.clone())
            }
            _ => Self::Unknown,
        }
    }

    /// Reads an href of a request body: a path, or a whole URL of this server.
    pub(crate) fn of_href(href: &str, context_path: &str) -> Self {
        let href = href.trim();
        if href.starts_with('/') {
            return Self::of_path(href, context_path);
        }
        match url::Url::parse(href) {
            Ok(url) => Self::of_path(url.path(), context_path),
            Err(_) => Self::Unknown,
        }
    }

    /// The account that it belongs to.
    pub(crate) fn account(&self) -> Option<&str> {
        match self {
            Self::WellKnown | Self::Top | Self::Root | Self::Unknown => None,
            Self::Principal(account)
            | Self::Home(account)
            | Self::Calendar(account, _)
            | Self::Object(account, _, _) => Some(account),
        }
    }
}

/// Writes hrefs.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    /// `scheme://host` for whole URLs, else empty.
    pub(crate) origin: String,
    pub(crate) context_path: String,
}

impl Links {
    pub(crate) fn root(&self) -> String {
        format!("{}{}", self.origin, self.context_path)
    }

    pub(crate) fn principal(&self, account: &str) -> String {
        format!("{}principals/{}/", self.root(), encode(account))
    }

    pub(crate) fn home(&self, account: &str) -> String {
        format!("{}calendars/{}/", self.root(), encode(account))
    }

    pub(crate) fn calendar(&self, account: &str, calendar: &str) -> String {
        format!("{}{}/", self.home(account), encode(calendar))
    }

    pub(crate) fn object(&self, account: &str, calendar: &str, object: &str) -> String {
        format!("{}{}", self.calendar(account, calendar), encode(object))
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters: an `@` too, so that clients have to compare paths
/// decoded.
fn encode(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = after
                .get(..2)
                .and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    let decoded = String::from_utf8(bytes).ok()?;
    // A slash inside a segment would name another resource.
    (!decoded.contains('/')).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_href_leads_back_to_what_it_names() {
        let links = Links {
            origin: String::new(),
            context_path: "/dav/".to_owned(),
        };
        let (account, calendar, object) = ("ann@example.com", "a b%c", "é+1.ics");
        let href = links.object(account, calendar, object);
        assert_eq!(href, "/dav/calendars/ann%40example.com/a%20b%25c/%C3%A9%2B1.ics");
        let expected = Target::Object(account.to_owned(), calendar.to_owned(), object.to_owned());
        assert_eq!(Target::of_href(&href, "/dav/"), expected);
        let whole = Links {
            origin: "https://dav.example".to_owned(),
            ..links
        };
        assert_eq!(
            Target::of_href(&whole.object(account, calendar, object), "/dav/"),
            expected
        );
        let expected = Target::Calendar(account.to_owned(), calendar.to_owned());
        assert_eq!(
            Target::of_path("/dav/calendars/ann@example.com/a%20b%25c", "/dav/"),
            expected
        );
    }

    #[test]
    fn tricks_with_dots_and_slashes_name_nothing() {
        for path in [
            "/dav/calendars/../x/",
            "/dav/calendars/a%2Fb/c",
            "/other",
            "/dav/calendars/a//c",
            "/dav/x%zz",
        ] {
            assert_eq!(Target::of_path(path, "/dav/"), Target::Unknown, "{path}");
        }
    }
}
