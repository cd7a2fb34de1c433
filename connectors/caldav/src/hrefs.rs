//! Addresses as identities: one spelling per object, and where credentials may follow.

use connector_sdk::{Error, ErrorKind, RemoteId};
use url::Url;

/// One spelling of a path: servers spell the same object `a%40b.ics` in one answer and `a@b.ics` in the next. What a
/// path segment may hold as it is (RFC 3986 section 3.3) stays, everything else is `%XX`.
pub(crate) fn canonical_path(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut canonical = String::with_capacity(path.len());
    let mut at = 0;
    while at < bytes.len() {
        let (byte, width) = match percent_encoded(&bytes[at..]) {
            Some(byte) => (byte, 3),
            None => (bytes[at], 1),
        };
        // A slash or percent sign that was encoded is part of a name.
        let separates = byte == b'/' && width == 1;
        let stands = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        if separates || stands {
            canonical.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            canonical.push('%');
            canonical.push(char::from(HEX[usize::from(byte >> 4)]));
            canonical.push(char::from(HEX[usize::from(byte & 15)]));
        }
        at += width;
    }
    canonical
}

fn percent_encoded(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// The last part of a path as a person reads it.
pub(crate) fn last_segment(path: &str) -> String {
    let segment = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let bytes = segment.as_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (byte, width) = percent_encoded(&bytes[at..]).map_or((bytes[at], 1), |byte| (byte, 3));
        text.push(byte);
        at += width;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The id of a resource: its path, or its whole address where that is on another host than the connection's.
pub(crate) fn id_of(base: &Url, url: &Url) -> RemoteId {
    let path = canonical_path(url.path());
    if url.origin() == base.origin() {
        return RemoteId(path);
    }
    RemoteId(format!("{}{path}", url.origin().ascii_serialization()))
}

/// Where a resource is.
pub(crate) fn url_of(base: &Url, id: &RemoteId, operation: &'static str) -> Result<Url, Error> {
    base.join(&id.0).map_err(|error| {
        let message = format!("`{}` is no address at this server", id.0);
        Error::new(ErrorKind::Invalid, operation, message).with_source(error)
    })
}

/// A calendar and its members.
#[derive(Debug, Clone)]
pub(crate) struct Collection {
    base: Url,
    /// Its address.
    pub(crate) url: Url,
    path: String,
}

impl Collection {
    pub(crate) fn new(base: &Url, id: &RemoteId, operation: &'static str) -> Result<Self, Error> {
        let url = url_of(base, id, operation)?;
        let mut path = canonical_path(url.path());
        if !path.ends_with('/') {
            path.push('/');
        }
        Ok(Self {
            base: base.clone(),
            url,
            path,
        })
    }

    /// The id of the member that an answer's href names; `None` for the collection itself and for what lies
    /// elsewhere. Only the path counts: behind a proxy some servers name their inner host.
    pub(crate) fn member(&self, href: &str) -> Option<RemoteId> {
        let path = canonical_path(self.url.join(href).ok()?.path());
        let name = path.strip_prefix(&self.path)?;
        if name.is_empty() || name.contains('/') {
            return None;
        }
        let mut url = self.url.clone();
        url.set_path(&path);
        Some(id_of(&self.base, &url))
    }

    /// The id of a member by its name, which must need no encoding.
    pub(crate) fn member_named(&self, name: &str) -> RemoteId {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{name}", self.path));
        id_of(&self.base, &url)
    }

    /// Whether an href names the collection itself.
    pub(crate) fn is_self(&self, href: &str) -> bool {
        self.url.join(href).is_ok_and(|url| {
            let path = canonical_path(url.path());
            path == self.path || path == self.path.trim_end_matches('/')
        })
    }

    /// The path of a member as it stands in requests.
    pub(crate) fn href<'a>(&self, id: &'a RemoteId) -> &'a str {
        let origin = self.url.origin().ascii_serialization();
        id.0.strip_prefix(origin.as_str()).unwrap_or(&id.0)
    }
}

