//! Where a mailbox is: `imaps://host` (TLS from the first byte, port 993) or `imap://host` (STARTTLS, port 143), as RFC
//! 8314 and RFC 2595 have them. The setting `security: "none"` does without TLS, on this machine only.

use connector_sdk::{Context, Endpoint, Error, ErrorKind, Security};

/// What an address may begin with.
pub(crate) const SCHEMES: &[&str] = &["imaps", "imap"];

pub(crate) fn endpoint(ctx: &Context, operation: &'static str) -> Result<Endpoint, Error> {
    let invalid = |problem: &str| Error::new(ErrorKind::Invalid, operation, problem);
    let url = &ctx.base_url;
    let host = match url.host_str() {
        Some(host) if !host.is_empty() => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        Some(_) | None => return Err(invalid("the address names no server")),
    };
    let (security, usual) = match url.scheme() {
        "imaps" => (Security::Tls, 993),
        "imap" => (Security::StartTls, 143),
        _ => return Err(invalid("the address must begin with imaps:// or imap://")),
    };
    let security = match ctx.config.get("security").and_then(|value| value.as_str()) {
        None => security,
        Some("none") if security == Security::StartTls => Security::Plain,
        Some(_) => {
            let problem = "`config.security` can only be \"none\", with an address that begins with imap://";
            return Err(invalid(problem));
        }
    };
    Ok(Endpoint {
        host,
        port: url.port().unwrap_or(usual),
        security,
        operation,
    })
}
