//! The corpus is repeatable, holds what it promises, and a real server takes all of it.

use std::collections::BTreeSet;

use testkit::corpus::{self, semantics};
use testkit::harness::Radicale;

#[test]
fn the_same_seed_gives_the_same_bytes_and_a_small_corpus_begins_a_large_one() {
    let corpus = corpus::events(300, 7);
    assert_eq!(corpus, corpus::events(300, 7));
    assert_eq!(corpus[..120], corpus::events(120, 7));
    assert_ne!(corpus[0].ics, corpus::events(1, 8)[0].ics);
    let names: BTreeSet<_> = corpus.iter().map(|event| &event.name).collect();
    let uids: BTreeSet<_> = corpus.iter().map(|event| &event.uid).collect();
    assert_eq!((names.len(), uids.len()), (300, 300));
}

#[test]
fn a_few_hundred_events_hold_every_feature() {
    let all: String = corpus::events(300, 7)
        .into_iter()
        .map(|event| event.ics.replace("\r\n ", ""))
        .collect();
    for wanted in [
        "RRULE:FREQ=DAILY;COUNT",
        "INTERVAL=3",
        "FREQ=WEEKLY;BYDAY=",
        "FREQ=MONTHLY;BYMONTHDAY",
        "FREQ=MONTHLY;BYDAY",
        "FREQ=YEARLY;COUNT",
        ";UNTIL=",
        "EXDATE;TZID=",
        "EXDATE;VALUE=DATE:",
        "EXDATE:",
        "RDATE",
        "RECURRENCE-ID;TZID=",
        "RECURRENCE-ID;VALUE=DATE:",
        "RECURRENCE-ID:",
        "DTSTART;VALUE=DATE:",
        "DTSTART;TZID=Europe/Berlin:",
        "DTSTART;TZID=America/New_York:",
        "DTSTART;TZID=Asia/Kolkata:",
        "DTSTART;TZID=Australia/Sydney:",
        "BEGIN:VTIMEZONE",
        "ACTION:DISPLAY",
        "ACTION:EMAIL",
        "TRIGGER;VALUE=DATE-TIME:",
        "X-MOZ-LASTACK",
        "X-APPLE-STRUCTURED-LOCATION",
        "X-PUBLISHED-TTL",
        "PARTSTAT=TENTATIVE",
        "ROLE=OPT-PARTICIPANT",
        "RSVP=TRUE",
        "CN=\"Müller, Jörg\"",
        "ORGANIZER",
        "🎉",
        "プロジェクト",
        "اجتماع",
        "CATEGORIES:",
        "CLASS:PRIVATE",
        "TRANSP:TRANSPARENT",
        "STATUS:TENTATIVE",
        "URL:",
        "ATTACH;",
        "GEO:",
        "COLOR:",
        "CONFERENCE;",
        "SEQUENCE:",
        "DURATION:PT",
        "DURATION:P1D",
        "\\n",
        "\\,",
        "\\;",
        "\\\\",
    ] {
        assert!(all.contains(wanted), "no event has {wanted}");
    }
    let floating = all
        .lines()
        .any(|line| line.starts_with("DTSTART:2") && !line.ends_with('Z'));
    assert!(floating, "no event floats");
}

#[test]
fn lines_are_folded_at_75_octets_and_end_in_crlf() {
    let corpus = corpus::events(300, 7);
    for event in &corpus {
        assert!(event.ics.ends_with("END:VCALENDAR\r\n"));
        for line in event.ics.split_terminator("\r\n") {
            assert!(
                line.len() <= 75 && !line.contains(['\r', '\n']),
                "{}: {line}",
                event.name
            );
        }
    }
    let folded_between_letters = corpus
        .iter()
        .any(|event| event.ics.contains("\r\n ") && !event.ics.is_ascii());
    assert!(folded_between_letters);
    assert!(
        corpus.iter().any(|event| event.ics.contains("\r\n\t")),
        "some fold with a tab"
    );
}

