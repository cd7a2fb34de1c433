//! Examples after the standard's and the vendor's documentation, with values of our own.

use std::collections::BTreeSet;

use mapping::ical::{Stamp, read, write};
use mapping::{Reason, google};
use model::content::{FieldPath, PartKey};
use serde_json::json;

/// RFC 5545 sections 3.6.1, 3.6.6, 3.8.4 and 3.8.5 in one object.
pub(crate) const COMPLEX: &str = "BEGIN:VCALENDAR\r\n\
PRODID:-//Example Corp.//Planner 1.0//EN\r\n\
VERSION:2.0\r\n\
METHOD:PUBLISH\r\n\
BEGIN:VTIMEZONE\r\n\
TZID:/mozilla.org/20050126_1/America/New_York\r\n\
BEGIN:STANDARD\r\n\
DTSTART:19981025T020000\r\n\
TZOFFSETFROM:-0400\r\n\
TZOFFSETTO:-0500\r\n\
TZNAME:EST\r\n\
END:STANDARD\r\n\
END:VTIMEZONE\r\n\
BEGIN:VEVENT\r\n\
UID:19970901T130000Z-123401@example.com\r\n\
DTSTAMP:19970901T130000Z\r\n\
DTSTART;TZID=/mozilla.org/20050126_1/America/New_York:19980312T083000\r\n\
DURATION:PT1H\r\n\
RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=2TH;UNTIL=19990101T000000Z\r\n\
RDATE;TZID=/mozilla.org/20050126_1/America/New_York:19980320T083000,\r\n 19980327T083000\r\n\
EXDATE;TZID=/mozilla.org/20050126_1/America/New_York:19980514T083000\r\n\
EXDATE:19980611T123000Z\r\n\
SUMMARY:XYZ Project Review\\, part 2\r\n\
DESCRIPTION:Meeting to provide technical review for \"Phoenix\"\\n design.\\nHa\r\n ppy Face Conference Room.\r\n\
LOCATION;ALTREP=\"https://example.com/room.vcf\":1CP Conference Room 4350\r\n\
CATEGORIES:ANNIVERSARY,PERSONAL\r\n\
CATEGORIES;LANGUAGE=en:SPECIAL OCCASION\r\n\
CLASS:X-SECRET\r\n\
ORGANIZER;CN=JohnSmith;SENT-BY=\"mailto:jane@host.com\":MAILTO:jsmith@host1.com\r\n\
ATTENDEE;ROLE=REQ-PARTICIPANT;DELEGATED-FROM=\"mailto:iamboss@host.com\";PARTSTAT=ACCEPTED;CN=Henry Cabot:mailto:hcabot@host2.com\r\n\
ATTENDEE;CUTYPE=ROOM;PARTSTAT=ACCEPTED:mailto:room@host.com\r\n\
ATTENDEE;ROLE=OPT-PARTICIPANT:mailto:jdoe@host1.com\r\n\
ATTACH;FMTTYPE=application/postscript:https://example.com/pub/report.ps\r\n\
ATTACH;FMTTYPE=text/plain;ENCODING=BASE64;VALUE=BINARY:VGhlIHF1aWNr\r\n\
BEGIN:VALARM\r\n\
TRIGGER;RELATED=START:-PT30M\r\n\
REPEAT:2\r\n\
DURATION:PT15M\r\n\
ACTION:DISPLAY\r\n\
DESCRIPTION:Breakfast meeting\r\n\
END:VALARM\r\n\
BEGIN:VALARM\r\n\
TRIGGER;RELATED=END:PT5M\r\n\
ACTION:AUDIO\r\n\
END:VALARM\r\n\
END:VEVENT\r\n\
BEGIN:VEVENT\r\n\
UID:19970901T130000Z-123401@example.com\r\n\
DTSTAMP:19970901T130000Z\r\n\
RECURRENCE-ID:19980409T123000Z\r\n\
DTSTART:19980410T150000Z\r\n\
DTEND:19980410T160000Z\r\n\
SUMMARY:XYZ Project Review\\, part 2\r\n\
END:VEVENT\r\n\
END:VCALENDAR\r\n";

