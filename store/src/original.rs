//! Raw originals: kept byte by byte, deflated where that saves something.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sync::ports::StoreError;

use crate::column::corrupt;

/// As it is.
const PLAIN: i64 = 0;
/// Deflated (RFC 1951).
const DEFLATED: i64 = 1;

/// Below this a deflated original saves less than the page it lies on, and setting the encoder up costs more than
/// the writing.
const WORTH_BYTES: usize = 2_048;

/// An original as stored.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) encoding: i64,
    pub(crate) bytes: Vec<u8>,
}

/// An original on its way into the store.
pub(crate) fn pack(raw: &[u8]) -> Packed {
    if raw.len() >= WORTH_BYTES {
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(raw.len() / 2), Compression::fast());
        // Writing into memory does not fail; if it did, the original is kept as it is.
        if encoder.write_all(raw).is_ok()
            && let Ok(bytes) = encoder.finish()
            && bytes.len() < raw.len()
        {
            return Packed {
                encoding: DEFLATED,
                bytes,
            };
        }
    }
    Packed {
        encoding: PLAIN,
        bytes: raw.to_vec(),
    }
}

/// An original on its way out.
pub(crate) fn unpack(encoding: i64, stored: Vec<u8>) -> Result<Bytes, StoreError> {
    match encoding {
        PLAIN => Ok(Bytes::from(stored)),
        DEFLATED => {
            let mut raw = Vec::with_capacity(stored.len() * 4);
            DeflateDecoder::new(stored.as_slice())
                .read_to_end(&mut raw)
                .map_err(|error| corrupt("raw", error))?;
            Ok(Bytes::from(raw))
        }
        other => Err(corrupt("raw", format!("encoding {other} is not known"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_only_what_shrinks_is_deflated() {
        let text = "DESCRIPTION:Weekly planning\r\n".repeat(400).into_bytes();
        let noise: Vec<u8> = (0u32..4_000)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 23) as u8)
            .collect();
        for (raw, encoding) in [
            (text, DEFLATED),
            (b"BEGIN:VCALENDAR".to_vec(), PLAIN),
            (Vec::new(), PLAIN),
        ] {
            let packed = pack(&raw);
            assert_eq!(packed.encoding, encoding);
            assert_eq!(unpack(packed.encoding, packed.bytes).unwrap(), raw);
        }
        let packed = pack(&noise);
        assert!(packed.bytes.len() <= noise.len());
        assert_eq!(unpack(packed.encoding, packed.bytes).unwrap(), noise);
    }

    #[test]
    fn a_broken_original_is_an_error_and_not_a_shorter_one() {
        let mut packed = pack(&"X-NOTE:abc\r\n".repeat(1_000).into_bytes());
        packed.bytes.truncate(packed.bytes.len() / 2);
        assert!(unpack(packed.encoding, packed.bytes).is_err());
        assert!(unpack(7, vec![1]).is_err());
    }
}
