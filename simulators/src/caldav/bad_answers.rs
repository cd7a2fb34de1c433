//! Answers that no client should take at face value: hostile, broken, or from something that is no CalDAV server.

use std::fmt::Write as _;
use std::io;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, StatusCode, header};

use super::quirks::BadAnswerForm;

const OPENING: &[u8] = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
    <D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/";

/// The answer that takes the place of the right one, or none for the forms that spoil the right one.
pub(crate) fn instead(form: BadAnswerForm) -> Option<Response> {
    match form {
        BadAnswerForm::HugeBody { size_bytes } => Some(xml(huge(size_bytes))),
        BadAnswerForm::EntityExpansion => Some(xml(Body::from(billion_laughs()))),
        BadAnswerForm::MalformedXml => Some(xml(Body::from(
            "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/a</D:response></D:href>&",
        ))),
        BadAnswerForm::HtmlLoginPage => {
            let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form method=\"post\">\
                <input name=\"user\"><input name=\"password\" type=\"password\"><br>\
                <button>Sign in</button></form></body></html>\n";
            Some(with_type(
                StatusCode::OK,
                "text/html; charset=utf-8",
                Body::from(page),
            ))
        }
        BadAnswerForm::Halved | BadAnswerForm::CutMidway => None,
    }
}

/// Spoils the right answer, which has taken effect.
pub(crate) async fn spoiled(form: BadAnswerForm, right: Response) -> Response {
    let (mut parts, body) = right.into_parts();
    let Ok(whole) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let half = whole.slice(..whole.len() / 2);
    parts.headers.remove(header::CONTENT_LENGTH);
    match form {
        BadAnswerForm::CutMidway => Response::from_parts(parts, cut_after(half)),
        BadAnswerForm::Halved => Response::from_parts(parts, Body::from(half)),
        BadAnswerForm::HugeBody { .. }
        | BadAnswerForm::EntityExpansion
        | BadAnswerForm::MalformedXml
        | BadAnswerForm::HtmlLoginPage => Response::from_parts(parts, Body::from(whole)),
    }
}

/// Sends the bytes, then breaks off in a way that the client's HTTP can see.
fn cut_after(sent: Bytes) -> Body {
    let broken = || io::Error::from(io::ErrorKind::ConnectionAborted);
    Body::from_stream(stream::unfold(Some(sent), move |rest| async move {
        match rest {
            Some(bytes) if !bytes.is_empty() => Some((Ok(bytes), Some(Bytes::new()))),
            Some(_) => {
                // Lets the server flush what it has before it learns of the failure.
                tokio::task::yield_now().await;
                Some((Err(broken()), None))
            }
            None => None,
        }
    }))
}

/// One long text that never ends properly, produced as it is sent.
fn huge(size_bytes: u64) -> Body {
    let opening = Bytes::from_static(OPENING);
    let chunk = Bytes::from(vec![b'a'; 64 * 1024]);
    let left = size_bytes.saturating_sub(OPENING.len() as u64);
    let filler = stream::unfold(left, move |left| {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        let part = chunk.slice(..size);
        async move { (size > 0).then(|| (Ok::<_, io::Error>(part), left - size as u64)) }
    });
    let first = stream::iter([Ok(opening)]);
    Body::from_stream(futures::StreamExt::chain(first, filler))
}

fn billion_laughs() -> String {
    let mut document =
        String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE multistatus [\n <!ENTITY lol0 \"lol\">\n");
    for level in 1..10 {
        let references = format!("&lol{};", level - 1).repeat(10);
        // Writing to a String cannot fail.
        let _ = writeln!(document, " <!ENTITY lol{level} \"{references}\">");
    }
    document.push_str(
        "]>\n<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>&lol9;</D:href>\
         <D:status>HTTP/1.1 404 Not Found</D:status></D:response></D:multistatus>",
    );
    document
}

fn xml(body: Body) -> Response {
    with_type(StatusCode::MULTI_STATUS, "application/xml; charset=utf-8", body)
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