#[test]
fn one_event_in_a_hundred_is_a_burden_and_small_ones_are_not() {
    let large = |events: &[corpus::Resource]| {
        events
            .iter()
            .filter(|event| event.ics.len() > corpus::LONG_DESCRIPTION_BYTES)
            .count()
    };
    assert_eq!(large(&corpus::events(300, 7)), 3);
    let small = corpus::small_events(300, 7);
    assert_eq!(large(&small), 0);
    let average = small.iter().map(|event| event.ics.len()).sum::<usize>() / small.len();
    assert!((900..2_200).contains(&average), "{average} bytes on average");
}

#[test]
fn overrides_and_deletions_stand_for_different_occurrences() {
    let mut overrides = 0;
    for event in corpus::events(400, 3) {
        let calendar = semantics::parse(&event.ics).unwrap();
        let events: Vec<_> = calendar.all("VEVENT").collect();
        let master = events[0];
        assert!(master.property("RECURRENCE-ID").is_none());
        assert!(events.iter().all(|part| part.value("UID") == Some(&event.uid)));
        let deleted: BTreeSet<&str> = master
            .properties
            .iter()
            .filter(|property| property.name == "EXDATE")
            .flat_map(|property| property.value.split(','))
            .collect();
        let moved: BTreeSet<&str> = events[1..]
            .iter()
            .filter_map(|part| part.value("RECURRENCE-ID"))
            .collect();
        assert_eq!(
            moved.len(),
            events.len() - 1,
            "{}: each override has its own occurrence",
            event.name
        );
        assert!(moved.is_disjoint(&deleted), "{}", event.name);
        assert!(moved.is_empty() || master.property("RRULE").is_some());
        overrides += moved.len();
    }
    assert!(overrides > 100, "{overrides}");
}

#[tokio::test]
async fn radicale_takes_every_generated_event_and_serves_it_back() {
    let radicale = Radicale::start().await.unwrap();
    let events = corpus::events(400, 11);
    radicale
        .load_collection(
            "alice",
            "all",
            events.iter().map(|event| (&event.name, &event.ics)),
        )
        .unwrap();
    let body = "<d:sync-collection xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><d:sync-token/>\
                <d:sync-level>1</d:sync-level><d:prop><d:getetag/><c:calendar-data/></d:prop></d:sync-collection>";
    let url = radicale.collection_url("alice", "all").unwrap();
    let answer = radicale
        .dav("REPORT", url, "alice", 1, body)
        .await
        .unwrap_or_else(|error| {
            panic!("{error:#}\n{}", radicale.log().join("\n"));
        });
    assert_eq!(answer.matches("BEGIN:VCALENDAR").count(), events.len());

    // Over HTTP the server checks more; one of each kind.
    radicale
        .load_collection::<&str, &str>("alice", "put", [])
        .unwrap();
    for event in &events[..110] {
        radicale
            .put("alice", "put", &event.name, &event.ics, None)
            .await
            .unwrap_or_else(|error| {
                panic!("{error:#}\n{}", event.ics);
            });
    }
    assert_eq!(radicale.items("alice", "put").unwrap().len(), 110);
}

#[test]
fn hostile_inputs_have_distinct_names_and_are_what_they_say() {
    let all = corpus::hostile();
    let names: BTreeSet<_> = all.iter().map(|input| input.name).collect();
    assert_eq!(names.len(), all.len());
    let bytes = |name: &str| &all.iter().find(|input| input.name == name).expect(name).bytes;
    assert!(std::str::from_utf8(bytes("invalid-utf8")).is_err());
    assert!(std::str::from_utf8(bytes("split-character")).is_err());
    assert!(bytes("long-line").len() > 10_000_000);
    assert!(bytes("nul-bytes").contains(&0));
    assert!(String::from_utf8_lossy(bytes("every-second")).contains("FREQ=SECONDLY;UNTIL=2125"));
    assert!(!String::from_utf8_lossy(bytes("no-dtstart")).contains("DTSTART"));
    assert!(!String::from_utf8_lossy(bytes("truncated")).contains("END:VCALENDAR"));
}

