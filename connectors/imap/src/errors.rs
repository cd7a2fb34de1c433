//! What a refusal means.

use connector_sdk::{Credentials, Error, ErrorKind};

use crate::wire::connection::Done;
use crate::wire::reply::{Code, Ending};

/// Longest piece of a server's own words that an error repeats, in characters.
const MAX_QUOTED: usize = 160;

/// The error of a command that did not end well (response codes: RFC 5530 and RFC 9051 section 7.1). `usual` is what a
/// refusal without a code means.
pub(crate) fn refused(
    operation: &'static str,
    done: &Done,
    usual: ErrorKind,
    credentials: &Credentials,
) -> Error {
    let word = match &done.code {
        Code::Word(word) => word.as_str(),
        _ => "",
    };
    let kind = match (done.ending, word) {
        (_, "AUTHENTICATIONFAILED" | "AUTHORIZATIONFAILED" | "EXPIRED" | "PRIVACYREQUIRED") => {
            ErrorKind::Unauthorized
        }
        (_, "UNAVAILABLE" | "INUSE" | "SERVERBUG" | "CONTACTADMIN") => ErrorKind::Unavailable,
        (_, "LIMIT") => ErrorKind::RateLimited,
        (_, "NOPERM" | "READ-ONLY") => ErrorKind::PermissionDenied,
        (_, "NONEXISTENT" | "TRYCREATE") => ErrorKind::NotFound,
        (_, "OVERQUOTA" | "CANNOT" | "CLIENTBUG") => ErrorKind::Invalid,
        (Ending::Bad, _) => ErrorKind::Unexpected,
        (Ending::Ok | Ending::No, _) => usual,
    };
    let said = words(&done.text, credentials);
    let message = if said.is_empty() {
        "the server refuses and says no more".to_owned()
    } else {
        format!("the server refuses: {said}")
    };
    Error::new(kind, operation, message)
}

/// A server's words on one line, short, and without anything that was secret: a server may repeat a command.
fn words(text: &str, credentials: &Credentials) -> String {
    let secrets = credentials.expose();
    let repeats = |value: &serde_json::Value| {
        value
            .as_str()
            .is_some_and(|secret| !secret.is_empty() && text.contains(secret))
    };
    let secret = secrets
        .iter()
        .any(|(name, value)| name.as_str() != "username" && repeats(value));
    if secret {
        return String::new();
    }
    text.chars()
        .take(MAX_QUOTED)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_that_repeats_the_password_is_not_quoted() {
        let login = json!({"username": "ada", "password": "hunter2"});
        let credentials = Credentials::from_json(login.as_object().unwrap()).unwrap();
        let done = |text: &str, word: &str| Done {
            ending: Ending::No,
            code: Code::Word(word.to_owned()),
            text: text.to_owned(),
        };
        let error = refused(
            "login",
            &done("LOGIN ada hunter2 is wrong", ""),
            ErrorKind::Unauthorized,
            &credentials,
        );
        assert!(!error.message.contains("hunter2"), "{error}");
        assert_eq!(error.kind, ErrorKind::Unauthorized);
        let error = refused("x", &done("a\r\nb", "LIMIT"), ErrorKind::NotFound, &credentials);
        assert_eq!(error.kind, ErrorKind::RateLimited);
        assert!(error.message.ends_with("a  b"), "{error}");
    }
}
