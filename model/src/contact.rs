//! The kind `contact`: a person or an organization in an address book. A flat kind: no series, no overrides.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::canonical::{Canonical, already_canonical};
use crate::event::Description;
use crate::record::kind;
use crate::schema::MergeClass::{Instant, KeyedSet, Map as MapMerge, Scalar, Set, Text};

kind! {
    /// A contact: a person or an organization.
    Contact, "contact" {
        /// The name to show.
        display_name: String => Text, Shared;
        /// Given name.
        given_name: String => Scalar, Shared;
        /// Family name.
        family_name: String => Scalar, Shared;
        /// The organization that they belong to.
        company: String => Scalar, Shared;
        /// What they do there.
        job_title: String => Scalar, Shared;
        /// Mail addresses, told apart by address.
        emails: Vec<Email> => KeyedSet { key: "address" }, Shared;
        /// Telephone numbers, told apart by number.
        phones: Vec<Phone> => KeyedSet { key: "number" }, Shared;
        /// Free labels.
        tags: Vec<String> => Set, Shared;
        /// Notes, plain and rich.
        notes: Description => Text, Shared;
        /// Day of birth.
        #[schema(value_type = Option<String>, example = "1985-04-01")]
        birthday: Date => Instant, Shared;
        /// What the owner of this account notes for themselves.
        my_note: String => Scalar, PerLink;
        /// vCard UID, the same for all copies of a contact.
        uid: String => Scalar, Shared, read_only;
        /// When the provider says it last changed, RFC 3339 in UTC. Shown, never compared between providers.
        updated_at: String => Instant, PerLink, read_only;
        /// The organization's own fields.
        custom: Map<String, Value> => MapMerge, Shared;
    }
}

already_canonical!(Date);

/// A mail address of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// Mail address in lower case, without `mailto:`.
    pub address: String,
    /// What it is for: `work`, `home`, or any word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Sorted by address; of two entries with one address the first stays.
impl Canonical for Vec<Email> {
    fn canonical(mut self) -> Option<Self> {
        for email in &mut self {
            email.address = email.address.trim().to_lowercase();
            email.label = email.label.take().and_then(Canonical::canonical);
        }
        self.retain(|email| !email.address.is_empty());
        self.sort_by(|a, b| a.address.cmp(&b.address));
        self.dedup_by(|later, earlier| later.address == earlier.address);
        (!self.is_empty()).then_some(self)
    }
}

/// A telephone number of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Phone {
    /// The number as it is dialled or was written down, without `tel:`.
    pub number: String,
    /// What it is for: `work`, `mobile`, or any word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Sorted by number; of two entries with one number the first stays.
impl Canonical for Vec<Phone> {
    fn canonical(mut self) -> Option<Self> {
        for phone in &mut self {
            phone.number = phone.number.trim().to_owned();
            phone.label = phone.label.take().and_then(Canonical::canonical);
        }
        self.retain(|phone| !phone.number.is_empty());
        self.sort_by(|a, b| a.number.cmp(&b.number));
        self.dedup_by(|later, earlier| later.number == earlier.number);
        (!self.is_empty()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use serde_json::json;

    fn canonical(field: &str, value: Value) -> Value {
        let fields = [(field.to_owned(), value)].into();
        let mut fields = Kind::Contact.schema().canonical(fields).unwrap();
        fields.remove(field).unwrap()
    }

    #[test]
    fn addresses_and_numbers_are_sets_by_what_reaches_the_person() {
        let emails = json!([{"address": " Zoe@Example.org", "label": ""}, {"address": "al@example.org"},
            {"address": "zoe@example.ORG", "label": "home"}]);
        assert_eq!(
            canonical("emails", emails),
            json!([{"address": "al@example.org"}, {"address": "zoe@example.org"}])
        );
        let phones = json!([{"number": "+49 30 1"}, {"number": " "}, {"number": "+1 555", "label": "work"}]);
        assert_eq!(
            canonical("phones", phones),
            json!([{"number": "+1 555", "label": "work"}, {"number": "+49 30 1"}])
        );
    }

    #[test]
    fn a_birthday_is_a_day() {
        assert_eq!(canonical("birthday", json!("1985-04-01")), json!("1985-04-01"));
        let wrong = [("birthday".to_owned(), json!("1985-13-01"))].into();
        assert_eq!(
            Kind::Contact.schema().canonical(wrong).unwrap_err().field,
            "birthday"
        );
    }

    #[test]
    fn a_contact_has_nothing_of_a_series() {
        let schema = Kind::Contact.schema();
        for name in ["start", "end", "recurrence", "status", "busy"] {
            assert!(schema.field(name).is_none(), "{name}");
        }
    }
}
