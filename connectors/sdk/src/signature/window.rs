//! When a delivery says it was sent, and how far that may be from now.

use super::refusal::{Refusal, Refused};

/// How far a delivery's time may be from the present, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    seconds: u32,
}

impl Window {
    /// Five minutes, as Stripe, Slack and Standard Webhooks have it.
    pub const DEFAULT: Self = Self { seconds: 300 };

    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        Self { seconds }
    }

    /// Its length one way, in milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.seconds as i64 * 1_000
    }

    /// Whether a time of whole units is near enough; the limits themselves are.
    pub(super) fn admit(self, sent_ms: i64, now_ms: i64) -> Result<(), Refused> {
        let seconds = self.seconds;
        if sent_ms < now_ms.saturating_sub(self.as_ms()) {
            let detail =
                format!("it was sent more than {seconds} seconds ago, or this machine's clock is fast");
            return Err(Refused::new(Refusal::Stale, detail));
        }
        if sent_ms > now_ms.saturating_add(self.as_ms()) {
            let detail = format!(
                "it says it was sent more than {seconds} seconds from now; this machine's clock may be slow"
            );
            return Err(Refused::new(Refusal::Future, detail));
        }
        Ok(())
    }
}

/// In what a vendor counts time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Epoch seconds.
    Seconds,
    /// Epoch milliseconds.
    Milliseconds,
}

/// A time of digits alone, in milliseconds.
pub(super) fn parse(text: &str, unit: Unit, name: &str) -> Result<i64, Refused> {
    let digits = !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<i64> = text.parse().ok().filter(|_| digits);
    let number = number.ok_or_else(|| super::header::malformed(name, "is no time"))?;
    Ok(match unit {
        Unit::Seconds => number.saturating_mul(1_000),
        Unit::Milliseconds => number,
    })
}
