//! Standard Webhooks, against the vectors of its own libraries.

use connector_sdk::WebhookSecret;
use connector_sdk::signature::standard_webhooks::{Signer, public_key, secret, sign};

/// Vectors of the specification's own library, tests `TestWebhookSign` and `TestAsymmetricWebhookSign`:
/// <https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries/go>.
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SYMMETRIC: (&str, &str) = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
);
const ASYMMETRIC: (&str, &str) = (
    "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
    "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
);

#[test]
fn what_the_hub_signs_is_what_the_specification_publishes() {
    for (secret, signature) in [SYMMETRIC, ASYMMETRIC] {
        let made = sign(&WebhookSecret::new(secret), ID, TIMESTAMP, BODY).unwrap();
        assert_eq!(made, signature);
    }
    let both = [SYMMETRIC, ASYMMETRIC].map(|(secret, _)| WebhookSecret::new(secret));
    let signature = Signer::new(&both).unwrap().sign(ID, TIMESTAMP, BODY).unwrap();
    assert_eq!(signature, format!("{} {}", SYMMETRIC.1, ASYMMETRIC.1));
}

#[test]
fn secrets_and_ids_that_would_weaken_a_signature_are_refused() {
    for bad in [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsk_c2hvcnQ=",
        "whsec_!",
    ] {
        let error = sign(&WebhookSecret::new(bad), ID, TIMESTAMP, BODY).unwrap_err();
        assert!(bad.len() < 8 || !error.to_string().contains(bad), "{error}");
    }
    assert!(Signer::new([]).is_err(), "nothing to sign with");
    for bad in ["", "a.b", "a b", "a\n", "é", &"a".repeat(257)] {
        assert!(sign(&secret([1; 32]), bad, TIMESTAMP, BODY).is_err(), "{bad:?}");
    }
}

#[test]
fn a_private_key_tells_its_public_key_and_a_secret_has_none() {
    let public = public_key(&WebhookSecret::new(ASYMMETRIC.0)).unwrap();
    assert!(public.starts_with("whpk_") && public.len() == 49, "{public}");
    assert!(public_key(&secret([1; 32])).is_err());
    let signer = Signer::new(&[secret([1; 32])]).unwrap();
    assert_eq!(format!("{signer:?}"), "Signer { keys: 1 }");
}
