//! What sort of provider it is: how far it is from the one that everybody would wish for.
//!
//! Each quirk names a vendor that behaves so, with the page that says it. A quirk stands: it is not trouble that passes
//! (that is [`super::Fault`]), though a few of them can be calmed, and say so.

use std::collections::BTreeSet;

use model::Kind;
use rand::Rng;
use rand::seq::IndexedRandom as _;
use serde::{Deserialize, Serialize};

/// How series are laid out as objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One object holds the master and all overrides (CalDAV, RFC 4791 section 4.1).
    Whole,
    /// Master and each override are objects of their own; cancelled ones too, or listed by the master (Google Calendar,
    /// <https://developers.google.com/workspace/calendar/api/guides/recurringevents>).
    PerPart,
    /// Master and each changed occurrence are objects of their own. A cancelled one is none: the master lists it, and
    /// nothing brings it back (Microsoft Graph's `cancelledOccurrences`:
    /// <https://learn.microsoft.com/en-us/graph/api/resources/event>).
    Instances,
}

/// What an object's version is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versions {
    /// It names one state, and a write can be conditional on it.
    Strong,
    /// It changes with each change, and `If-Match` never matches it (RFC 9110 section 13.1.1: the comparison is strong).
    /// A compressing proxy makes strong tags weak (nginx since 1.7.3: <https://nginx.org/en/CHANGES>).
    Weak,
    /// A time of whole seconds, on which a write can be conditional: `If-Unmodified-Since`, RFC 9110 section 13.1.4.
    /// The connector tells states of one second apart by what they say.
    Second,
    /// There is none (Todoist names no version of a task: <https://developer.todoist.com/api/v1/>).
    None,
}

/// Who names a new object, and how a create can be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Creation {
    /// The client does, and a second create of the same name is refused (Google Calendar:
    /// <https://developers.google.com/workspace/calendar/api/v3/reference/events/insert>, CalDAV with `If-None-Match`).
    ClientId,
    /// The server does. A word of the client's can be searched for, and a second create with the same word is answered
    /// with the object of the first (Microsoft Graph's `transactionId`:
    /// <https://learn.microsoft.com/en-us/graph/api/resources/event>).
    Marker,
    /// The server does, and nothing ties the object to the create (HubSpot notes and tasks:
    /// <https://developers.hubspot.com/docs/api-reference/crm-notes-v3/guide>).
    Blind,
}

/// What its deltas say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deltas {
    /// What changed, and what was deleted.
    Full,
    /// What changed; what was deleted is found by its absence from a full list alone (Pipedrive: what
    /// was deleted for good is in no answer any more,
    /// <https://developers.pipedrive.com/changelog/post/permanent-deletion-logic-for-6-core-entities>).
    NoDeletes,
    /// There are none: each pull reads everything (CalDAV servers without RFC 6578).
    None,
}

/// How a place in its history is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamps {
    /// Times of change are rounded down to so much, in milliseconds: many rows have the same one (Salesforce's
    /// `SystemModstamp` has seconds).
    pub granularity_ms: i64,
    /// A row may become visible so long after its time of change, in milliseconds: a long transaction commits late, or
    /// an index follows late (HubSpot's search:
    /// <https://developers.hubspot.com/docs/api/crm/search>). Calmed, rows are visible at once.
    pub late_ms: i64,
}

/// A list that stops short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCap {
    /// After so many objects.
    pub objects: usize,
    /// Whether the connector knows of the cap (HubSpot's search ends at 10,000 results:
    /// <https://developers.hubspot.com/docs/api/crm/search>). Then it never calls a list that
    /// was cut complete, and gives no cursor for it.
    pub known: bool,
}

/// What an object that the account may not see (any more) looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hiding {
    /// A fetch is refused (`403`).
    Denied,
    /// A fetch says that there is no such object (`404`), as GitHub does
    /// (<https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>); the collection is listed with
    /// less access meanwhile.
    NotFound,
}

/// Whether a write makes the provider mail the guests of a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mails {
    /// It never does.
    Never,
    /// It does unless told not to (Google Calendar's `sendUpdates=none`:
    /// <https://developers.google.com/workspace/calendar/api/v3/reference/events/update>). The connector tells it.
    Suppressible,
    /// It always does (Microsoft Graph: <https://learn.microsoft.com/en-us/graph/api/event-update>).
    Always,
}

