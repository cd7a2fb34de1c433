//! Messages as people and programs write them, and as nobody should.

use serde_json::json;

use super::*;

fn fields(raw: &str) -> Fields {
    read(raw.as_bytes(), Received::default()).unwrap()
}

#[test]
fn a_message_with_everything_is_read() {
    let raw = "From: =?utf-8?Q?Zo=C3=AB?= <Zoe@Example.org>\r\nTo: a@example.org, \"B, C\" <b@example.org>\r\n\
        Cc: team: x@example.org, y@example.org;\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\n folded\r\n\
        Date: Sun, 01 Mar 2026 10:00:00 +0100\r\nMessage-ID: <3@example.org>\r\n\
        In-Reply-To: <2@example.org>\r\nReferences: <1@example.org> <2@example.org>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n\
        --c\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Gr=FC=DFe\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>Gr&uuml;&szlig;e</p>\r\n--c--\r\n--b\r\n\
        Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"a b.pdf\"\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n";
    let fields = fields(raw);
    assert_eq!(fields["subject"], "Grüße folded");
    assert_eq!(
        fields["from"],
        json!([{"address": "zoe@example.org", "name": "Zoë"}])
    );
    assert_eq!(
        fields["to"][1],
        json!({"address": "b@example.org", "name": "B, C"})
    );
    assert_eq!(fields["cc"].as_array().unwrap().len(), 2);
    assert_eq!(fields["sent_at"], "2026-03-01T09:00:00Z");
    assert_eq!(fields["message_id"], "3@example.org");
    assert_eq!(fields["in_reply_to"], json!(["2@example.org"]));
    assert_eq!(fields["references"], json!(["1@example.org", "2@example.org"]));
    assert_eq!(fields["thread"], "1@example.org");
    assert_eq!(fields["body"]["text"], "Grüße");
    assert_eq!(
        fields["body"]["html"].as_str().unwrap().trim(),
        "<p>Gr&uuml;&szlig;e</p>"
    );
    assert_eq!(
        fields["attachments"],
        json!([{"name": "a b.pdf", "media_type": "application/pdf", "size_bytes": 3, "inline": false}])
    );
    assert!(!fields.contains_key("is_partial"));
    let canonical = model::Kind::Message.schema().canonical(fields.clone()).unwrap();
    assert_eq!(canonical, fields);
}

#[test]
fn a_message_that_is_only_html_has_its_text_too() {
    let fields = fields("Subject: x\r\nContent-Type: text/html\r\n\r\n<b>bold</b> words\r\n");
    let (text, html) = (&fields["body"]["text"], &fields["body"]["html"]);
    assert!(text.as_str().unwrap().contains("words"), "{text}");
    assert!(!text.as_str().unwrap().contains("<b>"), "{text}");
    assert!(html.as_str().unwrap().contains("<b>"), "{html}");
}

#[test]
fn what_holds_no_header_is_set_aside() {
    for raw in ["", "\r\n\r\n"] {
        assert_eq!(
            read(raw.as_bytes(), Received::default()).unwrap_err().reason,
            Reason::Malformed,
            "{raw:?}"
        );
    }
}

#[test]
fn hostile_messages_are_read_or_set_aside() {
    let deep = |depth: usize| {
        let mut raw = "Subject: deep\r\n".to_owned();
        for level in 0..depth {
            raw.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
            ));
        }
        raw
    };
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(5_000);
    let many = format!(
        "Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\nContent-Disposition: attachment\r\n\r\nx\r\n".repeat(5_000)
    );
    let crowd = format!("To: {}\r\n\r\n", "a@b,".repeat(100_000));
    let thread = format!("References: {}\r\n\r\n", "<a@b> ".repeat(100_000));
    let long = format!("Subject: {}\r\n\r\n{}", "ä".repeat(5_000), "é".repeat(400_000));
    for raw in [
        deep(10_000),
        nested,
        many,
        crowd,
        thread,
        long,
        "Subject: a\0b\r\nFrom: \0\r\nDate: Fri, 99 Foo 99999 99:99:99 +9999\r\n\r\nx\0y".to_owned(),
        "Subject: =?utf-99?Q?=FF=?= =?utf-8?B?////?=\r\nContent-Type: text/plain; charset=\"\"\r\n\r\n\u{1b}[31m".to_owned(),
        "Subject: x\rBcc: y\n\nContent-Type: multipart/mixed; boundary=\"\"\r\n\r\n----\r\n".to_owned(),
    ] {
        if let Ok(fields) = read(raw.as_bytes(), Received::default()) {
            let canonical = model::Kind::Message.schema().canonical(fields.clone()).unwrap();
            assert_eq!(canonical, fields);
            let text = serde_json::to_string(&fields).unwrap();
            assert!(!text.contains("\\u0000"), "NUL is kept of {:?}", &raw[..20]);
            assert!(text.len() < 2 << 20, "{} bytes are kept", text.len());
        }
    }
}

#[test]
fn a_body_that_is_too_long_is_cut_and_said_so() {
    let fields = fields(&format!("Subject: x\r\n\r\n{}", "é".repeat(400_000)));
    assert_eq!(fields["is_partial"], true);
    assert!(fields["body"]["text"].as_str().unwrap().len() <= 256 << 10);
}
