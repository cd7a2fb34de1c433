//! DURATION values (RFC 5545 section 3.3.6): weeks and days are of the calendar, the rest is time that passes.

use std::fmt::Write as _;

/// A duration as it is written, signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ical) struct Duration {
    pub(in crate::ical) days: i64,
    pub(in crate::ical) seconds: i64,
}

/// Largest number that a part may have; larger ones are nonsense and must not overflow anything.
const MAX_PART: i64 = 1_000_000_000;

impl Duration {
    /// Reads `[+-]P[nW][nD][T[nH][nM][nS]]`.
    pub(in crate::ical) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, rest) = match text.as_bytes().first()? {
            b'-' => (-1, &text[1..]),
            b'+' => (1, &text[1..]),
            _ => (1, text),
        };
        let mut duration = Self { days: 0, seconds: 0 };
        let (mut number, mut digits, mut parts, mut in_time) = (0i64, 0, 0, false);
        for c in rest.strip_prefix(['P', 'p'])?.chars() {
            if let Some(digit) = c.to_digit(10) {
                number = number * 10 + i64::from(digit);
                digits += 1;
                if number > MAX_PART {
                    return None;
                }
                continue;
            }
            if matches!(c, 'T' | 't') && digits == 0 && !in_time {
                in_time = true;
                continue;
            }
            if digits == 0 {
                return None;
            }
            match (c.to_ascii_uppercase(), in_time) {
                ('W', false) => duration.days += number * 7,
                ('D', false) => duration.days += number,
                ('H', true) => duration.seconds += number * 3600,
                ('M', true) => duration.seconds += number * 60,
                ('S', true) => duration.seconds += number,
                _ => return None,
            }
            (number, digits, parts) = (0, 0, parts + 1);
        }
        (digits == 0 && parts > 0).then_some(Self {
            days: sign * duration.days,
            seconds: sign * duration.seconds,
        })
    }

    /// Writes it, in days, hours, minutes and seconds.
    pub(in crate::ical) fn format(self) -> String {
        let negative = self.days < 0 || self.seconds < 0;
        let mut text = String::from(if negative { "-P" } else { "P" });
        let (days, seconds) = (self.days.unsigned_abs(), self.seconds.unsigned_abs());
        if days > 0 {
            let _ = write!(text, "{days}D");
        }
        if seconds > 0 || days == 0 {
            text.push('T');
            for (size, unit) in [(3600, 'H'), (60, 'M'), (1, 'S')] {
                let rest = if unit == 'H' {
                    seconds
                } else {
                    seconds % (size * 60)
                };
                let count = rest / size;
                if count > 0 {
                    let _ = write!(text, "{count}{unit}");
                }
            }
            if text.ends_with('T') {
                text.push_str("0S");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, days, seconds) in [
            ("P15DT5H0M20S", 15, 18_020),
            ("P7W", 49, 0),
            ("-PT15M", 0, -900),
            ("+PT1H30M", 0, 5400),
            ("PT0S", 0, 0),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(duration, Duration { days, seconds }, "{text}");
            assert_eq!(Duration::parse(&duration.format()), Some(duration), "{text}");
        }
        assert_eq!(
            Duration {
                days: 0,
                seconds: -900
            }
            .format(),
            "-PT15M"
        );
        assert_eq!(
            Duration {
                days: 1,
                seconds: 3661
            }
            .format(),
            "P1DT1H1M1S"
        );
    }

    #[test]
    fn nonsense_is_no_duration() {
        for text in [
            "",
            "P",
            "PT",
            "P1",
            "1H",
            "PT1D",
            "P1H",
            "PTT1H",
            "P99999999999999999999D",
            "P-1D",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }
}
