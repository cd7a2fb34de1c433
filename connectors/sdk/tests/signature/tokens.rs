//! JSON Web Tokens: a published one, and others made with OpenSSL and keys of this test.

use connector_sdk::signature::{Jwt, JwtAlgorithm, Refusal, Scheme, jwt, vendors};
use connector_sdk::{Grade, RawRequest, WebhookSecrets};

use crate::attack::{Source, Vector};
use crate::vectors::{BODY, keys, request, with_hash};

const SENT: i64 = 1_800_000_000;

/// OpenID Connect Core 1.0, appendix A.4 (errata set 1): an ID token, RS256.
const OPENID_TOKEN: &str = "eyJraWQiOiIxZTlnZGs3IiwiYWxnIjoiUlMyNTYifQ.ewogImlzcyI6ICJodHRwOi8vc2VydmVyLmV4YW1wbGUuY29tIiwKICJzdWIiOiAiMjQ4Mjg5NzYxMDAxIiwKICJhdWQiOiAiczZCaGRSa3F0MyIsCiAibm9uY2UiOiAibi0wUzZfV3pBMk1qIiwKICJleHAiOiAxMzExMjgxOTcwLAogImlhdCI6IDEzMTEyODA5NzAsCiAiY19oYXNoIjogIkxEa3RLZG9RYWszUGswY25YeENsdEEiCn0.XW6uhdrkBgcGx6zVIrCiROpWURs-4goO1sKA4m9jhJIImiGg5muPUcNegx6sSv43c5DSn37sxCRrDZZm4ZPBKKgtYASMcE20SDgvYJdJS0cyuFw7Ijp_7WnIjcrl6B5cmoM6ylCvsLMwkoQAxVublMwH10oAxjzD6NEFsu9nipkszWhsPePf_rM4eMpkmCbTzume-fzZIi5VjdWGGEmzTg32h3jiex-r5WTHbj-u5HL7u_KP3rmbdYNzlzd1xWRYTUs4E8nOTgzAUwvwXkIQhOh5TPcSMBYy6X3E7-_gr9Ue6n4ND7hTFhtjYs3cjNKIA08qm5cpVYFMFMG6PkhzLQ";
/// Its key, appendix A.7.
const OPENID_KEYS: &str = r#"{"keys":[{"kty":"RSA","kid":"1e9gdk7","n":"w7Zdfmece8iaB0kiTY8pCtiBtzbptJmP28nSWwtdjRu0f2GFpajvWE4VhfJAjEsOcwYzay7XGN0b-X84BfC8hmCTOj2b2eHT7NsZegFPKRUQzJ9wW8ipn_aDJWMGDuB1XyqT1E7DYqjUCEOD1b4FLpy_xPn6oV_TYOfQ9fZdbE5HGxJUzekuGcOKqOQ8M7wfYHhHHLxGpQVgL0apWuP2gDDOdTtpuld4D2LK1MZK99s9gaSjRHE8JDb1Z4IGhEcEyzkxswVdPndUWzfvWBBWXWxtSUvQGBRkuy1BHOa4sP6FKjWEeeF7gm7UMs2Nm2QUgNZw6xvEDGaLk4KASdIxRQ","e":"AQAB"}]}"#;
const OPENID_PAGE: &str = "https://openid.net/specs/openid-connect-core-1_0.html#code-id_tokenExample";
const OPENID_ISSUED: i64 = 1_311_280_970;
const OPENID: Jwt = Jwt::body(JwtAlgorithm::Rs256, &["http://server.example.com"]);

const VENDOR: Jwt = Jwt::body(JwtAlgorithm::Es256, &["https://vendor.example.org"]);

