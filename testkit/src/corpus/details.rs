//! The optional properties of a generated event: people, alarms, foreign properties and the rest.

use rand::Rng;
use rand::rngs::StdRng;

use super::LONG_DESCRIPTION_BYTES;
use super::calendar_text::CalendarText;
use super::event::Plan;
use super::sample_text::{self, pick};

const ATTENDEES: [&str; 6] = [
    "CN=\"Müller, Jörg\";ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=TRUE:mailto:joerg.mueller@example.com",
    "CN=Ann Lee;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:ann@example.org",
    "CN=\"山田; 太郎\";ROLE=OPT-PARTICIPANT;PARTSTAT=TENTATIVE:mailto:yamada@example.net",
    "CUTYPE=ROOM;CN=\"Room: 3.14\";PARTSTAT=ACCEPTED;ROLE=NON-PARTICIPANT:mailto:room-314@example.com",
    "CUTYPE=GROUP;PARTSTAT=DECLINED;X-NUM-GUESTS=2;EMAIL=\"team@example.com\":urn:uuid:5d6f1c1e-0000-4000-8000-1",
    "DELEGATED-FROM=\"mailto:ann@example.org\";CN=Zoë;PARTSTAT=DELEGATED;LANGUAGE=fr:mailto:zoe@example.com",
];

const FOREIGN: [&str; 6] = [
    "X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS=\"Hauptstr. 1, 10115 Berlin\";X-APPLE-RADIUS=70;\
     X-TITLE=\"Büro: hinten\":geo:52.520000,13.405000",
    "X-MOZ-GENERATION:3",
    "X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC",
    "X-MICROSOFT-CDO-BUSYSTATUS:BUSY",
    "X-VENDOR-NOTE;X-LANG=de;X-SOURCE=\"import; second, try\":Grüße\\, mit Komma\\; und Semikolon",
    "X-GOOGLE-CONFERENCE:https://meet.example.com/abc-defg-hij",
];

const ATTACHMENTS: [&str; 3] = [
    "ATTACH;FMTTYPE=application/pdf:https://files.example.com/agenda%20final.pdf",
    "ATTACH;FMTTYPE=text/html;FILENAME=\"notes, final.html\";X-SIZE=1024:https://files.example.com/notes",
    "ATTACH:cid:part3.msg.970415T083000@example.com",
];

/// Whatever optional properties this event has.
pub(super) fn write(plan: &Plan, text: &mut CalendarText, rng: &mut StdRng) {
    if plan.long_description {
        text.text(
            "DESCRIPTION",
            &sample_text::long_text(rng, LONG_DESCRIPTION_BYTES),
        );
    } else if rng.random_bool(0.6) {
        let params = if rng.random_bool(0.1) {
            ";ALTREP=\"https://example.org/d?id=1\""
        } else {
            ""
        };
        text.text(&format!("DESCRIPTION{params}"), &sample_text::paragraph(rng));
    }
    if rng.random_bool(0.5) {
        text.text("LOCATION", pick(rng, &sample_text::PLACES));
    }
    if plan.has_people {
        people(text, rng);
    }
    classification(text, rng);
    if rng.random_bool(0.2) {
        text.line(pick(rng, &ATTACHMENTS));
    }
    if rng.random_bool(0.3) {
        for line in &FOREIGN[..rng.random_range(1..=FOREIGN.len())] {
            text.line(line);
        }
    }
    alarms(text, rng);
}

/// An organizer and some attendees.
pub(super) fn people(text: &mut CalendarText, rng: &mut StdRng) {
    text.line("ORGANIZER;CN=\"Boss, The\";SENT-BY=\"mailto:office@example.com\":mailto:boss@example.com");
    let first = rng.random_range(0..ATTENDEES.len());
    for offset in 0..rng.random_range(1..=4) {
        text.line(&format!(
            "ATTENDEE;{}",
            ATTENDEES[(first + offset) % ATTENDEES.len()]
        ));
    }
}

fn classification(text: &mut CalendarText, rng: &mut StdRng) {
    let often = [
        (0.3, "CATEGORIES:Work,Projekt Süd"),
        (0.1, "CATEGORIES;LANGUAGE=en:With\\, comma,PLAIN"),
        (
            0.7,
            pick(rng, &["STATUS:CONFIRMED", "STATUS:TENTATIVE", "STATUS:CANCELLED"]),
        ),
        (0.5, pick(rng, &["TRANSP:OPAQUE", "TRANSP:TRANSPARENT"])),
        (
            0.4,
            pick(rng, &["CLASS:PUBLIC", "CLASS:PRIVATE", "CLASS:CONFIDENTIAL"]),
        ),
        (0.2, "URL:https://example.org/events/42?x=1&y=2"),
        (0.15, "GEO:52.516275;13.377704"),
        (0.2, pick(rng, &["COLOR:turquoise", "COLOR:darkred"])),
        (
            0.15,
            "CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=\"Video, second floor\":https://meet.example.com/abc",
        ),
        (0.2, pick(rng, &["PRIORITY:1", "PRIORITY:5"])),
        (0.1, "COMMENT:A comment\\, for good measure"),
        (0.1, "RESOURCES:PROJECTOR,WHITEBOARD"),
        (0.1, "CONTACT:Jim Dolittle\\, ABC Industries\\, +1-919-555-1234"),
        (0.1, "RELATED-TO;RELTYPE=SIBLING:sibling-1@corpus.example"),
    ];
    for (probability, line) in often {
        if rng.random_bool(probability) {
            text.line(line);
        }
    }
}

fn alarms(text: &mut CalendarText, rng: &mut StdRng) {
    if rng.random_bool(0.45) {
        text.component("VALARM", |text| {
            text.line("ACTION:DISPLAY");
            text.line(&format!(
                "TRIGGER:-PT{}M",
                [5, 10, 15, 30][rng.random_range(0..4)]
            ));
            text.text("DESCRIPTION", "Reminder, soon");
            if rng.random_bool(0.4) {
                text.line("X-WR-ALARMUID:5B1E0F5A-1111-4222-8333-444455556666");
                text.line("UID:5B1E0F5A-1111-4222-8333-444455556666");
                text.line("ACKNOWLEDGED:20250101T080000Z");
                text.line("X-MOZ-LASTACK;X-BY=\"client: one\":20250101T080000Z");
            }
        });
    }
    if rng.random_bool(0.15) {
        text.component("VALARM", |text| {
            text.line("ACTION:EMAIL");
            text.line("TRIGGER;RELATED=END:PT5M");
            text.text("SUMMARY", "Mail: reminder");
            text.text("DESCRIPTION", "Body; with, marks\nand a second line");
            text.line("ATTENDEE:mailto:me@example.com");
            text.line("REPEAT:2");
            text.line("DURATION:PT10M");
        });
    }
    if rng.random_bool(0.15) {
        text.component("VALARM", |text| {
            text.line("ACTION:AUDIO");
            text.line("TRIGGER;VALUE=DATE-TIME:20250601T070000Z");
            text.line("ATTACH;VALUE=URI:Chord");
            text.line("X-APPLE-DEFAULT-ALARM:TRUE");
        });
    }
}