const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:A long\r\n  title\r\n\
    ATTENDEE;CN=\"Ann\";ROLE=CHAIR:mailto:ann@example.com\r\nBEGIN:VALARM\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n\
    BEGIN:VALARM\r\nTRIGGER:-PT9M\r\nX-A:1\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

#[test]
fn order_folding_quotes_and_case_of_names_make_no_difference() {
    let other = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nBEGIN:VALARM\nX-A:1\nTRIGGER:-PT9M\nEND:VALARM\n\
        BEGIN:VALARM\nTRIGGER:-PT5M\nEND:VALARM\nattendee;role=CHAIR;cn=Ann:mailto:ann@exam\n\tple.com\n\
        SUMMARY:A long title\nUID:1\nEND:VEVENT\nVERSION:2.0\nEND:VCALENDAR\n";
    assert_eq!(semantics::differences(EVENT, other, &[]), Vec::<String>::new());
}

#[test]
fn a_changed_property_is_named_with_its_component_unless_it_is_excepted() {
    let other = EVENT.replace("A long\r\n  title", "Short");
    assert_eq!(
        semantics::differences(EVENT, &other, &[]),
        [
            "VCALENDAR/VEVENT[UID:1]: lost `SUMMARY:A long title`",
            "VCALENDAR/VEVENT[UID:1]: gained `SUMMARY:Short`",
        ]
    );
    assert!(semantics::differences(EVENT, &other, &["SUMMARY"]).is_empty());
    assert!(semantics::differences(EVENT, &other, &["VEVENT.SUMMARY"]).is_empty());
    assert_eq!(
        semantics::differences(EVENT, &other, &["VALARM.SUMMARY", "DTSTAMP"]).len(),
        2
    );
}

#[test]
fn a_changed_parameter_case_of_a_value_or_alarm_is_a_difference() {
    for (from, to, count) in [
        ("ROLE=CHAIR", "ROLE=OPT-PARTICIPANT", 2),
        ("mailto:ann", "mailto:Ann", 2),
        ("X-A:1\r\n", "", 1),
        ("BEGIN:VALARM\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n", "", 1),
        ("UID:1", "UID:2", 2),
    ] {
        let other = EVENT.replace(from, to);
        assert_ne!(EVENT, other);
        let found = semantics::differences(EVENT, &other, &[]);
        assert_eq!(found.len(), count, "{from} -> {to}: {found:?}");
        assert_eq!(semantics::differences(&other, EVENT, &[]).len(), count);
    }
    let without_alarm = EVENT.replace("BEGIN:VALARM\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n", "");
    assert!(semantics::differences(EVENT, &without_alarm, &["VALARM"]).is_empty());
}

#[test]
fn a_property_that_is_there_twice_counts_twice() {
    let other = EVENT.replace("UID:1\r\n", "UID:1\r\nCOMMENT:x\r\nCOMMENT:x\r\n");
    let once = EVENT.replace("UID:1\r\n", "UID:1\r\nCOMMENT:x\r\n");
    assert_eq!(
        semantics::differences(&once, &other, &[]),
        ["VCALENDAR/VEVENT[UID:1]: gained `COMMENT:x`"]
    );
}

#[test]
fn text_that_cannot_be_read_is_a_difference_not_an_equality() {
    let broken = EVENT.replace("END:VEVENT\r\n", "");
    assert!(!semantics::differences(&broken, &broken, &[]).is_empty());
    assert!(semantics::differences(EVENT, "", &[])[0].starts_with("the right text cannot be read"));
    assert!(semantics::parse(&format!("{EVENT}{EVENT}")).is_err());
}
