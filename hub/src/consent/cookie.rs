//! The cookie that ties a journey to the browser that set out: one per journey, unreadable to scripts, sent along when
//! the vendor sends the person back.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

/// How much of the state's digest tells the cookies of several journeys apart.
const NAME_CHARS: usize = 12;

/// The cookie of one journey.
pub(super) struct JourneyCookie {
    name: String,
    secure: bool,
}

impl JourneyCookie {
    /// That of the journey with this state's digest, on a server that people reach at `origin`.
    pub(super) fn of(state_digest: &str, origin: &str) -> Self {
        let part: String = state_digest.chars().take(NAME_CHARS).collect();
        let secure = origin.starts_with("https://");
        // With this prefix no other host of the same domain can set it, and it is never sent without TLS:
        // https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.2
        let prefix = if secure { "__Host-" } else { "" };
        Self {
            name: format!("{prefix}concord-{part}"),
            secure,
        }
    }

    /// `Set-Cookie` for the way to the vendor.
    pub(super) fn set(&self, value: &SecretString, seconds: i64) -> Option<HeaderValue> {
        self.header(value.expose_secret(), seconds)
    }

    /// `Set-Cookie` that takes it away.
    pub(super) fn clear(&self) -> Option<HeaderValue> {
        self.header("", 0)
    }

    fn header(&self, value: &str, seconds: i64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        // Lax: the vendor's redirect is another site's, and leads to the top of the window.
        let text = format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
            self.name
        );
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// What the browser sends.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<SecretString> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name)
            .map(|(_, value)| SecretString::from(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_of_a_public_server_cannot_be_set_by_its_neighbours() {
        let cookie = JourneyCookie::of("abcdefghijklmnop", "https://concord.example");
        let set = cookie.set(&SecretString::from("value"), 600).unwrap();
        let text = set.to_str().unwrap();
        assert!(
            text.starts_with("__Host-concord-abcdefghijkl=value; Path=/;"),
            "{text}"
        );
        for part in ["HttpOnly", "SameSite=Lax", "Secure", "Max-Age=600"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(set.is_sensitive());
    }

    #[test]
    fn it_is_found_among_others() {
        let cookie = JourneyCookie::of("abcdefghijklmnop", "http://127.0.0.1:1");
        let mut headers = HeaderMap::new();
        headers.insert(
            COOKIE,
            HeaderValue::from_static("a=b; concord-abcdefghijkl=mine; c=d"),
        );
        assert_eq!(cookie.read(&headers).unwrap().expose_secret(), "mine");
        assert!(
            JourneyCookie::of("zzz", "http://127.0.0.1:1")
                .read(&headers)
                .is_none()
        );
    }
}
