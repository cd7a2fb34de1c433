//! What of a server's answers the connector uses, owned. Everything else is let pass.

use std::ops::RangeInclusive;

use bytes::Bytes;
use imap_proto::types::{
    AttributeValue, Capability, MailboxDatum, NameAttribute, Response, ResponseCode, Status,
};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Well.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
}

/// One answer.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The end of a command.
    Done {
        /// Whose.
        tag: String,
        /// How.
        ending: Ending,
        /// What the server adds for machines.
        code: Code,
        /// What it adds for people.
        text: String,
    },
    /// The server wants the rest of a command.
    Continue,
    /// An untagged OK or NO, and the greeting.
    Status {
        /// The machine's part.
        code: Code,
        /// Whether nobody needs to log in.
        preauth: bool,
    },
    /// The server leaves.
    Bye(String),
    /// What it can do, in upper case.
    Capabilities(Vec<String>),
    /// A folder.
    Folder(Listed),
    /// How many messages there are.
    Exists(u32),
    /// UIDs that were searched.
    Found(Vec<u32>),
    /// Something about one message.
    Message(Box<Fetched>),
    /// UIDs that are no more.
    Vanished(Vec<RangeInclusive<u32>>),
    /// Something that cannot be read.
    Unreadable,
    /// Something else.
    Other,
}

/// What a status says for machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// Nothing that is used here.
    None,
    /// What it can do, in upper case.
    Capabilities(Vec<String>),
    /// The folder's generation of UIDs.
    UidValidity(u32),
    /// The UID that the next message will have, or a later one.
    UidNext(u32),
    /// The newest change of the folder.
    HighestModSeq(u64),
    /// The folder cannot be written to.
    ReadOnly,
    /// Flags that can be kept; `\*` among them when new keywords can be made.
    PermanentFlags(Vec<String>),
    /// A word that the parser does not know, in upper case.
    Word(String),
}

/// A folder as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name in the server's form.
    pub(crate) name: String,
    /// What parts its path.
    pub(crate) delimiter: Option<String>,
    /// Its attributes, in lower case, without the backslash.
    pub(crate) attributes: Vec<String>,
}

/// What an answer says of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) uid: Option<u32>,
    pub(crate) flags: Option<Vec<String>>,
    pub(crate) modseq: Option<u64>,
    pub(crate) size: Option<u32>,
    pub(crate) date: Option<String>,
    pub(crate) body: Option<Bytes>,
}

/// Reads one whole answer.
pub(crate) fn read(frame: &Bytes) -> Reply {
    match imap_proto::parser::parse_response(frame) {
        Ok((_, response)) => owned(frame, response),
        Err(_) => Reply::Unreadable,
    }
}

fn owned(frame: &Bytes, response: Response<'_>) -> Reply {
    match response {
        Response::Done {
            tag,
            status,
            code,
            information,
        } => {
            let text = information.unwrap_or_default().into_owned();
            Reply::Done {
                tag: tag.0,
                ending: match status {
                    Status::Ok | Status::PreAuth => Ending::Ok,
                    Status::No | Status::Bye => Ending::No,
                    Status::Bad => Ending::Bad,
                },
                code: code_of(code, &text),
                text,
            }
        }
        Response::Continue { .. } => Reply::Continue,
        Response::Data {
            status,
            code,
            information,
        } => {
            let text = information.unwrap_or_default().into_owned();
            match status {
                Status::Bye => Reply::Bye(text),
                Status::Ok | Status::No | Status::Bad | Status::PreAuth => Reply::Status {
                    preauth: status == Status::PreAuth,
                    code: code_of(code, &text),
                },
            }
        }
        Response::Capabilities(found) => Reply::Capabilities(capabilities(found)),
        Response::MailboxData(MailboxDatum::List {
            name_attributes,
            delimiter,
            name,
        }) => Reply::Folder(Listed {
            name: name.into_owned(),
            delimiter: delimiter.map(std::borrow::Cow::into_owned),
            attributes: name_attributes.iter().map(attribute).collect(),
        }),
        Response::MailboxData(MailboxDatum::Exists(count)) => Reply::Exists(count),
        Response::MailboxData(MailboxDatum::Search(uids)) => Reply::Found(uids),
        Response::Vanished { uids, .. } => Reply::Vanished(uids),
        Response::Fetch(_, attributes) => Reply::Message(Box::new(fetched(frame, attributes))),
        _ => Reply::Other,
    }
}

fn capabilities(found: Vec<Capability<'_>>) -> Vec<String> {
    found
        .into_iter()
        .map(|capability| match capability {
            Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
            Capability::Auth(way) => format!("AUTH={}", way.to_ascii_uppercase()),
            Capability::Atom(word) => word.to_ascii_uppercase(),
        })
        .collect()
}