/// The shape of <https://developers.google.com/workspace/calendar/api/v3/reference/events#resource>.
pub(crate) const JSON: &str = r##"{
  "kind": "calendar#event", "etag": "\"33\"", "id": "e1", "status": "tentative", "htmlLink": "https://x.org/e",
  "created": "2026-01-01T10:00:00.000Z", "updated": "2026-01-02T10:00:00.000Z", "summary": "Review",
  "description": "a<br>b", "location": "Room", "colorId": "3", "creator": {"email": "a@b.org"},
  "organizer": {"email": "a@b.org", "displayName": "A", "self": true},
  "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
  "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"},
  "recurrence": ["RRULE:FREQ=WEEKLY", "EXDATE;TZID=Europe/Berlin:20260309T090000", "RDATE;TZID=Europe/Berlin:20260311T090000"],
  "transparency": "transparent", "visibility": "private", "iCalUID": "e1@google.com", "sequence": 1,
  "attendees": [{"email": "me@example.org", "self": true, "optional": true, "responseStatus": "accepted", "displayName": "Me", "resource": false}],
  "hangoutLink": "https://meet.x.org/h",
  "conferenceData": {"entryPoints": [{"entryPointType": "video", "uri": "https://meet.x.org/v", "label": "x"}], "conferenceSolution": {"name": "Meet"}},
  "extendedProperties": {"private": {"concord.x.a": "1", "concord.categories": "[\"x\"]"}, "shared": {"s": "t"}},
  "reminders": {"useDefault": false, "overrides": [{"method": "email", "minutes": 30}]},
  "source": {"url": "https://x.org/s", "title": "S"},
  "attachments": [{"fileUrl": "https://x.org/f", "title": "F", "mimeType": "text/plain", "iconLink": "i", "fileId": "1"}],
  "recurringEventId": null, "originalStartTime": null, "timeZone": "Europe/Berlin", "accessRole": "owner"
}"##;

#[test]
fn the_standards_example_is_read_as_meant() {
    let content = read(COMPLEX.as_bytes()).unwrap();
    let fields = &content.fields;
    let at = |wall: &str| json!({"kind": "zoned", "wall": wall, "zone": "America/New_York"});
    assert_eq!(fields["start"], at("1998-03-12T08:30:00"));
    assert_eq!(fields["end"], at("1998-03-12T09:30:00"));
    assert_eq!(
        fields["recurrence"],
        json!({"rules": ["FREQ=MONTHLY;BYDAY=2TH;UNTIL=19990101T000000Z"], "dates": ["1998-03-20T08:30:00", "1998-03-27T08:30:00"]})
    );
    assert_eq!(fields["title"], "XYZ Project Review, part 2");
    assert_eq!(
        fields["description"]["text"],
        "Meeting to provide technical review for \"Phoenix\"\n design.\nHappy Face Conference Room."
    );
    assert_eq!(
        fields["categories"],
        json!(["ANNIVERSARY", "PERSONAL", "SPECIAL OCCASION"])
    );
    assert_eq!(fields["visibility"], "private");
    assert_eq!(
        fields["organizer"],
        json!({"address": "jsmith@host1.com", "name": "JohnSmith"})
    );
    assert_eq!(
        fields["attendees"],
        json!([
            {"address": "hcabot@host2.com", "name": "Henry Cabot", "role": "participant", "response": "accepted", "optional": false},
            {"address": "jdoe@host1.com", "role": "participant", "response": "needs_action", "optional": true},
            {"address": "room@host.com", "role": "resource", "response": "accepted", "optional": false},
        ])
    );
    assert_eq!(fields["attachments"].as_array().unwrap().len(), 1);
    assert_eq!(
        fields["reminders"],
        json!({"use_default": false, "items": [{"minutes_before": 30, "method": "popup"}]})
    );
    let keys: Vec<&str> = content.overrides.keys().map(PartKey::as_str).collect();
    assert_eq!(
        keys,
        [
            "1998-04-09T08:30:00",
            "1998-05-14T08:30:00",
            "1998-06-11T08:30:00"
        ]
    );
    assert_eq!(
        content.overrides[&PartKey::occurrence("1998-04-09T08:30:00")]["location"],
        json!(null)
    );
}