/// Declares the quirks with the value that an ideal provider has, and all that goes by their names.
macro_rules! quirks {
    ($( $(#[$doc:meta])* $name:ident : $ty:ty = $ideal:expr; )*) => {
        /// What sort of provider it is. Plain data; [`Quirks::NONE`] is the ideal one.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Quirks {
            $( $(#[$doc])* pub $name: $ty, )*
        }

        impl Quirks {
            /// The ideal provider.
            pub const NONE: Self = Self { $( $name: $ideal, )* };

            /// The names of all quirks.
            pub const NAMES: &'static [&'static str] = &[$( stringify!($name), )*];

            /// The names of the quirks in which it differs from the ideal provider.
            #[must_use]
            pub fn active(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $( if self.$name != Self::NONE.$name {
                    names.push(stringify!($name));
                } )*
                names
            }

            /// The quirks in which it differs from the ideal provider, and how.
            #[must_use]
            pub fn values(&self) -> Vec<String> {
                let mut values = Vec::new();
                $( if self.$name != Self::NONE.$name {
                    values.push(format!(concat!(stringify!($name), ": {:?}"), self.$name));
                } )*
                values
            }

            /// The same provider without one of its quirks; `None` when it has none of that name.
            #[must_use]
            pub fn without(&self, name: &str) -> Option<Self> {
                let mut less = self.clone();
                match name {
                    $( stringify!($name) => less.$name = Self::NONE.$name, )*
                    _ => return None,
                }
                (less != *self).then_some(less)
            }
        }
    };
}

quirks! {
    /// How series are laid out.
    layout: Layout = Layout::Whole;
    /// What versions are worth.
    versions: Versions = Versions::Strong;
    /// Versions change although nothing did, and the object comes in the next delta (scheduling
    /// servers touch objects by themselves, which is why RFC 6638 section 3.2.10 has a second tag beside the `ETag`).
    restless: bool = false;
    /// Who names a new object.
    creation: Creation = Creation::ClientId;
    /// An update replaces the whole object: what the sent one lacks is lost, the vendor's own fields too (CalDAV `PUT`,
    /// RFC 4918 section 9.7). Otherwise it changes what it names.
    whole_put: bool = false;
    /// Titles and names are cut after so many characters (Graph's `subject`: 255).
    title_max: Option<usize> = None;
    /// Descriptions and notes are cut after so many characters (Google's `description`: 8192).
    notes_max: Option<usize> = None;
    /// A zone is replaced by another one with the same rules (Exchange keeps Windows zones, which stand for several:
    /// <https://learn.microsoft.com/en-us/graph/api/resources/datetimetimezone>).
    zones: bool = false;
    /// Sets come back in another order, addresses in capitals: visible in what it sends, gone in canonical form.
    resorts: bool = false;
    /// Rich text comes back as the vendor writes it (Graph wraps `body.content` in a document:
    /// <https://learn.microsoft.com/en-us/graph/api/resources/itembody>).
    html: bool = false;
    /// The connector does not know how the provider rewrites what it is sent: its projection says nothing of it.
    unannounced: bool = false;
    /// A field that is accepted and never kept, though the connector claims to write it (a CalDAV server
    /// need not keep non-standard properties: RFC 4791 section 5.3.3).
    drops: Option<String> = None;
    /// Fields that the provider does not have; the connector does not claim them.
    lacks: BTreeSet<String> = BTreeSet::new();
    /// Fields that the connector reads and cannot write (Google's `organizer`).
    read_only: BTreeSet<String> = BTreeSet::new();
    /// The provider gives its own UID and keeps it (Graph's `iCalUId` is read-only).
    own_uid: bool = false;
    /// What deltas say.
    deltas: Deltas = Deltas::Full;
    /// Deltas say of an object only what changed, `null` for what was cleared (Microsoft Graph's deltas of directory
    /// objects: <https://learn.microsoft.com/en-us/graph/delta-query-overview>).
    sparse_deltas: bool = false;
    /// History is told by coarse times of change instead of a counter; the connector reads again what lies within an
    /// overlap, and pages by time and id.
    timestamps: Option<Timestamps> = None;
    /// Some cursors have expired when they are used first (Graph's `410`:
    /// <https://learn.microsoft.com/en-us/graph/delta-query-overview#synchronization-reset>). Calmed, none does.
    dying_cursors: bool = false;
    /// Objects per page.
    page_size: usize = 100;
    /// Full lists stop short. Calmed, they do not, and the cursors of lists that did expire.
    list_cap: Option<ListCap> = None;
    /// What an object out of sight looks like.
    hiding: Hiding = Hiding::Denied;
    /// A moved object has a new id (Graph, unless immutable ids are asked for:
    /// <https://learn.microsoft.com/en-us/graph/outlook-immutable-id>).
    ids_change_on_move: bool = false;
    /// Whether guests are mailed.
    mails: Mails = Mails::Never;
    /// What was written is rewritten once more after so many milliseconds: titles get a capital (calendar processing
    /// at Exchange changes subjects by itself, `AddOrganizerToSubject`:
    /// <https://learn.microsoft.com/en-us/powershell/module/exchange/set-calendarprocessing>).
    rewrites_later_ms: Option<i64> = None;
}

impl Default for Quirks {
    fn default() -> Self {
        Self::NONE
    }
}

/// Fields that a provider may drop, lack or keep to itself. None of them decides when an event takes place.
fn optional_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Event => &[
            "color",
            "categories",
            "url",
            "conferencing",
            "location",
            "visibility",
            "reminders",
            "attachments",
        ],
        Kind::Contact => &["job_title", "phones", "tags", "my_note", "company", "birthday"],
        Kind::Calendar | Kind::Folder | Kind::Message => &[],
    }
}

