//! XML as a small tree with resolved namespaces: what WebDAV request bodies are read into and answers written from.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::escape::{escape, partial_escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

/// WebDAV (RFC 4918).
pub(crate) const DAV: &str = "DAV:";
/// CalDAV (RFC 4791).
pub(crate) const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
/// Calendar server extensions: `getctag`
/// (<https://github.com/apple/ccs-calendarserver/blob/master/doc/Extensions/caldav-ctag.txt>).
pub(crate) const CALENDAR_SERVER: &str = "http://calendarserver.org/ns/";
/// Apple's calendar properties: `calendar-color`, `calendar-order`.
pub(crate) const APPLE_ICAL: &str = "http://apple.com/ns/ical/";

/// Deeper requests are refused: no request of the protocols here nests this far.
const MAX_DEPTH: usize = 64;

/// An element or property name in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// Namespace; empty when there is none.
    pub(crate) namespace: Cow<'static, str>,
    /// Name without a prefix.
    pub(crate) local: Cow<'static, str>,
}

impl Name {
    pub(crate) const fn new(namespace: &'static str, local: &'static str) -> Self {
        Self {
            namespace: Cow::Borrowed(namespace),
            local: Cow::Borrowed(local),
        }
    }

    /// Both parts, to match on.
    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.namespace, &self.local)
    }
}

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: Name,
    attributes: Vec<(String, String)>,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
    Cdata(String),
}

/// Why a request body could not be read.
#[derive(Debug)]
pub(crate) struct UnreadableXml(String);

impl fmt::Display for UnreadableXml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request body is not usable XML: {}", self.0)
    }
}

impl Element {
    pub(crate) fn named(name: Name) -> Self {
        Self {
            name,
            attributes: Vec::new(),
            nodes: Vec::new(),
        }
    }

    pub(crate) fn dav(local: &'static str) -> Self {
        Self::named(Name::new(DAV, local))
    }

    pub(crate) fn caldav(local: &'static str) -> Self {
        Self::named(Name::new(CALDAV, local))
    }

    /// `<D:href>`
    pub(crate) fn href(href: impl Into<String>) -> Self {
        Self::dav("href").text(href)
    }

    #[must_use]
    pub(crate) fn attribute(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub(crate) fn with(mut self, child: Self) -> Self {
        self.nodes.push(Node::Element(child));
        self
    }

    #[must_use]
    pub(crate) fn with_all(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.nodes.extend(children.into_iter().map(Node::Element));
        self
    }

    #[must_use]
    pub(crate) fn text(mut self, text: impl Into<String>) -> Self {
        self.nodes.push(Node::Text(text.into()));
        self
    }

    #[must_use]
    pub(crate) fn cdata(mut self, text: impl Into<String>) -> Self {
        self.nodes.push(Node::Cdata(text.into()));
        self
    }

    pub(crate) fn push(&mut self, child: Self) {
        self.nodes.push(Node::Element(child));
    }

    pub(crate) fn is(&self, namespace: &str, local: &str) -> bool {
        self.name.parts() == (namespace, local)
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::Cdata(_) => None,
        })
    }

    pub(crate) fn child(&self, namespace: &str, local: &str) -> Option<&Self> {
        self.elements().find(|element| element.is(namespace, local))
    }

    pub(crate) fn attribute_value(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Own character data, children's left out.
    pub(crate) fn own_text(&self) -> String {
        let texts = self.nodes.iter().filter_map(|node| match node {
            Node::Text(text) | Node::Cdata(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        texts.collect()
    }

    /// Reads a document. A document type is refused, so that no entity can be declared.
    pub(crate) fn read(body: &str) -> Result<Self, UnreadableXml> {
        let mut reader = NsReader::from_str(body);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            let (resolved, event) = reader.read_resolved_event().map_err(|error| refused(&error))?;
            match event {
                Event::Start(start) => {
                    let namespace = namespace_of(&resolved)?;
                    if root.is_some() || open.len() >= MAX_DEPTH {
                        return Err(UnreadableXml(
                            "more than one root, or nested too deeply".to_owned(),
                        ));
                    }
                    open.push(started(namespace, &start)?);
                }
                Event::Empty(start) => {
                    let namespace = namespace_of(&resolved)?;
                    close(started(namespace, &start)?, &mut open, &mut root)?;
                }
                Event::End(_) => {
                    let Some(element) = open.pop() else {
                        return Err(UnreadableXml("stray end tag".to_owned()));
                    };
                    close(element, &mut open, &mut root)?;
                }
                Event::Text(text) => append(&mut open, &text.xml_content(XmlVersion::Implicit1_0)),
                Event::CData(text) => append(&mut open, &text.xml_content(XmlVersion::Implicit1_0)),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|error| refused(&error))?;
                    match (character, resolve_predefined_entity(&reference)) {
                        (Some(character), _) => append(&mut open, character.encode_utf8(&mut [0; 4])),
                        (None, Some(text)) => append(&mut open, text),
                        (None, None) => return Err(UnreadableXml("an undeclared entity".to_owned())),
                    }
                }
                Event::DocType(_) => return Err(UnreadableXml("a document type is not accepted".to_owned())),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        match root {
            Some(root) if open.is_empty() => Ok(root),
            Some(_) | None => Err(UnreadableXml("it ends too early".to_owned())),
        }
    }

    /// The document as text. With `default_dav` the DAV namespace has no prefix, as in iCloud's answers.
    pub(crate) fn to_document(&self, default_dav: bool) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        let dav = if default_dav { "xmlns" } else { "xmlns:D" };
        let declared = format!(
            " {dav}=\"{DAV}\" xmlns:C=\"{CALDAV}\" xmlns:CS=\"{CALENDAR_SERVER}\" xmlns:IC=\"{APPLE_ICAL}\""
        );
        self.write(&mut out, default_dav, &declared);
        out
    }

    fn write(&self, out: &mut String, default_dav: bool, declared: &str) {
        let (prefix, own_namespace) = match &*self.name.namespace {
            DAV if default_dav => ("", None),
            DAV => ("D:", None),
            CALDAV => ("C:", None),
            CALENDAR_SERVER => ("CS:", None),
            APPLE_ICAL => ("IC:", None),
            other => ("X:", Some(other)),
        };
        let tag = format!("{prefix}{}", self.name.local);
        // Writing to a String cannot fail.
        let _ = write!(out, "<{tag}{declared}");
        if let Some(namespace) = own_namespace {
            let _ = write!(out, " xmlns:X=\"{}\"", escape(namespace));
        }
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", escape(value.as_str()));
        }
        if self.nodes.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for node in &self.nodes {
            match node {
                Node::Element(element) => element.write(out, default_dav, ""),
                Node::Text(text) => out.push_str(&partial_escape(text.as_str())),
                Node::Cdata(text) => {
                    let _ = write!(out, "<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"));
                }
            }
        }
        let _ = write!(out, "</{tag}>");
    }
}

