//! The reader against what servers send, and against what nobody should.

use proptest::prelude::*;

use super::*;

fn document(text: &str) -> Result<Document, UnreadableXml> {
    read(&Bytes::from(text.to_owned()))
}

fn multistatus(inner: &str) -> Document {
    let text = format!(
        "<?xml version=\"1.0\"?>\n<d:multistatus xmlns:d=\"DAV:\" xmlns:cal=\"urn:ietf:params:xml:ns:caldav\">{inner}</d:multistatus>"
    );
    document(&text).unwrap()
}

#[test]
fn prefixes_are_the_servers_affair() {
    let texts = [
        "<multistatus xmlns='DAV:'><response><href>/a</href><propstat><prop><getetag>\"1\"</getetag></prop>\
         <status>HTTP/1.1 200 OK</status></propstat></response></multistatus>",
        "<x:multistatus xmlns:x='DAV:'><x:response><x:href> /a\n</x:href><x:propstat><x:prop><getetag xmlns='DAV:'>\
         &quot;1&quot;</getetag></x:prop><x:status>HTTP/1.1 200 OK</x:status></x:propstat></x:response></x:multistatus>",
    ];
    for text in texts {
        let read = document(text).unwrap();
        assert_eq!(read.root, Root::Multistatus);
        assert_eq!(read.responses[0].href, "/a");
        assert_eq!(read.responses[0].found.etag.as_deref(), Some("\"1\""));
    }
    let foreign = "<multistatus xmlns='urn:other'><response><href>/a</href></response></multistatus>";
    let read = document(foreign).unwrap();
    assert_eq!((read.root, read.responses.len()), (Root::Other, 0));
}

#[test]
fn only_what_was_found_counts() {
    let read = multistatus(
        "<d:response><d:href>/a</d:href>\
         <d:propstat><d:prop><d:getetag>\"1\"</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
         <d:propstat><d:prop><cal:calendar-data/><d:displayname>no</d:displayname></d:prop>\
         <d:status>HTTP/1.1 403 Forbidden</d:status></d:propstat></d:response>\
         <d:response><d:href>/b</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>\
         <d:sync-token>t-1</d:sync-token>",
    );
    let [first, second] = read.responses.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(
        (first.data_refused, first.found.display_name.as_deref()),
        (Some(403), None)
    );
    assert_eq!((second.href.as_str(), second.status), ("/b", Some(404)));
    assert_eq!(read.sync_token.as_deref(), Some("t-1"));
}

#[test]
fn calendar_data_is_a_slice_of_the_answer_with_its_line_ends() {
    let body = Bytes::from(
        "<m:multistatus xmlns:m='DAV:'><m:response><m:href>/a</m:href><m:propstat><m:prop>\
         <c:calendar-data xmlns:c='urn:ietf:params:xml:ns:caldav'>A:1\r\nB:2\r\n</c:calendar-data></m:prop>\
         </m:propstat></m:response></m:multistatus>",
    );
    let read = read(&body).unwrap();
    let data = read.responses[0].found.data.clone().unwrap();
    assert_eq!(data, "A:1\r\nB:2\r\n");
    assert!(body.as_ptr_range().contains(&data.as_ptr()), "it was copied");
}

#[test]
fn escapes_and_cdata_are_put_together() {
    let data = |inner: &str| {
        let read = multistatus(&format!(
            "<d:response><d:href>/a</d:href><d:propstat><d:prop><cal:calendar-data>{inner}</cal:calendar-data>\
             </d:prop></d:propstat></d:response>"
        ));
        read.responses[0].found.data.clone().unwrap()
    };
    assert_eq!(data("A:1 &amp; 2 &lt;3&#13;\nB:&#x1F600;"), "A:1 & 2 <3\r\nB:😀");
    assert_eq!(data("<![CDATA[A:<&>]]>\r\n<![CDATA[B]]>"), "A:<&>\r\nB");
}