const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"ec-1","x":"ZRehB8BgY6CkE7josuBIUABsDrvpifIWTsCl3dUBFac","y":"xRjntw-NTYamWn3-AREtam6iAmz7qZb7nIbCFaUTGnw"},{"kty":"RSA","use":"sig","alg":"RS256","kid":"rsa-1","n":"tA5KdSo8TP1ApyJ8qa2rrfmaxbc-mxXmE7tuSjw-hYZDt1tiIvrptb0azQHgbMwm5AtpWAAwQsNxppNuaFGI_mrGIE_WFx5iFCqvNPfl0AR6Ldxyug_ZbiUX2097nQUFzfQ2x_Vcl3CiZRwz8-HHUeITswxUsLxbZ49RIQQmn8joi6d09LEJCMpQclvD9RG0qXCtUXysvQxYcVXaEcJ0Tex816x4nwyTScVFmKoqzBvko666gMeuIvd4gPUoZijZRoAxr4IDGLaoeILL57rSRoQkabDVPQfroznff4_18lzCzQPxoyCX2rJ2HOkIZwVPrvgbaIE8CkPxMrlyzdaE5Q","e":"AQAB"}]}"#;
const OTHER_KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"ec-1","x":"XAeiRlDbMQO7Q7j-V8k5om_6nLRfLpkRNHXxxdIGB2I","y":"WefJ6l_NMMCNqyrpxrtIp_kvX2bTj8DtLrKyi1xTzx8"},{"kty":"RSA","kid":"rsa-1","n":"xie0wsmJywroVclxpHCmWeYiirSnBUExD-APFH2u9DYEVLYDPlskLiG-wcGdtwVdCLl2MXsyIrL0MCFh7sF54wkE2cevmV8T90zJkbYjSpcFFkMp0H5Sbqd9A-Wu-LdYon2nXyV0qHBa6y1NhKyYUErblQKRIdxl2LukDCXla_jcv3jbhT9fSdOeWlAkz_KoT2EnOZPEXL1eshty0OW3Bq-U9wQYRgD6SKGMk24J0YnVRadZWFK6ymp_GcT65vVWXIyoOGZzxZeNuKKuLIXwXFsSH4FqV05Bp0WLibD496c6V4cVPqYH_3Bqx0-GCLQNu2DOfG4f61MOxv0FJw2bkQ","e":"AQAB"}]}"#;
/// As a body, ES256.
const AS_BODY: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjLTEifQ.eyJpc3MiOiJodHRwczovL3ZlbmRvci5leGFtcGxlLm9yZyIsImF1ZCI6Imh1Yi1jbGllbnQiLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDA2MCwiZXZlbnRzIjp7ImNoYW5nZWQiOnt9fX0.bwp9d9Fn9gjOiwUuIrU-ZQ1lLdHZBj-rbkk1GDtVZPhDNRjEGRZjBWa84yz4PqNuArCmP6pE85ca9HRhJFg1eQ";
/// As a bearer token, RS256.
const AS_BEARER: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20iLCJhdWQiOiJodWItY2xpZW50IiwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDAwNjB9.OqgkVIWHlIZ5MxjiWH_RJzcVkGCT2WBDRJctzwA-IiTi5yBa9u46IZp-KU_wmDRcGVIDS1jQh1Vy4NDs4gtEnttS_Hsfm9rrJ3vZfghXGUhJjcrVGfxdlXrZVGqcvAxtYFGrSknwAJClHD9obVELfFiiE_sy7F5kMiloIqwyNIskC8aBlIEyqb3ukVOtLrRuP4VpQI7oKO1RhRy2i6henHMyEYYV4sFUbLcrxOHosSSTui6zsNRcOeGqgFJ0OhsB7Y1uKWbssjVO4N98cntokE2VF28ErYWg3OqwYMlxM_3N1o3b9-OgRcy2canBmNn6zkXS2BljSjW_RFtaHAyXFQ";
/// With the hash of a body, RS256.
const WITH_HASH: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL3ZlbmRvci5leGFtcGxlLm9yZyIsImF1ZCI6Imh1Yi1jbGllbnQiLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDA2MCwicGF5bG9hZF9oYXNoIjoiZDQ3OWMyYWZlZTdkYzhkZjdhNDU1ODhiMzE4ZDVkNGRhYmUzMDY0ODZhODJhMGI5ZGRlYmVjZWU0OGY5OTExMCJ9.gG3Ho3ni2CpLHzZTJF6msPmRyYpninXWHIcGZp8vWR4x5__Thl9ggmr_eUCvIGllmW8MmwRt-2axn2t_qJciR-asOD18SDGedx9b-WlEqeNmDcRaV9toglvviFxLyrmmuLwzk8BVpexXXcAOE1fMkXKUyT4_5TWJWOxE_MBxHULGmkFZgPaJN1qWMlxiOVKsHyV6PnkYbAKs6kgWEbNX4OB6Z_LOVkWFtR6NJDGxouZXFgjoABVLKWicTU5HzuZqA-FkFg3qdo9ewGYmqlXSdpdIMYizXOCZd45t_rJr-kKcJH-twkbCoqqq9MBPc-OlRq_rjoPkaVQnqA2Ahx3taQ";
/// With an extension that must be understood.
const CRITICAL: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIiwiY3JpdCI6WyJ4Il0sIngiOjF9.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20iLCJhdWQiOiJodWItY2xpZW50IiwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDAwNjB9.EHk8FbVmTd0TSwm5Us4zFGitKvQjNSv8vWxvny0pEPEZDzAfzaF3ZmjyRCRKfeWj9UQ111bdxdSxUGRIlvVbTTtN3HGNp3phPZVFkAy-4chC162SekZEHZlsDWNRtf0bxOlqfDN3RsPL2ramMyRb7461Vm-cyGJsi5ey8K2RyYpKYL_6V8y7vWKHiVuymjuEqTrQjfKWeioVXnPi9pqzPArnEnWXPf2H7JGYL-nV2LidLYLepV6A5N3lMLH5Bd2tvs6d42uGvtcJwyNQqndmEnak4QHr85aabyAaiI7V0d2C0WfRvkIAXlXxRp7VlVSvDgAPuvU8gUSup2l70Gt0IQ";
/// For nobody in particular.
const NO_AUDIENCE: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20iLCJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMDA2MH0.n-tdsedJVQAiLTasTP2DkQ5CTKmWbpBFmlC-5REehUS4k_4HcLuyPcoJN5yJ6DB10cHbtPK-Fxihr0Zj1H7gnKypVZe4FC-yU0bGOPP6mVzFMyGbercaqY8Woak4_tSiOQ2yVeJF9GtltbxOtIu_aqd4obrEuYXAh-g49t1POqx-lfcxXhI-aimGQMHTaBmfo8L41psSONgpufy-6bLzpnYNxi8Dy9PuZuwWFAJGAWzXv5A4_pbkNoYVWP2MQzmNZW_ZtGApJG8AvLRpqEg_p4IGy8ZKGlQGk8zU206D9d2pFm1hN7GQx4rqvOjWYguVQUjvfaI56HuYgzX2ppk8aA";
/// For ever.
const NO_EXPIRY: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20iLCJhdWQiOiJodWItY2xpZW50IiwiaWF0IjoxODAwMDAwMDAwfQ.dr1DmpHy6djmE6KOOMNJKmgQmEGjB_LTTQ3rlX8fX7-AgHdIqBc2H5ZwZQDEwp6m2WKe5L9D7zAKvgpzQbbc2y4vDHKs-lpPquVrHSD522tT0gNGaRvCQTFqiemcmrku__Qi9ngNrghWJUISCT-5TKb_qudnT8FYv58Eb-o0_FsRiw00NKr15kZ8NlfH6p0XrbKea1OHiFjNOOpnaQaJWiVK-RZEpt5_qLc_xdM_rAl6TvegMoJZ0YWugLGA9vwkruZo4Aul1Ar2pqc2_zermRblP8KLqxcL98YIr9Ni_OMaVyukCjaVTM_6JvqeaDd7N5AdBtxR4ZB4jdrVIRanAQ";
/// Valid from a moment on that is text.
const TEXT_FOR_TIME: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20iLCJhdWQiOiJodWItY2xpZW50IiwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDAwNjAsIm5iZiI6Ijk5OTk5OTk5OTkifQ.XsKrv-4OFKehWiwezvjYJl0qb613JVzhG7xIjj2iVzbQ2z2cIXrGpWV0WOjStPi22o-ZdYE3iMusw6dQCUcasR7S6PoQzs5yUk94YghGVkuuCT8jDbPdAj8tCAvBR01z0AeHPjtWcLXXqrrRy30ZHmM9eJawhxj9CJMB-uoVRKEalN6NfnwwC7kFhc5pqALFbLmj9KrhR0VkOPnWkX3gFaXkxGTZmjY06DnTcJ4JOMbRhq55Xa4GLbqV1_6ztRLDk1KXMIaYxuGch_zVI_VjaBEr4HhYNwRbIt2gA35PDj_3XW-4Vj_Nzs7owd-FjJlaTuVHLpOs0RblVQ4Yb9EMpA";
/// By another issuer, with the right key.
const OTHER_ISSUER: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2V2aWwuZXhhbXBsZS5vcmciLCJhdWQiOiJodWItY2xpZW50IiwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDAwNjB9.LQA3tLDi84mmFkh1a6q1njnCszTvDqP-ZuZyVAUCAXYXwxZiQUlB9giHgBqaW3cqH3RR7HckUaG1al3yf7ZGJ_GfpBmDs9y5TQJWSYh7aiNnxdxnzc3DEBSC5aGA40IYRLSWtAkQvyj4ld22o45ZrglXl1kHwQziWeT92mpdD_55UtwDe7CpajXzJUMTXjH3YfRUkOKxRETES_TndriGNeEGRTAj4bqiRaaAxdl0IhOG1_b8edR_67XAsj29DbzyZbwenFRbo4LFHNVQ8HYsusJ-K5PifX3KTRln3NZzugcLcFy1qzTNjHSgKCRNZ3SXnLwzd8rMkPwr-HiPaZw24Q";
/// With a key that is not published.
const OTHER_KEY: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0yIn0.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20iLCJhdWQiOiJodWItY2xpZW50IiwiaWF0IjoxODAwMDAwMDAwLCJleHAiOjE4MDAwMDAwNjB9.sjWt5Xx9lNqIg3TF1NvMyp4AlraLAeHwQ7wfnblhNslW0W1cb9euFN37WfY6D65mgenafFhzvs4mQ1q-kGmYl9wtjj0pWAth3YOdQzflGeX5hlbhAMUrVc_pQExHvPXYBCV1OVo4odANmClwX6pv2K_9luFxGJ6QoWB3dX1tBiuuqygGgohZSR1fVE_tTcWC4A5YH10quTUgKkQnAPdl3ICuCpyo-9IUrvfTgv0HDlbS8dejml_S0Y1VCTd09SEXdMuDI74DDmk_tk-5Mmu-UokLUcYUbZS-ioI4MsMs5Lcs9WjGEf9k64yDoejBaIMOXDO_pARwFhJqEnJK4ZTG5Q";

