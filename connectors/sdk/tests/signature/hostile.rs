//! Bytes that nobody means well with: no panic, and never a proof.

use bytes::Bytes;
use connector_sdk::RawRequest;
use connector_sdk::signature::KeySet;
use http::HeaderValue;
use proptest::prelude::*;

use crate::vectors;

/// Header values that look like what schemes read, and arbitrary ones.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[a-zA-Z0-9+/=,.;: _-]{0,120}".prop_map(String::into_bytes),
        "(v1a?,[A-Za-z0-9+/]{0,90}={0,2} ?){0,20}".prop_map(String::into_bytes),
        "t=[0-9]{0,20},(v1=[0-9a-f]{0,64},?){0,20}".prop_map(String::into_bytes),
        "(sha256|sha1|v0)=[0-9a-fA-F]{0,64}".prop_map(String::into_bytes),
        "Bearer [A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){0,3}".prop_map(String::into_bytes),
        "-?[0-9]{1,25}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn hostile_bytes_are_never_accepted(
        values in prop::collection::vec(value(), 3),
        body in prop::collection::vec(any::<u8>(), 0..300),
        keep_headers in any::<bool>(),
        now_ms in any::<i64>(),
    ) {
        for vector in vectors::all() {
            // A token that is not tied to the body stays right beside any body.
            if keep_headers && !vector.covers_body {
                continue;
            }
            let mut request: RawRequest = vector.request.clone();
            request.body = Bytes::from(body.clone());
            if !keep_headers {
                for (header, value) in vector.headers.iter().zip(&values) {
                    if let Ok(value) = HeaderValue::from_bytes(value) {
                        request.headers.insert(*header, value);
                    } else {
                        request.headers.remove(*header);
                    }
                }
            }
            if vector.headers.is_empty() && body.is_empty() {
                continue;
            }
            for now_ms in [now_ms, vector.now_ms()] {
                let proven = vector.scheme.verify(request.clone(), &vector.secrets, now_ms);
                let refused = proven.expect_err(vector.name);
                prop_assert!(refused.refusal().is_some());
                let said = format!("{refused} {refused:?}");
                for secret in vector.secrets.live() {
                    prop_assert!(!said.contains(secret.expose()));
                }
            }
        }
    }

    #[test]
    fn hostile_key_sets_are_an_error_or_hold_no_more_than_64_keys(
        json in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            r#"\{"keys":\[(\{"kty":"(RSA|EC|oct)","crv":"P-256","n":"[A-Za-z0-9_-]{0,20}","e":"AQAB","x":"[A-Za-z0-9_-]{0,44}","y":"","kid":"a"\},?){0,3}\]\}"#
                .prop_map(String::into_bytes),
        ],
    ) {
        let read = KeySet::from_json(&json);
        if let Err(error) = read {
            prop_assert!(error.refusal().is_none());
        }
    }
}