#[test]
fn an_attendee_edit_keeps_what_the_standard_says_about_the_others() {
    let mut content = read(COMPLEX.as_bytes()).unwrap();
    content.fields.get_mut("attendees").unwrap()[0]["response"] = json!("declined");
    let stamp = Stamp {
        now: "2026-02-01T12:00:00Z".parse().unwrap(),
    };
    let changed: BTreeSet<FieldPath> = [FieldPath::master("attendees")].into();
    let text =
        String::from_utf8(write(Some(COMPLEX.as_bytes()), &content, &changed, stamp).unwrap()).unwrap();
    let unfolded = text.replace("\r\n ", "");
    assert!(unfolded.contains("ATTENDEE;ROLE=REQ-PARTICIPANT;DELEGATED-FROM=\"mailto:iamboss@host.com\";PARTSTAT=DECLINED;CN=Henry Cabot:mailto:hcabot@host2.com\r\n"), "{text}");
    assert!(
        unfolded.contains("ATTENDEE;CUTYPE=ROOM;PARTSTAT=ACCEPTED:mailto:room@host.com\r\n"),
        "{text}"
    );
}

#[test]
fn what_is_not_carried_is_refused_with_its_reason() {
    let event =
        |inner: &str| format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:x\n{inner}\nEND:VEVENT\nEND:VCALENDAR\n");
    let todo = "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:x\nEND:VTODO\nEND:VCALENDAR\n";
    let two = COMPLEX.replace("RECURRENCE-ID:19980409T123000Z\r\n", "");
    let uids = COMPLEX.replacen("UID:1997", "UID:1998", 1);
    for (text, reason, field) in [
        (todo.to_owned(), Reason::NotAnEvent, ""),
        (two, Reason::SeveralEvents, ""),
        (uids, Reason::SeveralEvents, ""),
        (
            event("DTSTART:20260101\nRECURRENCE-ID:20260101"),
            Reason::LoneOverride,
            "",
        ),
        (event("SUMMARY:x"), Reason::Missing, "start"),
        (
            event("DTSTART;TZID=Mars/Olympus:20260101T090000"),
            Reason::UnknownZone,
            "start",
        ),
        (event("DTSTART:20261301"), Reason::Invalid, "start"),
        (
            event("DTSTART:20260101\nDTEND:20260101T100000Z"),
            Reason::Invalid,
            "end",
        ),
        (
            event("DTSTART:20260101\nRRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY"),
            Reason::Unsupported,
            "recurrence",
        ),
        (
            COMPLEX.replace("RECURRENCE-ID:", "RECURRENCE-ID;RANGE=THISANDFUTURE:"),
            Reason::Unsupported,
            "start",
        ),
    ] {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!((error.reason, error.field.as_str()), (reason, field), "{error}");
    }
}

#[test]
fn googles_example_is_read_as_meant() {
    let event = google::read(&serde_json::from_str(JSON).unwrap(), None).unwrap();
    let fields = event.fields;
    assert_eq!(
        fields["recurrence"],
        json!({"rules": ["FREQ=WEEKLY"], "dates": ["2026-03-11T09:00:00"]})
    );
    assert_eq!(
        fields["conferencing"],
        json!({"uri": "https://meet.x.org/v", "label": "Meet"})
    );
    assert_eq!(fields["url"], "https://x.org/s");
    assert_eq!(fields["categories"], json!(["x"]));
    assert_eq!(fields["description"]["text"], "a\nb");
    assert_eq!(event.exdates.len(), 1);
}
