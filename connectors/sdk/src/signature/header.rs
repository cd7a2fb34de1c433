//! Reading the headers that a scheme needs: once, short, and as text.

use http::{HeaderName, HeaderValue};

use super::refusal::{Refusal, Refused};
use crate::webhooks::RawRequest;

/// The longest header that a scheme reads, in bytes. A JWT with a chain of claims stays below 8 KiB.
const MAX_HEADER_BYTES: usize = 8 << 10;

/// Headers whose values are never kept, whatever proves the delivery.
pub(super) const ALWAYS_REDACTED: &[&str] = &["authorization", "cookie", "proxy-authorization"];

/// The header's value.
pub(super) fn bytes<'a>(request: &'a RawRequest, name: &str) -> Result<&'a [u8], Refused> {
    optional(request, name)?
        .ok_or_else(|| Refused::new(Refusal::MissingHeader, format!("the header `{name}` is missing")))
}

/// The header's value, where it is there.
pub(super) fn optional<'a>(request: &'a RawRequest, name: &str) -> Result<Option<&'a [u8]>, Refused> {
    let mut values = request.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        let detail = format!("the header `{name}` is there more than once");
        return Err(Refused::new(Refusal::DuplicateHeader, detail));
    }
    if value.len() > MAX_HEADER_BYTES {
        let detail = format!("the header `{name}` is longer than {MAX_HEADER_BYTES} bytes");
        return Err(Refused::new(Refusal::Malformed, detail));
    }
    Ok(Some(value.as_bytes()))
}

/// The header's value as visible ASCII.
pub(super) fn text<'a>(request: &'a RawRequest, name: &str) -> Result<&'a str, Refused> {
    let bytes = bytes(request, name)?;
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')))
        .ok_or_else(|| malformed(name, "is not plain text"))
}

pub(super) fn malformed(name: &str, what: &str) -> Refused {
    Refused::new(Refusal::Malformed, format!("the header `{name}` {what}"))
}

/// Takes the values of these headers out.
pub(super) fn redact(request: &mut RawRequest, names: &[&'static str]) {
    for name in names {
        if request.headers.contains_key(*name) {
            let name = HeaderName::from_static(name);
            request
                .headers
                .insert(name, HeaderValue::from_static("[redacted]"));
        }
    }
}
