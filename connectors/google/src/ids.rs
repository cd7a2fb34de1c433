//! Event ids that a client may choose.

use model::IntentId;
use sha2::{Digest as _, Sha256};

/// "Characters allowed in the ID are those used in base32hex encoding, i.e. lowercase letters a-v and digits 0-9",
/// between 5 and 1024 of them.
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events#id>
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// The id of the event that an intent creates: the same each time it is asked, so that a create whose answer was
/// lost can be found again, and never doubled.
pub(crate) fn created_id(intent: &IntentId) -> String {
    let digest = Sha256::digest(intent.as_str().as_bytes());
    let mut text = String::with_capacity(52);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in digest {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(digit(buffer >> bits));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(digit(buffer << (5 - bits)));
    }
    text
}

fn digit(value: u32) -> char {
    char::from(DIGITS[(value & 31) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_always_names_the_same_allowed_id() {
        let (one, other) = (IntentId::new(1, 2), IntentId::new(1, 3));
        let id = created_id(&one);
        assert_eq!(id, created_id(&one));
        assert_ne!(id, created_id(&other));
        assert_eq!(id.len(), 52);
        assert!(
            id.bytes().all(|byte| matches!(byte, b'a'..=b'v' | b'0'..=b'9')),
            "{id}"
        );
    }

    #[test]
    fn the_alphabet_is_that_of_rfc_4648_section_10() {
        // BASE32-HEX("f") = "CO======": one byte is one full digit and one that is filled up.
        let mut text = String::new();
        text.push(digit(u32::from(b'f') >> 3));
        text.push(digit(u32::from(b'f') << 2));
        assert_eq!(text, "co");
    }
}
