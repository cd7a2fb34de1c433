//! Identifiers: time-ordered, prefixed with what they name (`conn_01jd...`), so that a log line explains itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, and its order is the order of the numbers.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Longest identifier accepted from outside, in bytes.
const MAX_BYTES: usize = 64;

/// 26 characters that sort by time: 48 bits of epoch milliseconds, then 80 random bits.
#[must_use]
pub fn time_ordered(epoch_ms: u64, random: u128) -> String {
    let mut bits = (u128::from(epoch_ms) << 80) | (random & ((1 << 80) - 1));
    let mut text = [0u8; 26];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// Text that is not an identifier of the wanted sort.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier that starts with `{prefix}`")]
pub struct InvalidId {
    /// The prefix that was expected, with its underscore.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// What every identifier of this sort begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier from a moment (epoch milliseconds) and randomness, both given by the caller's ports.
            #[must_use]
            pub fn new(epoch_ms: u64, random: u128) -> Self {
                Self(format!("{}{}", $prefix, time_ordered(epoch_ms, random)))
            }

            /// The text form, as stored and as shown.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let rest = text.strip_prefix($prefix).ok_or(InvalidId { prefix: $prefix })?;
                let clean = !rest.is_empty()
                    && text.len() <= MAX_BYTES
                    && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                if clean { Ok(Self(text.to_owned())) } else { Err(InvalidId { prefix: $prefix }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )*};
}

ids! {
    /// A tenant.
    OrganizationId = "org_";
    /// A person who acts in an organization.
    UserId = "user_";
    /// A key that acts in an organization. Names the key; it is not the secret.
    ApiKeyId = "key_";
    /// An authorised account at a provider.
    ConnectionId = "conn_";
    /// A container on a connection: a calendar, a mailbox folder, a project.
    CollectionId = "coll_";
    /// The hub's object of a kind.
    RecordId = "rec_";
    /// The tie between a record and one remote object on one connection.
    LinkId = "link_";
    /// A set of collections that hold the same records.
    MirrorId = "mir_";
    /// A remote write, written down before it is sent.
    IntentId = "int_";
    /// A clash of edits and the value that lost.
    ConflictId = "conf_";
    /// A piece of background work.
    JobId = "job_";
    /// Something a provider sent that could not be taken in, kept with its reason.
    QuarantineId = "quar_";
    /// An address of a customer that is told what changes.
    WebhookEndpointId = "whe_";
    /// A message to such an address; the same however often it is sent.
    OutboundDeliveryId = "msg_";
    /// A webhook that came in.
    InboundId = "in_";
    /// A registration at a vendor that serves many connections.
    ProviderAppId = "app_";
    /// A link at which people are asked to connect their accounts.
    ConnectLinkId = "clink_";
    /// A browser's way to a vendor, to give consent, and back.
    JourneyId = "jour_";
    /// A line of the audit: a call at a vendor.
    AuditId = "audit_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_identifiers_sort_after_earlier_ones() {
        let early = RecordId::new(1_700_000_000_000, u128::MAX);
        let late = RecordId::new(1_700_000_000_001, 0);
        assert!(early < late);
        assert_eq!(early.as_str().len(), "rec_".len() + 26);
    }

    #[test]
    fn text_of_another_sort_is_refused() {
        assert!("conn_01".parse::<RecordId>().is_err());
        assert!("rec_".parse::<RecordId>().is_err());
        assert!("rec_a/b".parse::<RecordId>().is_err());
        assert!(format!("rec_{}", "a".repeat(80)).parse::<RecordId>().is_err());
        assert!("rec_01jd3m".parse::<RecordId>().is_ok());
    }
}