fn refused(error: &impl fmt::Display) -> UnreadableXml {
    UnreadableXml(error.to_string())
}

fn namespace_of(resolved: &ResolveResult<'_>) -> Result<String, UnreadableXml> {
    match resolved {
        ResolveResult::Bound(namespace) => Ok(namespace.0.to_owned()),
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(_) => Err(UnreadableXml("a namespace prefix is not declared".to_owned())),
    }
}

fn started(namespace: String, start: &BytesStart<'_>) -> Result<Element, UnreadableXml> {
    let local = start.local_name().as_ref().to_owned();
    let mut element = Element::named(Name {
        namespace: Cow::Owned(namespace),
        local: Cow::Owned(local),
    });
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| refused(&error))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| refused(&error))?;
        element
            .attributes
            .push((attribute.key.0.to_owned(), value.into_owned()));
    }
    Ok(element)
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), UnreadableXml> {
    match open.last_mut() {
        Some(parent) => parent.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err(UnreadableXml("more than one root".to_owned())),
    }
    Ok(())
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.nodes.push(Node::Text(text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_back_what_was_written_gives_the_same_text_under_any_prefix() {
        let element = Element::dav("prop")
            .with(Element::href("/a b/&<>.ics"))
            .with(
                Element::caldav("calendar-data")
                    .attribute("version", "\"2.0\"")
                    .cdata("x]]>y"),
            )
            .with(Element::named(Name::new("urn:other", "colour")).text("é"));
        for default_dav in [false, true] {
            let read = Element::read(&element.to_document(default_dav)).unwrap();
            assert_eq!(read.child(DAV, "href").unwrap().own_text(), "/a b/&<>.ics");
            let data = read.child(CALDAV, "calendar-data").unwrap();
            assert_eq!(
                (data.own_text().as_str(), data.attribute_value("version")),
                ("x]]>y", Some("\"2.0\""))
            );
            assert_eq!(read.child("urn:other", "colour").unwrap().own_text(), "é");
        }
    }

    #[test]
    fn entities_document_types_and_cut_documents_are_refused() {
        for body in [
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a>&b;</a>",
            "<a><b/>",
            "<a/><a/>",
            "",
            "<x:a/>",
        ] {
            assert!(Element::read(body).is_err(), "{body}");
        }
    }
}