/// Whether credentials given for `base` may be sent to `target`: the same host without losing TLS, or over TLS a
/// host of the same registrable domain. iCloud sends everyone from `caldav.icloud.com` to `pNN-caldav.icloud.com`.
pub(crate) fn may_follow(base: &Url, target: &Url) -> bool {
    let (Some(from), Some(to)) = (base.host_str(), target.host_str()) else {
        return false;
    };
    let keeps_tls = target.scheme() == "https" || (base.scheme() == "http" && target.scheme() == "http");
    if from == to {
        return keeps_tls;
    }
    let names = matches!(
        (base.host(), target.host()),
        (Some(url::Host::Domain(_)), Some(url::Host::Domain(_)))
    );
    let over_tls = base.scheme() == "https" && target.scheme() == "https";
    let same_domain = psl::domain_str(from).is_some_and(|domain| Some(domain) == psl::domain_str(to));
    names && over_tls && same_domain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn one_object_has_one_spelling() {
        for spelling in [
            "/u/ada%40x.org/a%20b.ics",
            "/u/ada@x.org/a b.ics",
            "/u/%61da%40x.org/a%20b.ics",
        ] {
            assert_eq!(canonical_path(spelling), "/u/ada@x.org/a%20b.ics");
        }
        assert_eq!(canonical_path("/u/a%2fb%25.ics"), "/u/a%2Fb%25.ics");
        assert_eq!(canonical_path("/ü/100%"), "/%C3%BC/100%25");
    }

    #[test]
    fn members_are_told_from_the_collection_and_from_strangers() {
        let base = url("https://dav.example.org/start");
        let collection = Collection::new(&base, &RemoteId("/cal/work/".into()), "test").unwrap();
        let id = |href: &str| collection.member(href).map(|id| id.0);
        assert_eq!(id("/cal/work/1.ics").as_deref(), Some("/cal/work/1.ics"));
        assert_eq!(
            id("http://inner:8080/cal/work/1.ics").as_deref(),
            Some("/cal/work/1.ics")
        );
        assert_eq!(id("/cal/work/"), None);
        assert_eq!(id("/cal/work/sub/1.ics"), None);
        assert_eq!(id("/cal/other/1.ics"), None);
        assert_eq!(id("/cal/work/../other/1.ics"), None);
        assert!(collection.is_self("/cal/work") && !collection.is_self("/cal/"));
    }

    #[test]
    fn a_calendar_on_another_host_keeps_its_whole_address() {
        let base = url("https://caldav.icloud.com/");
        let id = id_of(&base, &url("https://p34-caldav.icloud.com/1/calendars/home/"));
        let collection = Collection::new(&base, &id, "test").unwrap();
        let member = collection.member("/1/calendars/home/a.ics").unwrap();
        assert_eq!(member.0, "https://p34-caldav.icloud.com/1/calendars/home/a.ics");
        assert_eq!(collection.href(&member), "/1/calendars/home/a.ics");
    }

    #[test]
    fn credentials_stay_with_their_host_or_over_tls_with_its_domain() {
        let icloud = url("https://caldav.icloud.com/");
        assert!(may_follow(&icloud, &url("https://p34-caldav.icloud.com/")));
        assert!(!may_follow(&icloud, &url("http://p34-caldav.icloud.com/")));
        assert!(!may_follow(&icloud, &url("http://caldav.icloud.com/")));
        assert!(!may_follow(&icloud, &url("https://icloud.com.example.org/")));
        assert!(!may_follow(&url("https://a.co.uk/"), &url("https://b.co.uk/")));
        assert!(!may_follow(
            &url("http://a.example.org/"),
            &url("https://b.example.org/")
        ));
        assert!(may_follow(
            &url("http://a.example.org/"),
            &url("https://a.example.org/")
        ));
        assert!(!may_follow(
            &url("https://127.0.0.1/"),
            &url("https://127.0.0.2/")
        ));
    }
}
