//! Reads multistatus and error bodies: one pass, nothing recursive, depth and text bounded, no document type and so
//! no entities. Calendar data is a slice of the answer wherever the answer holds it in one piece.

use std::borrow::Cow;

use bytes::Bytes;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, XmlVersion};

use super::names::Tag;
use super::properties::{DavResponse, Document, Properties, Root};

/// Real answers nest about ten deep.
const MAX_DEPTH: usize = 64;
/// Longest text of anything but calendar data, in bytes. A calendar's time zone is the longest that occurs.
const MAX_TEXT_BYTES: usize = 256 * 1024;
/// How many names of privileges, reports, components or conditions are kept of one list.
const MAX_NAMES: usize = 256;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnreadableXml {
    #[error("it is not well-formed XML: {0}")]
    Malformed(String),
    #[error("it is not text in UTF-8")]
    NotUtf8,
    #[error("it breaks off in the middle")]
    CutShort,
    #[error("it declares a document type, which is refused since entities can be declared in it")]
    DocumentType,
    #[error("it uses an entity that XML does not define")]
    UnknownEntity,
    #[error("it is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("it holds a text of more than {MAX_TEXT_BYTES} bytes where a short one belongs")]
    TooLong,
}

impl From<quick_xml::Error> for UnreadableXml {
    fn from(error: quick_xml::Error) -> Self {
        match error {
            quick_xml::Error::Syntax(_) => Self::CutShort,
            other => Self::Malformed(other.to_string()),
        }
    }
}

/// Reads a body.
pub(crate) fn read(body: &Bytes) -> Result<Document, UnreadableXml> {
    let text = std::str::from_utf8(body).map_err(|_| UnreadableXml::NotUtf8)?;
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}').trim_start());
    reader.config_mut().expand_empty_elements = true;
    let mut building = Building::new(body);
    loop {
        let (resolved, event) = reader.read_resolved_event()?;
        match event {
            Event::Start(start) => {
                let tag = match resolved {
                    ResolveResult::Bound(namespace) => Tag::of(namespace.0, start.local_name().into_inner()),
                    ResolveResult::Unbound | ResolveResult::Unknown(_) => Tag::Other,
                };
                building.open(tag, &start)?;
            }
            Event::End(_) => building.close(),
            Event::Text(text) => building.text(text.into_inner())?,
            Event::CData(text) => building.text(text.into_inner())?,
            Event::GeneralRef(reference) => building.text(Cow::Owned(character(&reference)?))?,
            Event::DocType(_) => return Err(UnreadableXml::DocumentType),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return building.finish(),
        }
    }
}

/// Characters by number and the five entities of XML itself; there are no others without a document type.
fn character(reference: &BytesRef<'_>) -> Result<String, UnreadableXml> {
    if let Some(character) = reference.resolve_char_ref()? {
        return Ok(character.to_string());
    }
    resolve_predefined_entity(reference)
        .map(str::to_owned)
        .ok_or(UnreadableXml::UnknownEntity)
}

/// Character data as it comes: most is one piece of the answer and is never copied.
#[derive(Debug, Default)]
enum Piece {
    #[default]
    Nothing,
    Slice(Bytes),
    Copied(String),
}

impl Piece {
    fn bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::Slice(slice) => slice,
            Self::Copied(text) => Bytes::from(text),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Slice(slice) => slice.len(),
            Self::Copied(text) => text.len(),
        }
    }

    /// Line ends stay as they are: iCalendar ends its lines with CRLF (RFC 5545 section 3.1), and what a report
    /// brings is then byte for byte what GET brings.
    fn push(&mut self, body: &Bytes, more: Cow<'_, str>) {
        *self = match (std::mem::take(self), more) {
            (Self::Nothing, Cow::Borrowed(more)) => Self::Slice(body.slice_ref(more.as_bytes())),
            (Self::Nothing, Cow::Owned(more)) => Self::Copied(more),
            (Self::Slice(slice), more) => {
                let mut text = String::with_capacity((slice.len() + more.len()) * 2);
                // A slice was text when it was taken.
                text.push_str(&String::from_utf8_lossy(&slice));
                text.push_str(&more);
                Self::Copied(text)
            }
            (Self::Copied(mut text), more) => {
                text.push_str(&more);
                Self::Copied(text)
            }
        };
    }

    fn trimmed(self) -> Option<String> {
        let bytes = self.bytes();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

struct Building<'b> {
    body: &'b Bytes,
    open: Vec<(Tag, Piece)>,
    begun: bool,
    document: Document,
    response: DavResponse,
    /// Of the propstat that is being read.
    properties: Properties,
    status: Option<u16>,
    names_data: bool,
}

impl<'b> Building<'b> {
    fn new(body: &'b Bytes) -> Self {
        Self {
            body,
            open: Vec::with_capacity(16),
            begun: false,
            document: Document::default(),
            response: DavResponse::default(),
            properties: Properties::default(),
            status: None,
            names_data: false,
        }
    }

    fn parent(&self) -> Option<Tag> {
        self.open.last().map(|(tag, _)| *tag)
    }

