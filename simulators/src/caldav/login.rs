//! Who asks: Basic (RFC 7617) and Bearer (RFC 6750) credentials, and the challenge when they do not do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};

use super::answer::{Answer, Refusal};
use super::config::Schemes;
use super::state::State;

/// The account that the request's credentials open.
pub(crate) fn user_of(state: &State, schemes: Schemes, headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("basic") && schemes.basic {
        let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        let account = state.account(name)?;
        return (account.password.as_deref() == Some(password)).then(|| name.to_owned());
    }
    if scheme.eq_ignore_ascii_case("bearer") && schemes.bearer {
        let known = |tokens: &[String]| tokens.iter().any(|token| token == credentials);
        return state
            .accounts()
            .find(|(_, account)| known(&account.tokens))
            .map(|(name, _)| name.clone());
    }
    None
}

/// 401 with a challenge for each scheme on offer.
pub(crate) fn challenge(schemes: Schemes) -> Refusal {
    let mut answer = Answer::text(
        StatusCode::UNAUTHORIZED,
        "text/plain; charset=utf-8",
        "credentials are required",
    );
    if schemes.basic {
        answer = answer.header(
            header::WWW_AUTHENTICATE,
            "Basic realm=\"calendars\", charset=\"UTF-8\"",
        );
    }
    if schemes.bearer {
        answer = answer.header(header::WWW_AUTHENTICATE, "Bearer realm=\"calendars\"");
    }
    Box::new(answer)
}