fn ours(json: &str) -> WebhookSecrets {
    WebhookSecrets::default()
        .with_keys(keys(json))
        .with_audiences(["hub-client".to_owned()])
}

fn bearer(token: &str) -> RawRequest {
    request(&[("authorization", &format!("Bearer {token}"))], BODY, SENT)
}

pub(crate) fn vectors() -> Vec<Vector> {
    let vector = |name, source, scheme: Jwt, secrets, other, request, grade| Vector {
        name,
        source,
        scheme: Box::new(scheme),
        secrets,
        other,
        request,
        grade,
        headers: &[],
        covers_body: grade == Grade::Signed,
        window: None,
        other_label: None,
        two_signatures: None,
    };
    let openid = |json| {
        WebhookSecrets::default()
            .with_keys(keys(json))
            .with_audiences(["s6BhdRkqt3".to_owned()])
    };
    let mut published = vector(
        "JWT as body, RS256",
        Source::Published(OPENID_PAGE),
        OPENID,
        openid(OPENID_KEYS),
        openid(&OTHER_KEYS.replace("rsa-1", "1e9gdk7")),
        request(&[], OPENID_TOKEN, OPENID_ISSUED),
        Grade::Signed,
    );
    published.other_label = Some(|request| request.body = relabelled(OPENID_TOKEN, "PS256").into());
    let mut as_body = vector(
        "JWT as body, ES256",
        Source::OpenSsl,
        VENDOR,
        ours(KEYS),
        ours(OTHER_KEYS),
        request(&[], AS_BODY, SENT),
        Grade::Signed,
    );
    as_body.other_label = Some(|request| request.body = relabelled(AS_BODY, "RS256").into());
    let mut as_bearer = vector(
        "JWT as bearer token, RS256",
        Source::OpenSsl,
        vendors::GOOGLE_PUBSUB,
        ours(KEYS),
        ours(OTHER_KEYS),
        bearer(AS_BEARER),
        Grade::SharedSecret,
    );
    as_bearer.headers = &["authorization"];
    as_bearer.other_label = Some(|request| *request = bearer(&relabelled(AS_BEARER, "HS256")));
    let mut hashed = vector(
        "JWT with the body's hash, RS256",
        Source::OpenSsl,
        with_hash(),
        ours(KEYS),
        ours(OTHER_KEYS),
        request(&[("x-jwt", WITH_HASH)], BODY, SENT),
        Grade::Signed,
    );
    hashed.headers = &["x-jwt"];
    vec![published, as_body, as_bearer, hashed]
}