    fn open(&mut self, tag: Tag, start: &BytesStart<'_>) -> Result<(), UnreadableXml> {
        if self.open.len() >= MAX_DEPTH {
            return Err(UnreadableXml::TooDeep);
        }
        match self.parent() {
            None if self.begun => return Err(UnreadableXml::Malformed("it has two roots".to_owned())),
            None => {
                self.begun = true;
                self.document.root = match tag {
                    Tag::Multistatus => Root::Multistatus,
                    Tag::Error => Root::Error,
                    _ => Root::Other,
                };
            }
            Some(Tag::Error) => note(&mut self.document.conditions, start.local_name().into_inner()),
            Some(Tag::Privilege) => {
                let privileges = self.properties.privileges.get_or_insert_default();
                note(privileges, start.local_name().into_inner());
            }
            Some(Tag::Report) => note(&mut self.properties.reports, start.local_name().into_inner()),
            Some(Tag::ResourceType) if tag == Tag::Collection => self.properties.is_collection = true,
            Some(Tag::ResourceType) if tag == Tag::Calendar => self.properties.is_calendar = true,
            Some(Tag::ComponentSet) if tag == Tag::Component => {
                if let Some(name) = attribute(start, "name")? {
                    note(self.properties.components.get_or_insert_default(), &name);
                }
            }
            Some(_) => {}
        }
        match tag {
            Tag::Response => self.response = DavResponse::default(),
            Tag::Propstat => {
                self.properties = Properties::default();
                (self.status, self.names_data) = (None, false);
            }
            Tag::Data => self.names_data = true,
            Tag::ComponentSet => self.properties.components = Some(Vec::new()),
            Tag::PrivilegeSet => self.properties.privileges = Some(Vec::new()),
            _ => {}
        }
        self.open.push((tag, Piece::Nothing));
        Ok(())
    }

    fn text(&mut self, more: Cow<'_, str>) -> Result<(), UnreadableXml> {
        let Some((tag, piece)) = self.open.last_mut() else {
            if more.trim().is_empty() {
                return Ok(());
            }
            return Err(UnreadableXml::Malformed(
                "there is text outside of any element".to_owned(),
            ));
        };
        if !tag.has_text() {
            return Ok(());
        }
        if *tag != Tag::Data && piece.len() + more.len() > MAX_TEXT_BYTES {
            return Err(UnreadableXml::TooLong);
        }
        piece.push(self.body, more);
        Ok(())
    }

    fn close(&mut self) {
        let Some((tag, piece)) = self.open.pop() else {
            return;
        };
        let parent = self.parent();
        match (tag, parent) {
            (Tag::Response, _) => self.document.responses.push(std::mem::take(&mut self.response)),
            (Tag::Propstat, _) => self.close_propstat(),
            (Tag::Status, Some(Tag::Response)) => self.response.status = status_code(piece),
            (Tag::Status, Some(Tag::Propstat)) => self.status = status_code(piece),
            (Tag::Href, Some(parent)) => self.close_href(parent, piece),
            (Tag::SyncToken, Some(Tag::Multistatus)) => self.document.sync_token = piece.trimmed(),
            (Tag::Message, _) if self.document.message.is_none() => self.document.message = piece.trimmed(),
            (_, Some(Tag::Prop)) => self.close_property(tag, piece),
            _ => {}
        }
    }

    fn close_propstat(&mut self) {
        let properties = std::mem::take(&mut self.properties);
        match self.status {
            None | Some(200..=299) => self.response.found.merge(properties),
            Some(refused) if self.names_data => self.response.data_refused = Some(refused),
            Some(_) => {}
        }
    }

    fn close_href(&mut self, parent: Tag, piece: Piece) {
        let Some(href) = piece.trimmed() else { return };
        match parent {
            Tag::Response if self.response.href.is_empty() => self.response.href = href,
            // Further hrefs share one status (RFC 4918 section 14.24).
            Tag::Response => {
                let first = std::mem::replace(&mut self.response.href, href);
                let status = self.response.status;
                self.document.responses.push(DavResponse {
                    href: first,
                    status,
                    ..DavResponse::default()
                });
            }
            Tag::CurrentUserPrincipal => self.properties.principal = Some(href),
            Tag::HomeSet => note(&mut self.properties.home_sets, &href),
            _ => {}
        }
    }

    fn close_property(&mut self, tag: Tag, piece: Piece) {
        let properties = &mut self.properties;
        match tag {
            Tag::Etag => properties.etag = piece.trimmed(),
            Tag::ContentType => properties.content_type = piece.trimmed(),
            Tag::Ctag => properties.ctag = piece.trimmed(),
            Tag::SyncToken => properties.sync_token = piece.trimmed(),
            Tag::DisplayName => properties.display_name = piece.trimmed(),
            Tag::Description => properties.description = piece.trimmed(),
            Tag::Color => properties.color = piece.trimmed(),
            Tag::Timezone => properties.timezone = piece.trimmed(),
            Tag::Data => properties.data = Some(piece.bytes()).filter(|data| !data.is_empty()),
            _ => {}
        }
    }

    fn finish(self) -> Result<Document, UnreadableXml> {
        if !self.begun {
            return Err(UnreadableXml::Malformed("there is no element in it".to_owned()));
        }
        if !self.open.is_empty() {
            return Err(UnreadableXml::CutShort);
        }
        Ok(self.document)
    }
}

fn note(names: &mut Vec<String>, name: &str) {
    if names.len() < MAX_NAMES {
        names.push(name.to_owned());
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, UnreadableXml> {
    let malformed = |error: &dyn std::fmt::Display| UnreadableXml::Malformed(error.to_string());
    let Some(attribute) = start.try_get_attribute(name).map_err(|error| malformed(&error))? else {
        return Ok(None);
    };
    let value = attribute
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(|error| malformed(&error))?;
    Ok(Some(value.into_owned()))
}

/// `HTTP/1.1 200 OK`
fn status_code(piece: Piece) -> Option<u16> {
    piece.trimmed()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
