//! What an attacker, a broken proxy or a wrong configuration makes of a genuine delivery, and what must come of it.

use connector_sdk::signature::{Refusal, Scheme, Window};
use connector_sdk::{Grade, RawRequest, WebhookSecrets};

/// Where a vector comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// The vendor, or the standard, publishes it there.
    Published(&'static str),
    /// Nobody publishes one that is whole; the signature was computed with OpenSSL 3.0 over what the vendor's page says.
    OpenSsl,
    /// Nothing is computed: a token is compared.
    Token,
}

/// Something done to a delivery.
pub(crate) type Change = fn(&mut RawRequest);

/// A genuine delivery, and what is particular about its scheme.
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    pub(crate) scheme: Box<dyn Scheme>,
    pub(crate) secrets: WebhookSecrets,
    /// Another tenant's, of the same form.
    pub(crate) other: WebhookSecrets,
    pub(crate) request: RawRequest,
    pub(crate) grade: Grade,
    /// The headers that the proof reads.
    pub(crate) headers: &'static [&'static str],
    /// Whether the proof covers the body.
    pub(crate) covers_body: bool,
    /// When it was sent and how far that may be from now; `None` where the scheme knows no time.
    pub(crate) window: Option<Window>,
    /// Labels it with another algorithm.
    pub(crate) other_label: Option<Change>,
    /// Puts a second, wrong signature before the right one; and whether the scheme has room for two.
    pub(crate) two_signatures: Option<(Change, bool)>,
}

impl Vector {
    pub(crate) fn now_ms(&self) -> i64 {
        self.request.received_at_ms
    }
}

/// How a table of cases went.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cases: usize,
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    fn note(&mut self, right: bool, what: impl FnOnce() -> String) {
        self.cases += 1;
        if !right {
            self.wrong.push(what());
        }
    }
}

/// The reason of a refusal; `None` where it was accepted.
fn refusal(vector: &Vector, request: &RawRequest, secrets: &WebhookSecrets, now_ms: i64) -> Option<Refusal> {
    let refused = vector.scheme.verify(request.clone(), secrets, now_ms).err()?;
    Some(refused.refusal().expect("every refusal says why"))
}

/// Tries everything.
pub(crate) fn attack(vector: &Vector) -> Tally {
    let mut tally = Tally::default();
    genuine(vector, &mut tally);
    secrets(vector, &mut tally);
    bodies(vector, &mut tally);
    headers(vector, &mut tally);
    times(vector, &mut tally);
    labels(vector, &mut tally);
    tally
}

fn genuine(vector: &Vector, tally: &mut Tally) {
    let name = vector.name;
    for _sent_again in 0..2 {
        let proven = vector
            .scheme
            .verify(vector.request.clone(), &vector.secrets, vector.now_ms());
        let right = proven.as_ref().is_ok_and(|proven| {
            proven.grade() == vector.grade
                && proven.body() == &vector.request.body
                && (proven.secret_index() == 0 || vector.secrets.live().is_empty())
        });
        tally.note(right, || format!("{name}: the genuine delivery is {proven:?}"));
    }
}

fn secrets(vector: &Vector, tally: &mut Tally) {
    let (name, now_ms) = (vector.name, vector.now_ms());
    let with = |secrets: &WebhookSecrets| refusal(vector, &vector.request, secrets, now_ms);
    let other = with(&vector.other);
    let right = matches!(other, Some(Refusal::WrongSignature | Refusal::UnknownKey));
    tally.note(right, || {
        format!("{name}: another tenant's secret gives {other:?}")
    });
    let none = with(&WebhookSecrets::default());
    tally.note(none == Some(Refusal::NoSecret), || {
        format!("{name}: no secret gives {none:?}")
    });
    if vector.secrets.live().is_empty() {
        return;
    }
    let rotating = WebhookSecrets::new(vector.other.live().iter().chain(vector.secrets.live()).cloned());
    let proven = vector.scheme.verify(vector.request.clone(), &rotating, now_ms);
    let right = proven.is_ok_and(|proven| proven.secret_index() == vector.other.live().len());
    tally.note(right, || {
        format!("{name}: the older of two live secrets is not found")
    });
    let empty = with(&WebhookSecrets::one(""));
    tally.note(empty == Some(Refusal::NoSecret), || {
        format!("{name}: an empty secret gives {empty:?}")
    });
}

