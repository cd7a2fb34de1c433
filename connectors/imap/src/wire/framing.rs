//! Where an answer ends: a line, and after each `{n}` at its end so many bytes and another line (RFC 9051 section 4.3).
//! Found before anything is parsed, so that a long literal is neither parsed twice nor larger than allowed.

/// How far the search for the end of the next answer is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Bytes at the beginning that need not be looked at again.
    looked: usize,
    /// Where the line begins that is being looked for.
    line: usize,
}

/// What is known of the answer at the beginning of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// It is whole, and so long.
    Whole(usize),
    /// At least so many bytes of it are needed.
    Needs(usize),
    /// It is larger than allowed.
    TooLarge,
}

impl Framing {
    /// Looks on from where the last look ended; a frame that is found starts the search anew.
    pub(crate) fn look(&mut self, buffer: &[u8], largest: usize) -> Frame {
        loop {
            if self.looked > largest {
                return Frame::TooLarge;
            }
            let Some(unseen) = buffer.get(self.looked..) else {
                return Frame::Needs(self.looked);
            };
            let Some(at) = unseen.iter().position(|byte| *byte == b'\n') else {
                self.looked = buffer.len();
                return if buffer.len() > largest {
                    Frame::TooLarge
                } else {
                    Frame::Needs(buffer.len() + 1)
                };
            };
            let end = self.looked + at + 1;
            let line = buffer.get(self.line..end).unwrap_or_default();
            match literal(line) {
                None => {
                    *self = Self::default();
                    return if end > largest {
                        Frame::TooLarge
                    } else {
                        Frame::Whole(end)
                    };
                }
                Some(length) => {
                    let Some(next) = end.checked_add(length).filter(|next| *next <= largest) else {
                        return Frame::TooLarge;
                    };
                    *self = Self {
                        looked: next,
                        line: next,
                    };
                }
            }
        }
    }
}

/// The length of the literal that a line announces at its end.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n"))?;
    let inner = line.strip_suffix(b"}")?;
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let begin = inner.iter().rposition(|byte| *byte == b'{')?;
    let digits = inner.get(begin + 1..)?;
    if digits.is_empty() || digits.len() > 12 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: usize = 1_000;

    #[test]
    fn an_answer_ends_with_the_line_after_its_last_literal() {
        let text = b"* 1 FETCH (BODY[] {5}\r\na\r\nb\n X {3+}\r\n\r\n\r FLAGS ())\r\n* next\r\n";
        let end = text.len() - b"* next\r\n".len();
        assert_eq!(Framing::default().look(text, LARGEST), Frame::Whole(end));
        // In pieces of any size.
        for piece in 1..text.len() {
            let mut framing = Framing::default();
            let mut found = None;
            let mut have = 0;
            while found.is_none() {
                have = (have + piece).min(text.len());
                match framing.look(&text[..have], LARGEST) {
                    Frame::Whole(length) => found = Some(length),
                    Frame::Needs(needed) => assert!(needed > have, "{needed} of {have}"),
                    Frame::TooLarge => panic!("it is small"),
                }
            }
            assert_eq!(found, Some(end), "pieces of {piece}");
        }
    }

    #[test]
    fn what_is_larger_than_allowed_is_told_before_it_comes() {
        assert_eq!(
            Framing::default().look(b"* 1 FETCH (BODY[] {999999999999}\r\n", LARGEST),
            Frame::TooLarge
        );
        assert_eq!(
            Framing::default().look(b"* OK {99999999999999999999}\r\n", LARGEST),
            Frame::Whole(29)
        );
        assert_eq!(Framing::default().look(&[b'x'; 2_000], LARGEST), Frame::TooLarge);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_framed_without_a_crash(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            if let Frame::Whole(length) = Framing::default().look(&bytes, LARGEST) {
                proptest::prop_assert!(length > 0 && length <= bytes.len());
            }
        }
    }
}
