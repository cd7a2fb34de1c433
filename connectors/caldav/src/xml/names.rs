//! The elements this connector understands, told apart by namespace and local name: prefixes are the server's affair.

/// WebDAV (RFC 4918) and its extensions.
pub(crate) const DAV: &str = "DAV:";
/// CalDAV (RFC 4791).
pub(crate) const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
/// Apple's calendar server, where `getctag` comes from
/// (<https://github.com/apple/ccs-calendarserver/blob/master/doc/Extensions/caldav-ctag.txt>).
pub(crate) const CALENDAR_SERVER: &str = "http://calendarserver.org/ns/";
/// Apple's clients, where `calendar-color` comes from.
pub(crate) const APPLE_ICAL: &str = "http://apple.com/ns/ical/";
/// SabreDAV (Nextcloud, Baïkal, Fruux): its errors carry a `message` for people.
pub(crate) const SABREDAV: &str = "http://sabredav.org/ns";

/// An element's meaning to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Multistatus,
    Error,
    Response,
    Href,
    Status,
    Propstat,
    Prop,
    SyncToken,
    Etag,
    ContentType,
    ResourceType,
    Collection,
    Calendar,
    DisplayName,
    Color,
    Ctag,
    Description,
    Timezone,
    CurrentUserPrincipal,
    HomeSet,
    ComponentSet,
    Component,
    PrivilegeSet,
    Privilege,
    SupportedReport,
    Report,
    Data,
    Message,
    Other,
}

impl Tag {
    pub(crate) fn of(namespace: &str, local: &str) -> Self {
        match namespace {
            DAV => Self::of_dav(local),
            CALDAV => match local {
                "calendar" => Self::Calendar,
                "calendar-data" => Self::Data,
                "calendar-description" => Self::Description,
                "calendar-home-set" => Self::HomeSet,
                "calendar-timezone" => Self::Timezone,
                "comp" => Self::Component,
                "supported-calendar-component-set" => Self::ComponentSet,
                _ => Self::Other,
            },
            CALENDAR_SERVER if local == "getctag" => Self::Ctag,
            APPLE_ICAL if local == "calendar-color" => Self::Color,
            SABREDAV if local == "message" => Self::Message,
            _ => Self::Other,
        }
    }

    fn of_dav(local: &str) -> Self {
        match local {
            "collection" => Self::Collection,
            "current-user-principal" => Self::CurrentUserPrincipal,
            "current-user-privilege-set" => Self::PrivilegeSet,
            "displayname" => Self::DisplayName,
            "error" => Self::Error,
            "getcontenttype" => Self::ContentType,
            "getetag" => Self::Etag,
            "href" => Self::Href,
            "multistatus" => Self::Multistatus,
            "privilege" => Self::Privilege,
            "prop" => Self::Prop,
            "propstat" => Self::Propstat,
            "report" => Self::Report,
            "resourcetype" => Self::ResourceType,
            "response" => Self::Response,
            "responsedescription" => Self::Message,
            "status" => Self::Status,
            "supported-report" => Self::SupportedReport,
            "sync-token" => Self::SyncToken,
            _ => Self::Other,
        }
    }

    /// Whether its character data is kept.
    pub(crate) fn has_text(self) -> bool {
        matches!(
            self,
            Self::Href
                | Self::Status
                | Self::SyncToken
                | Self::Etag
                | Self::ContentType
                | Self::DisplayName
                | Self::Color
                | Self::Ctag
                | Self::Description
                | Self::Timezone
                | Self::Data
                | Self::Message
        )
    }
}
