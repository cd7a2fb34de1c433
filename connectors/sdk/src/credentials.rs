//! Credentials in memory: readable by connectors, unreadable in logs.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind};

/// How a connection proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// `username` and `password`.
    Basic,
    /// `token`.
    Bearer,
    /// `access_token`, and `refresh_token` with `client_id` and `client_secret` to renew it.
    Oauth2,
    /// Nothing: a provider inside the process.
    None,
}

/// A connection's credentials: named secrets. `Debug` shows names only; there is no `Display` and no `Serialize`.
#[derive(Default, Clone)]
pub struct Credentials {
    secrets: Vec<(String, SecretString)>,
}

impl Credentials {
    /// Takes the text members of a JSON object.
    ///
    /// # Errors
    /// `Invalid` when a member is not text (numbers are taken as text).
    pub fn from_json(json: &Map<String, Value>) -> Result<Self, Error> {
        let mut secrets = Vec::with_capacity(json.len());
        for (name, value) in json {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Null => continue,
                Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "credentials",
                        format!("`{name}` must be text"),
                    ));
                }
            };
            secrets.push((name.clone(), SecretString::from(text)));
        }
        Ok(Self { secrets })
    }

    /// The secret of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.secrets
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, secret)| secret.expose_secret())
    }

    /// The secret of this name.
    ///
    /// # Errors
    /// `Invalid`, naming the member that is missing.
    pub fn require(&self, name: &str) -> Result<&str, Error> {
        self.get(name).filter(|secret| !secret.is_empty()).ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "credentials",
                format!("`credentials.{name}` is missing"),
            )
        })
    }

    /// A copy with one secret set anew.
    #[must_use]
    pub fn with(&self, name: &str, value: impl Into<String>) -> Self {
        let mut secrets: Vec<_> = self
            .secrets
            .iter()
            .filter(|(known, _)| known != name)
            .cloned()
            .collect();
        secrets.push((name.to_owned(), SecretString::from(value.into())));
        Self { secrets }
    }

    /// These over others: what is not among these is kept of the others.
    #[must_use]
    pub fn over(&self, before: &Self) -> Self {
        let new = |name: &String| self.secrets.iter().any(|(known, _)| known == name);
        let kept = before.secrets.iter().filter(|(name, _)| !new(name));
        Self {
            secrets: kept.chain(&self.secrets).cloned().collect(),
        }
    }

    /// Whether both hold the same secrets.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }

    /// The plain JSON, for sealing only.
    #[must_use]
    pub fn expose(&self) -> Map<String, Value> {
        self.secrets
            .iter()
            .map(|(name, secret)| (name.clone(), Value::from(secret.expose_secret())))
            .collect()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.secrets.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_never_values() {
        let json = serde_json::json!({"username": "ada", "password": "hunter2"});
        let credentials = Credentials::from_json(json.as_object().unwrap()).unwrap();
        assert_eq!(credentials.get("password"), Some("hunter2"));
        let shown = format!("{credentials:?}");
        assert!(
            shown.contains("password") && !shown.contains("hunter2") && !shown.contains("ada"),
            "{shown}"
        );
    }
}
