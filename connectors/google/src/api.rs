//! Requests to the API: addresses, headers, JSON. The only file that knows how a request looks.

use bytes::Bytes;
use connector_sdk::{Context, Error, ErrorKind, HttpRequest, HttpResponse, RemoteVersion};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use http::{HeaderMap, HeaderValue, Method};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use crate::auth::bearer;
use crate::errors::{is_error, parse_error};

/// "No notifications are sent": on every write and delete, whatever the vendor's default is.
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events/insert#sendUpdates>
const SILENT: (&str, &str) = ("sendUpdates", "none");

/// The API as one connection sees it.
pub(crate) struct Api<'a> {
    ctx: &'a Context,
    operation: &'static str,
}

/// What a write carries.
pub(crate) struct Body<'a> {
    pub(crate) json: &'a Value,
    /// The write is refused when the object has another version.
    pub(crate) only_if: Option<&'a RemoteVersion>,
}

impl<'a> Api<'a> {
    /// The API for one operation of the contract.
    pub(crate) fn new(ctx: &'a Context, operation: &'static str) -> Self {
        Self { ctx, operation }
    }

    /// `{base}/{segments}?{query}`, each segment percent-encoded: calendar ids hold `@` and `#`.
    pub(crate) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
        let mut url = self.ctx.base_url.clone();
        url.path_segments_mut()
            .map_err(|()| self.error(ErrorKind::Invalid, "`base_url` is no address of a web server"))?
            .pop_if_empty()
            .extend(segments);
        url.query_pairs_mut().clear().extend_pairs(query);
        if query.is_empty() {
            url.set_query(None);
        }
        Ok(url)
    }

    /// Reads a resource.
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, Error> {
        let response = self
            .send(Method::GET, url, HeaderMap::new(), Bytes::new(), true)
            .await?;
        self.decode(&response)
    }

    /// Asks a question that changes nothing.
    pub(crate) async fn query<T: DeserializeOwned>(&self, url: Url, json: &Value) -> Result<T, Error> {
        let body = Bytes::from(json.to_string());
        let response = self.send(Method::POST, url, json_header(), body, true).await?;
        self.decode(&response)
    }

    /// Writes a resource and answers it as the vendor stored it.
    pub(crate) async fn write(
        &self,
        method: Method,
        mut url: Url,
        body: Body<'_>,
    ) -> Result<Box<RawValue>, Error> {
        let mut headers = json_header();
        self.condition(&mut headers, body.only_if)?;
        url.query_pairs_mut().append_pair(SILENT.0, SILENT.1);
        // Both are ignored in the body unless the query says that the client knows of them.
        // https://developers.google.com/workspace/calendar/api/v3/reference/events/patch#parameters
        if body.json.get("attachments").is_some() {
            url.query_pairs_mut().append_pair("supportsAttachments", "true");
        }
        if body.json.get("conferenceData").is_some() {
            url.query_pairs_mut().append_pair("conferenceDataVersion", "1");
        }
        let bytes = Bytes::from(body.json.to_string());
        let response = self.send(method, url, headers, bytes, false).await?;
        self.decode(&response)
    }

    /// Deletes a resource.
    pub(crate) async fn delete(&self, mut url: Url, only_if: Option<&RemoteVersion>) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        self.condition(&mut headers, only_if)?;
        url.query_pairs_mut().append_pair(SILENT.0, SILENT.1);
        self.send(Method::DELETE, url, headers, Bytes::new(), false)
            .await?;
        Ok(())
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.operation, message)
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        body: Bytes,
        idempotent: bool,
    ) -> Result<HttpResponse, Error> {
        headers.insert(AUTHORIZATION, bearer(&self.ctx.credentials, self.operation)?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = HttpRequest {
            method,
            url,
            headers,
            body,
            operation: self.operation,
            idempotent,
        };
        let response = self.ctx.http.send(request).await?;
        if response.status.is_success() {
            Ok(response)
        } else {
            Err(parse_error(self.operation, &response, None))
        }
    }

    /// <https://developers.google.com/workspace/calendar/api/guides/version-resources>
    fn condition(&self, headers: &mut HeaderMap, version: Option<&RemoteVersion>) -> Result<(), Error> {
        if let Some(version) = version {
            let value = HeaderValue::from_str(&version.0)
                .map_err(|_| self.error(ErrorKind::Invalid, "the version that was read is no etag"))?;
            headers.insert(IF_MATCH, value);
        }
        Ok(())
    }

    fn decode<T: DeserializeOwned>(&self, response: &HttpResponse) -> Result<T, Error> {
        let wrong = |error: serde_json::Error| {
            // What it said is not repeated: it may be anybody's page.
            self.error(
                ErrorKind::Unexpected,
                "the answer is not the JSON that Google's API promises",
            )
            .with_status(response.status.as_u16())
            .with_source(error)
        };
        let raw: &RawValue = serde_json::from_slice(&response.body).map_err(wrong)?;
        if raw.get().contains("\"error\"")
            && let Ok(body) = serde_json::from_str::<Value>(raw.get())
            && is_error(&body)
        {
            return Err(parse_error(self.operation, response, Some(&body)));
        }
        serde_json::from_str(raw.get()).map_err(wrong)
    }
}

fn json_header() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}