impl Quirks {
    /// A provider as they come: each quirk by chance, one in eight with none at all.
    #[must_use]
    pub fn random(rng: &mut impl Rng, kind: Kind) -> Self {
        let mut quirks = Self::NONE;
        if kind == Kind::Event {
            quirks.layout = pick(
                rng,
                0.6,
                quirks.layout,
                &[Layout::PerPart, Layout::PerPart, Layout::Instances],
            );
        }
        if rng.random_bool(0.125) {
            return quirks;
        }
        quirks.protocol(rng);
        quirks.rewriting(rng, kind);
        quirks
    }

    fn protocol(&mut self, rng: &mut impl Rng) {
        self.versions = pick(
            rng,
            0.3,
            self.versions,
            &[Versions::Weak, Versions::Second, Versions::None],
        );
        self.restless = rng.random_bool(0.15);
        self.creation = pick(
            rng,
            0.25,
            self.creation,
            &[Creation::Marker, Creation::Marker, Creation::Blind],
        );
        self.whole_put = rng.random_bool(0.4);
        self.deltas = pick(rng, 0.3, self.deltas, &[Deltas::NoDeletes, Deltas::None]);
        self.sparse_deltas = self.deltas != Deltas::None && rng.random_bool(0.2);
        if rng.random_bool(0.25) {
            self.timestamps = Some(Timestamps {
                granularity_ms: *[1, 1_000, 60_000].choose(rng).unwrap_or(&1_000),
                late_ms: *[0, 2_000, 120_000].choose(rng).unwrap_or(&0),
            });
        }
        self.dying_cursors = rng.random_bool(0.15);
        if rng.random_bool(0.6) {
            self.page_size = rng.random_range(1..=7);
        }
        if rng.random_bool(0.1) {
            self.list_cap = Some(ListCap {
                objects: rng.random_range(1..=6),
                known: rng.random_bool(0.5),
            });
        }
        self.hiding = pick(rng, 0.5, self.hiding, &[Hiding::NotFound]);
        self.ids_change_on_move = rng.random_bool(0.4);
    }

    fn rewriting(&mut self, rng: &mut impl Rng, kind: Kind) {
        self.title_max = rng.random_bool(0.15).then(|| rng.random_range(16..=30));
        self.notes_max = rng.random_bool(0.15).then(|| rng.random_range(20..=80));
        self.zones = kind == Kind::Event && rng.random_bool(0.2);
        self.resorts = rng.random_bool(0.2);
        self.html = rng.random_bool(0.2);
        self.unannounced = rng.random_bool(0.4);
        let fields = optional_fields(kind);
        let mut some = |chance: f64| -> Option<String> {
            let field = fields.choose(rng).filter(|_| rng.random_bool(chance));
            field.map(|field| (*field).to_owned())
        };
        self.drops = some(0.1);
        self.lacks = some(0.2).into_iter().collect();
        self.read_only = some(0.1).into_iter().collect();
        self.own_uid = rng.random_bool(0.2);
        if kind == Kind::Event {
            self.mails = pick(
                rng,
                0.5,
                self.mails,
                &[Mails::Suppressible, Mails::Suppressible, Mails::Always],
            );
        }
        if rng.random_bool(0.1) {
            self.rewrites_later_ms = Some(rng.random_range(1..=10) * 60_000);
        }
    }

    /// Whether it has what a client sends rewritten at all.
    pub(super) fn rewrites(&self) -> bool {
        self.title_max.is_some()
            || self.notes_max.is_some()
            || self.zones
            || self.html
            || self.drops.is_some()
            || !self.lacks.is_empty()
            || self.rewrites_later_ms.is_some()
    }
}

fn pick<T: Copy>(rng: &mut impl Rng, chance: f64, otherwise: T, some: &[T]) -> T {
    if rng.random_bool(chance) {
        some.choose(rng).copied().unwrap_or(otherwise)
    } else {
        otherwise
    }
}
