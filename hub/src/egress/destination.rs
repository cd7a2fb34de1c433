//! An address as a customer writes it, read by the same rules as the client that will use it.

use url::Url;

use super::Refusal;

/// Longest address, in bytes.
const LONGEST: usize = 2_048;

/// Reads an address by the rules of the WHATWG, which the HTTP client follows too: numbers in any notation become the
/// address they mean, and are then refused unless they were written as it. What those rules would silently drop or turn
/// around (spaces, control characters, backslashes) is refused: no honest address has it.
///
/// # Errors
/// [`Refusal`]; whether the address may be sent to says [`super::Guard::check`].
pub fn parse(text: &str) -> Result<Url, Refusal> {
    let refused = |problem: &str| Err(Refusal::NotAnAddress(problem.to_owned()));
    if text.len() > LONGEST {
        return refused("it is longer than 2,048 bytes");
    }
    if text
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || c == '\\')
    {
        return refused("it has a space, a control character or a backslash in it");
    }
    let mut url = Url::parse(text).map_err(|error| Refusal::NotAnAddress(error.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Refusal::Scheme);
    }
    // `https:host` and `https:///host` are read as `https://host`, and as something else by others.
    let authority = text
        .get(url.scheme().len()..)
        .and_then(|rest| rest.strip_prefix("://"));
    if authority.is_none_or(|rest| rest.starts_with('/')) {
        return refused("it has no host after https://");
    }
    if !url.username().is_empty() || url.password().is_some() || authority_has_at(text) {
        return Err(Refusal::Userinfo);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return refused("it names no host");
    }
    if let Some(url::Host::Ipv4(address)) = url.host()
        && authority_host(text) != address.to_string()
    {
        // Not everybody reads 0127.1 as the same address, and nobody needs to write one so.
        return refused("its numbers are not written as four decimal numbers");
    }
    url.set_fragment(None);
    Ok(url)
}

fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// An empty name before the host, which parsing drops.
fn authority_has_at(text: &str) -> bool {
    authority(text).contains('@')
}

/// The host as it is written, for one that is not in brackets.
fn authority_host(text: &str) -> &str {
    authority(text).split(':').next().unwrap_or_default()
}