fn bodies(vector: &Vector, tally: &mut Tally) {
    if !vector.covers_body {
        return;
    }
    let (name, now_ms, whole) = (vector.name, vector.now_ms(), &vector.request.body);
    let mut tried = |body: Vec<u8>, what: &str| {
        let mut request = vector.request.clone();
        request.body = body.into();
        let accepted = refusal(vector, &request, &vector.secrets, now_ms).is_none();
        tally.note(!accepted, || format!("{name}: {what} is accepted"));
    };
    for index in 0..whole.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut body = whole.to_vec();
            body[index] ^= mask;
            tried(body, &format!("byte {index} ^ {mask:#x}"));
        }
    }
    for length in 0..whole.len() {
        tried(whole[..length].to_vec(), &format!("the first {length} bytes"));
    }
    tried([whole, &b"x"[..]].concat(), "a longer body");
    tried([&b"x"[..], whole].concat(), "a body with a byte before it");
}

fn headers(vector: &Vector, tally: &mut Tally) {
    let (name, now_ms) = (vector.name, vector.now_ms());
    for header in vector.headers {
        let value = vector.request.headers[*header].clone();
        let mut without = vector.request.clone();
        without.headers.remove(*header);
        let answer = refusal(vector, &without, &vector.secrets, now_ms);
        tally.note(answer == Some(Refusal::MissingHeader), || {
            format!("{name}: without `{header}`: {answer:?}")
        });

        let mut doubled = vector.request.clone();
        doubled.headers.append(*header, value.clone());
        let answer = refusal(vector, &doubled, &vector.secrets, now_ms);
        tally.note(answer == Some(Refusal::DuplicateHeader), || {
            format!("{name}: `{header}` twice: {answer:?}")
        });

        let mut tried = |bytes: Vec<u8>, what: &str| {
            let Ok(changed) = http::HeaderValue::from_bytes(&bytes) else {
                return;
            };
            let mut request = vector.request.clone();
            request.headers.insert(*header, changed);
            let accepted = refusal(vector, &request, &vector.secrets, now_ms).is_none();
            tally.note(!accepted, || {
                format!("{name}: `{header}` with {what} is accepted")
            });
        };
        tried(Vec::new(), "nothing");
        tried(vec![b'a'; 9 << 10], "9 KiB");
        for index in 0..value.len() {
            let mut bytes = value.as_bytes().to_vec();
            bytes[index] ^= 0x01;
            tried(bytes, &format!("byte {index} flipped"));
            tried(
                value.as_bytes()[..index].to_vec(),
                &format!("its first {index} bytes"),
            );
        }
    }
}

fn times(vector: &Vector, tally: &mut Tally) {
    let Some(window) = vector.window else {
        return;
    };
    let (name, sent_ms) = (vector.name, vector.now_ms());
    for (now_ms, expected) in [
        (sent_ms + window.as_ms(), None),
        (sent_ms - window.as_ms(), None),
        (sent_ms + window.as_ms() + 1_000, Some(Refusal::Stale)),
        (sent_ms - window.as_ms() - 1_000, Some(Refusal::Future)),
        (i64::MAX, Some(Refusal::Stale)),
        (i64::MIN, Some(Refusal::Future)),
    ] {
        let answer = refusal(vector, &vector.request, &vector.secrets, now_ms);
        tally.note(answer == expected, || {
            format!("{name}: at {}: {answer:?}", now_ms.wrapping_sub(sent_ms))
        });
    }
}

fn labels(vector: &Vector, tally: &mut Tally) {
    let (name, now_ms) = (vector.name, vector.now_ms());
    if let Some(relabel) = vector.other_label {
        let mut request = vector.request.clone();
        relabel(&mut request);
        let answer = refusal(vector, &request, &vector.secrets, now_ms);
        tally.note(answer == Some(Refusal::WrongAlgorithm), || {
            format!("{name}: another label: {answer:?}")
        });
    }
    if let Some((add, has_room)) = vector.two_signatures {
        let mut request = vector.request.clone();
        add(&mut request);
        let answer = refusal(vector, &request, &vector.secrets, now_ms);
        tally.note(answer.is_none() == has_room, || {
            format!("{name}: two signatures: {answer:?}")
        });
    }
}