/// The token under another algorithm's name, as an attacker would have it believed.
fn relabelled(token: &str, algorithm: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    let head = format!(r#"{{"alg":"{algorithm}","kid":"rsa-1"}}"#);
    format!("{}.{rest}", base64url(head.as_bytes()))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let wide = chunk
            .iter()
            .fold(0_u32, |wide, byte| wide << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(DIGITS[(wide >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

fn refusal(token: &str, secrets: &WebhookSecrets, now: i64) -> Option<Refusal> {
    let refused = vendors::GOOGLE_PUBSUB
        .verify(bearer(token), secrets, now * 1_000)
        .err()?;
    refused.refusal()
}

#[test]
fn what_a_token_claims_is_checked_after_its_signature() {
    let secrets = ours(KEYS);
    for (token, expected) in [
        (AS_BEARER, None),
        (CRITICAL, Some(Refusal::Malformed)),
        (NO_AUDIENCE, Some(Refusal::WrongClaim)),
        (NO_EXPIRY, Some(Refusal::Malformed)),
        (TEXT_FOR_TIME, Some(Refusal::Malformed)),
        (OTHER_ISSUER, Some(Refusal::WrongClaim)),
        (OTHER_KEY, Some(Refusal::UnknownKey)),
    ] {
        assert_eq!(refusal(token, &secrets, SENT), expected, "{token}");
    }
}

#[test]
fn a_token_holds_until_it_expires_with_five_minutes_for_clocks() {
    let secrets = ours(KEYS);
    for (now, expected) in [
        (SENT - 300, None),
        (SENT - 301, Some(Refusal::Future)),
        (SENT + 60 + 300, None),
        (SENT + 60 + 301, Some(Refusal::Stale)),
    ] {
        assert_eq!(refusal(AS_BEARER, &secrets, now), expected, "{}", now - SENT);
    }
}

#[test]
fn tokens_without_an_algorithm_or_with_a_secret_for_one_are_refused() {
    let secrets = ours(KEYS);
    for algorithm in ["none", "None", "HS256", "RS384", "PS256", "ES256", "EdDSA", ""] {
        let token = relabelled(AS_BEARER, algorithm);
        assert_eq!(
            refusal(&token, &secrets, SENT),
            Some(Refusal::WrongAlgorithm),
            "{algorithm}"
        );
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(
            refusal(&unsigned, &secrets, SENT),
            Some(Refusal::WrongAlgorithm),
            "{algorithm}"
        );
    }
}

#[test]
fn a_token_for_somebody_else_is_refused_and_so_is_every_one_where_nobody_is_expected() {
    let others = WebhookSecrets::default()
        .with_keys(keys(KEYS))
        .with_audiences(["other".to_owned()]);
    assert_eq!(refusal(AS_BEARER, &others, SENT), Some(Refusal::WrongClaim));
    let nobody = WebhookSecrets::default().with_keys(keys(KEYS));
    assert_eq!(refusal(AS_BEARER, &nobody, SENT), Some(Refusal::NoSecret));
    let no_keys = WebhookSecrets::default().with_audiences(["hub-client".to_owned()]);
    assert_eq!(refusal(AS_BEARER, &no_keys, SENT), Some(Refusal::NoSecret));
}

#[test]
fn a_key_for_another_use_or_algorithm_proves_nothing() {
    for (from, to) in [
        (r#""use":"sig""#, r#""use":"enc""#),
        (r#""RS256""#, r#""RS512""#),
        (r#""RSA""#, r#""oct""#),
    ] {
        let secrets = ours(&KEYS.replace(from, to));
        let answer = refusal(AS_BEARER, &secrets, SENT);
        assert!(
            matches!(answer, Some(Refusal::UnknownKey | Refusal::NoSecret)),
            "{to}: {answer:?}"
        );
    }
}

#[test]
fn a_body_that_is_a_token_gives_its_claims_once_it_is_proven() {
    let proven = VENDOR
        .verify(request(&[], AS_BODY, SENT), &ours(KEYS), SENT * 1_000)
        .unwrap();
    let claims = jwt::body_claims(&proven).unwrap();
    assert!(claims["events"]["changed"].is_object());
}

#[test]
fn a_proven_request_keeps_no_token_that_could_be_used_again() {
    let proven = vendors::GOOGLE_PUBSUB
        .verify(bearer(AS_BEARER), &ours(KEYS), SENT * 1_000)
        .unwrap();
    assert_eq!(proven.header("authorization"), Some("[redacted]"));
}