#[test]
fn rights_reports_components_and_failed_conditions_are_read() {
    let read = multistatus(
        "<d:response><d:href>/a/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/><cal:calendar/></d:resourcetype>\
         <d:current-user-privilege-set><d:privilege><d:read/></d:privilege></d:current-user-privilege-set>\
         <d:supported-report-set><d:supported-report><d:report><d:sync-collection/></d:report></d:supported-report></d:supported-report-set>\
         <cal:supported-calendar-component-set><cal:comp name=\"VTODO\"/></cal:supported-calendar-component-set>\
         <cal:calendar-home-set><d:href>/h1/</d:href><d:href>/h2/</d:href></cal:calendar-home-set>\
         <d:current-user-principal><d:href>/p/</d:href></d:current-user-principal>\
         <d:owner><d:href>/somebody/</d:href></d:owner></d:prop></d:propstat></d:response>",
    );
    let response = &read.responses[0];
    assert_eq!(response.href, "/a/");
    let found = &response.found;
    assert!(found.is_calendar && found.is_collection && found.reports_changes());
    assert!(!found.may_write() && !found.takes_events());
    assert_eq!(found.home_sets, ["/h1/", "/h2/"]);
    assert_eq!(found.principal.as_deref(), Some("/p/"));

    let error = document("<error xmlns='DAV:'><valid-sync-token/><m xmlns='x'/></error>").unwrap();
    assert_eq!(
        (error.root, error.conditions),
        (Root::Error, vec!["valid-sync-token".to_owned(), "m".to_owned()])
    );
}

#[test]
fn entities_depth_length_and_cut_answers_are_refused_each_by_its_name() {
    let bomb = "<!DOCTYPE m [<!ENTITY a \"b\">]><multistatus xmlns='DAV:'>&a;</multistatus>";
    assert!(matches!(document(bomb), Err(UnreadableXml::DocumentType)));
    let entity = "<multistatus xmlns='DAV:'><sync-token>&nbsp;</sync-token></multistatus>";
    assert!(matches!(document(entity), Err(UnreadableXml::UnknownEntity)));
    let deep = format!("{}{}", "<a>".repeat(1_000_000), "</a>".repeat(1_000_000));
    assert!(matches!(document(&deep), Err(UnreadableXml::TooDeep)));
    let long = format!(
        "<multistatus xmlns='DAV:'><sync-token>{}</sync-token></multistatus>",
        "a".repeat(1 << 20)
    );
    assert!(matches!(document(&long), Err(UnreadableXml::TooLong)));
    let cut = "<multistatus xmlns='DAV:'><response><href>/a</href></response>";
    assert!(matches!(document(cut), Err(UnreadableXml::CutShort)));
    for malformed in [
        "",
        "plain words",
        "<a></b>",
        "<a/><b/>",
        "<a/>words",
        "{\"json\": true}",
    ] {
        assert!(
            matches!(document(malformed), Err(UnreadableXml::Malformed(_))),
            "{malformed}"
        );
    }
    assert!(matches!(
        read(&Bytes::from_static(b"<a>\xff\xfe</a>")),
        Err(UnreadableXml::NotUtf8)
    ));
}

const SOUND: &str = "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\">\
    <d:response><d:href>/a%20b.ics</d:href><d:propstat><d:prop><d:getetag>&quot;1&quot;</d:getetag><c:calendar-data>\
    <![CDATA[BEGIN:VCALENDAR]]>&#13;\n</c:calendar-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
    </d:response><d:response><d:href>/gone</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>\
    <d:sync-token>t</d:sync-token></d:multistatus>";

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read(&Bytes::from(bytes));
    }

    #[test]
    fn any_tags_are_an_answer_or_an_error(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "<d:multistatus xmlns:d='DAV:'>", "</d:multistatus>", "<d:response>", "</d:response>", "<d:href>",
                "</d:href>", "<d:propstat>", "</d:propstat>", "<d:prop>", "</d:prop>", "<d:status>", "</d:status>",
                "HTTP/1.1 200 OK", "&amp;", "&#0;", "&#x110000;", "&x;", "<![CDATA[", "]]>", "<!--", "-->", "<?x", "?>",
                "<d:privilege/>", "<comp xmlns='urn:ietf:params:xml:ns:caldav' name='V'/>", "é", "\u{feff}", "<", ">",
                "xmlns:xml='DAV:'", "<a xmlns:d=''>", "</a>",
            ]),
            0..60,
        ),
    ) {
        let _ = read(&Bytes::from(pieces.concat()));
    }

    /// What arrives only in part is never taken for the whole.
    #[test]
    fn a_cut_answer_is_an_error(at in 0..SOUND.len()) {
        prop_assert!(read(&Bytes::from_static(&SOUND.as_bytes()[..at])).is_err());
    }

    #[test]
    fn a_damaged_answer_does_no_harm(at in 0..SOUND.len(), byte in any::<u8>()) {
        let mut bytes = SOUND.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(document) = read(&Bytes::from(bytes)) {
            prop_assert!(document.responses.len() <= 3);
        }
    }
}
