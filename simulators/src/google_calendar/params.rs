//! Query parameters, typed. A value of the wrong form is a 400; unknown parameters are ignored.

use jiff::Timestamp;

use super::errors::ApiError;

/// The query of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All of them, as they came.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(ApiError::invalid_parameter(
                name,
                format!("Invalid boolean value: '{other}'."),
            )),
        }
    }

    pub(crate) fn positive(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse::<usize>() {
            Ok(number) if number > 0 => Ok(Some(number)),
            Ok(_) | Err(_) => Err(ApiError::invalid_parameter(
                name,
                format!("Invalid integer value: '{text}'."),
            )),
        }
    }

    /// RFC 3339 with a mandatory offset.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| ApiError::invalid_parameter(name, "Bad Request"))
    }

    /// What the query asks for, paging aside: a page token is only good for the query that it came from.
    pub(crate) fn without_paging(&self) -> String {
        let mut kept: Vec<String> = self
            .0
            .iter()
            .filter(|(key, _)| {
                !matches!(
                    key.as_str(),
                    "pageToken" | "maxResults" | "alt" | "prettyPrint" | "key"
                )
            })
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        kept.sort();
        kept.join("&")
    }
}
