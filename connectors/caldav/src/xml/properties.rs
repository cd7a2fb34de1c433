//! What an answer says: a document, its responses, and the properties that each of them has.

use bytes::Bytes;

/// An answer's body.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Document {
    /// What the body is.
    pub(crate) root: Root,
    /// One per resource.
    pub(crate) responses: Vec<DavResponse>,
    /// The token of `sync-collection` (RFC 6578 section 6.2).
    pub(crate) sync_token: Option<String>,
    /// The conditions that failed: local names of the elements in `DAV:error` (RFC 4918 section 16).
    pub(crate) conditions: Vec<String>,
    /// The server's own words.
    pub(crate) message: Option<String>,
}

/// The root element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Root {
    /// `DAV:multistatus`
    Multistatus,
    /// `DAV:error`
    Error,
    /// Anything else, such as `html`.
    #[default]
    Other,
}

/// What is said of one resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DavResponse {
    /// Where it is; as sent.
    pub(crate) href: String,
    /// The status of the resource as a whole.
    pub(crate) status: Option<u16>,
    /// Properties that were found.
    pub(crate) found: Properties,
    /// Status of the calendar data, when that could not be had.
    pub(crate) data_refused: Option<u16>,
}

/// Properties of a resource; absent means not said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Properties {
    pub(crate) etag: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) ctag: Option<String>,
    pub(crate) sync_token: Option<String>,
    pub(crate) is_collection: bool,
    pub(crate) is_calendar: bool,
    pub(crate) display_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) color: Option<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) home_sets: Vec<String>,
    pub(crate) components: Option<Vec<String>>,
    pub(crate) privileges: Option<Vec<String>>,
    pub(crate) reports: Vec<String>,
    pub(crate) data: Option<Bytes>,
}

impl Properties {
    /// Takes over what `other` says.
    pub(crate) fn merge(&mut self, other: Self) {
        fn take<T>(mine: &mut Option<T>, theirs: Option<T>) {
            if theirs.is_some() {
                *mine = theirs;
            }
        }
        take(&mut self.etag, other.etag);
        take(&mut self.content_type, other.content_type);
        take(&mut self.ctag, other.ctag);
        take(&mut self.sync_token, other.sync_token);
        self.is_collection |= other.is_collection;
        self.is_calendar |= other.is_calendar;
        take(&mut self.display_name, other.display_name);
        take(&mut self.description, other.description);
        take(&mut self.color, other.color);
        take(&mut self.timezone, other.timezone);
        take(&mut self.principal, other.principal);
        self.home_sets.extend(other.home_sets);
        take(&mut self.components, other.components);
        take(&mut self.privileges, other.privileges);
        self.reports.extend(other.reports);
        take(&mut self.data, other.data);
    }

    /// Whether events can be stored in it; a calendar that names no components takes all (RFC 4791 section 5.2.3).
    pub(crate) fn takes_events(&self) -> bool {
        self.components
            .as_ref()
            .is_none_or(|components| components.iter().any(|name| name.eq_ignore_ascii_case("VEVENT")))
    }

    /// Whether the account may write. A server that names no privileges is believed until it refuses.
    pub(crate) fn may_write(&self) -> bool {
        self.privileges.as_ref().is_none_or(|privileges| {
            privileges
                .iter()
                .any(|name| matches!(name.as_str(), "all" | "write" | "write-content" | "bind"))
        })
    }

    /// Whether it can tell what changed since a token.
    pub(crate) fn reports_changes(&self) -> bool {
        self.reports.iter().any(|name| name == "sync-collection")
    }
}
