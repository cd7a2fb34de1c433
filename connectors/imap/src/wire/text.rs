//! What goes into a command: quoted texts, and folder names in the form that servers take (RFC 3501 section 5.1.3).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const PLAIN: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::RequireNone)
    .with_decode_allow_trailing_bits(true);
const MUTF7: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, PLAIN);

/// A text as a quoted string, or `None` for one that needs a literal: whatever is not printable ASCII.
pub(crate) fn quoted(text: &str) -> Option<String> {
    if !text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return None;
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A folder's name as people write it, from the server's form. A name that breaks the rules of the form is taken as it
/// stands.
pub(crate) fn folder_from_wire(wire: &str) -> String {
    decoded(wire).unwrap_or_else(|| wire.to_owned())
}

fn decoded(wire: &str) -> Option<String> {
    let mut text = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let (coded, after) = after.split_once('-')?;
        if coded.is_empty() {
            text.push('&');
        } else {
            let bytes = MUTF7.decode(coded).ok()?;
            if bytes.len() % 2 != 0 {
                return None;
            }
            let units = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            text.push_str(&char::decode_utf16(units).collect::<Result<String, _>>().ok()?);
        }
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_read_as_people_wrote_them() {
        for (wire, text) in [
            ("INBOX", "INBOX"),
            ("Entw&APw-rfe", "Entwürfe"),
            ("&ZeVnLIqe-", "日本語"),
            ("R&-D", "R&D"),
            ("&2D3eAA-", "\u{1f600}"),
            // Broken ones stand as they are.
            ("a&b", "a&b"),
            ("&AA-", "&AA-"),
            ("&2D0-", "&2D0-"),
            ("&###-", "&###-"),
        ] {
            assert_eq!(folder_from_wire(wire), text, "{wire}");
        }
    }

    #[test]
    fn what_cannot_be_quoted_is_said_so() {
        assert_eq!(quoted("a \"b\" \\").unwrap(), r#""a \"b\" \\""#);
        assert_eq!(quoted("pass\r\nword"), None);
        assert_eq!(quoted("naïve"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_read_without_a_crash(wire in "\\PC*") {
            let _ = folder_from_wire(&wire);
        }
    }
}