fn code_of(code: Option<ResponseCode<'_>>, text: &str) -> Code {
    match code {
        Some(ResponseCode::Capabilities(found)) => Code::Capabilities(capabilities(found)),
        Some(ResponseCode::UidValidity(validity)) => Code::UidValidity(validity),
        Some(ResponseCode::UidNext(next)) => Code::UidNext(next),
        Some(ResponseCode::HighestModSeq(modseq)) => Code::HighestModSeq(modseq),
        Some(ResponseCode::ReadOnly) => Code::ReadOnly,
        Some(ResponseCode::PermanentFlags(flags)) => {
            Code::PermanentFlags(flags.into_iter().map(std::borrow::Cow::into_owned).collect())
        }
        Some(ResponseCode::TryCreate) => Code::Word("TRYCREATE".to_owned()),
        Some(_) => Code::None,
        // A code that the parser does not know is left at the beginning of the text.
        None => match text.trim_start().strip_prefix('[') {
            Some(rest) => {
                let end = rest.find([' ', ']']).unwrap_or(rest.len());
                Code::Word(rest[..end].to_ascii_uppercase())
            }
            None => Code::None,
        },
    }
}

fn attribute(attribute: &NameAttribute<'_>) -> String {
    let known = match attribute {
        NameAttribute::NoInferiors => "noinferiors",
        NameAttribute::NoSelect => "noselect",
        NameAttribute::Marked => "marked",
        NameAttribute::Unmarked => "unmarked",
        NameAttribute::All => "all",
        NameAttribute::Archive => "archive",
        NameAttribute::Drafts => "drafts",
        NameAttribute::Flagged => "flagged",
        NameAttribute::Junk => "junk",
        NameAttribute::Sent => "sent",
        NameAttribute::Trash => "trash",
        NameAttribute::Extension(word) => return word.trim_start_matches('\\').to_ascii_lowercase(),
        _ => "",
    };
    known.to_owned()
}

fn fetched(frame: &Bytes, attributes: Vec<AttributeValue<'_>>) -> Fetched {
    let mut message = Fetched::default();
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(uid) => message.uid = Some(uid),
            AttributeValue::Flags(flags) => {
                message.flags = Some(flags.into_iter().map(std::borrow::Cow::into_owned).collect());
            }
            AttributeValue::ModSeq(modseq) => message.modseq = Some(modseq),
            AttributeValue::Rfc822Size(size) => message.size = Some(size),
            AttributeValue::InternalDate(date) => message.date = Some(date.into_owned()),
            AttributeValue::BodySection { data, .. } => {
                message.body = Some(match data {
                    Some(std::borrow::Cow::Borrowed(data)) if !data.is_empty() => frame.slice_ref(data),
                    Some(data) => Bytes::from(data.into_owned()),
                    None => Bytes::new(),
                });
            }
            _ => {}
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &'static str) -> Reply {
        read(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_message_is_read_with_what_was_asked_of_it() {
        let Reply::Message(message) = one(
            "* 7 FETCH (UID 42 FLAGS (\\Seen $Forwarded) INTERNALDATE \"01-Mar-2026 10:00:00 +0100\" RFC822.SIZE 9 \
             MODSEQ (77) BODY[] {3}\r\na\r\n)\r\n",
        ) else {
            panic!("a message")
        };
        assert_eq!(message.uid, Some(42));
        assert_eq!(message.modseq, Some(77));
        assert_eq!(message.size, Some(9));
        assert_eq!(message.flags.unwrap(), ["\\Seen", "$Forwarded"]);
        assert_eq!(message.body.unwrap(), "a\r\n");
    }

    #[test]
    fn codes_are_told_apart_known_to_the_parser_or_not() {
        let code = |text| match one(text) {
            Reply::Done { code, .. } | Reply::Status { code, .. } => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code("* OK [UIDVALIDITY 5] fine\r\n"), Code::UidValidity(5));
        assert_eq!(code("* OK [HIGHESTMODSEQ 9] fine\r\n"), Code::HighestModSeq(9));
        assert_eq!(
            code("a1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"),
            Code::Word("AUTHENTICATIONFAILED".to_owned())
        );
        assert_eq!(
            code("a1 OK [MODIFIED 7,9] Conditional STORE failed\r\n"),
            Code::Word("MODIFIED".to_owned())
        );
    }

    #[test]
    fn vanished_uids_are_ranges() {
        let Reply::Vanished(ranges) = one("* VANISHED (EARLIER) 3:5,9\r\n") else {
            panic!("vanished")
        };
        assert_eq!(ranges, [3..=5, 9..=9]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_crash(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let mut framed = b"* 1 FETCH (".to_vec();
            framed.extend(&bytes);
            framed.extend(b")\r\n");
            let _ = read(&Bytes::from(framed));
            let _ = read(&Bytes::from(bytes));
        }
    }
}
