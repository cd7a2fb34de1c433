//! How a server deviates from the happy path: plain data that a test sets while the server runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The kinds of request that the server tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// OPTIONS
    Options,
    /// PROPFIND
    Propfind,
    /// REPORT `CALDAV:calendar-multiget`
    Multiget,
    /// REPORT `CALDAV:calendar-query`
    CalendarQuery,
    /// REPORT `DAV:sync-collection`, each page
    SyncCollection,
    /// REPORT `CALDAV:free-busy-query`
    FreeBusyQuery,
    /// GET or HEAD
    Get,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// MKCALENDAR
    Mkcalendar,
    /// Anything else, unknown reports included
    Other,
}

/// Deviations; the default is a server that follows the specifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// `/.well-known/caldav` is a 404; the root path answers PROPFIND instead (RFC 6764 section 6, last resort).
    pub no_well_known: bool,
    /// Hrefs are whole URLs (allowed by RFC 4918 section 8.3; iCloud's `calendar-home-set` is one).
    pub absolute_hrefs: bool,
    /// The DAV namespace is the default one, without prefix, as in iCloud's answers.
    pub dav_without_prefix: bool,
    /// Calendar data comes in a CDATA section.
    pub calendar_data_as_cdata: bool,

    /// No entity tags anywhere. Preconditions are still honoured: `If-None-Match: *` works.
    pub no_etags: bool,
    /// No `ETag` header on the answer to PUT (RFC 4791 section 5.3.4 allows it).
    pub no_etag_on_put: bool,
    /// An `ETag` header on the answer to PUT even though the data was rewritten, which RFC 4791 forbids.
    pub etag_despite_rewrite: bool,
    /// The `sync-collection` report does not exist, nor the `sync-token` property.
    pub no_sync_collection: bool,
    /// The `getctag` property does not exist.
    pub no_ctag: bool,
    /// Largest number of members in one answer to `sync-collection`; the rest is announced with 507
    /// (RFC 6578 section 3.6).
    pub page_size: Option<usize>,
    /// Deleted members are never reported by `sync-collection`.
    pub omit_deletes: bool,
    /// Every sync token is refused with `DAV:valid-sync-token`, except the empty one.
    pub expire_sync_tokens: bool,

    /// Zone names to replace when an object is stored, old to new.
    pub rewrite_zones: BTreeMap<String, String>,
    /// Longest SUMMARY, DESCRIPTION and LOCATION kept, in characters.
    pub truncate_text: Option<usize>,
    /// Properties, parameters and components that RFC 5545 does not define are dropped when an object is stored.
    pub drop_unknown_properties: bool,
    /// Properties are sorted by name within their component when an object is stored.
    pub resort_properties: bool,
    /// An object whose TZID has no VTIMEZONE is refused (RFC 5545 section 3.2.19 demands one).
    pub require_vtimezone: bool,

    /// Calendars, by name, that may be read but not written; besides those configured so.
    pub read_only: BTreeSet<String>,
    /// Objects, by iCalendar UID, that are always refused.
    pub reject_uids: BTreeMap<String, Rejection>,
    /// Resources, by name, whose calendar data is served as malformed iCalendar.
    pub malformed_objects: BTreeSet<String>,

    /// Requests are answered 401 from a certain one on.
    pub unauthorized_from: Option<UnauthorizedFrom>,
    /// Something else than the right answer.
    pub bad_answer: Option<BadAnswer>,
}

/// Refusal of one object, whenever it is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Status of a GET of it, and of its part in a report that asks for calendar data; none: reading works.
    pub read_status: Option<u16>,
    /// Status of a PUT or DELETE of it; none: writing works.
    pub write_status: Option<u16>,
}

impl Rejection {
    /// Reads and writes both answer with this status.
    pub fn always(status: u16) -> Self {
        Self {
            read_status: Some(status),
            write_status: Some(status),
        }
    }

    /// Only writes are refused.
    pub fn of_writes(status: u16) -> Self {
        Self {
            read_status: None,
            write_status: Some(status),
        }
    }
}

/// The nth request of a kind, counted from 1 since the quirks were last set, and all after it, are answered 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnauthorizedFrom {
    /// Kind of request.
    pub operation: Operation,
    /// First one that is refused.
    pub nth: u64,
}

/// Something else than the right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadAnswer {
    /// Kind of request; none means all.
    pub operation: Option<Operation>,
    /// What comes instead.
    pub form: BadAnswerForm,
}

/// Forms of wrong answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadAnswerForm {
    /// Well-formed XML so far, with a text that goes on for this many bytes; streamed, never held in memory.
    HugeBody {
        /// Size of the whole body.
        size_bytes: u64,
    },
    /// XML whose internal entities expand exponentially ("billion laughs").
    EntityExpansion,
    /// A multistatus that is not well-formed.
    MalformedXml,
    /// 200 with an HTML login page.
    HtmlLoginPage,
    /// The request takes effect, and half of the right answer arrives in a complete HTTP message.
    Halved,
    /// The request takes effect, and the connection ends in the middle of the right answer.
    CutMidway,
}
