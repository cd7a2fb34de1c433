//! Broken and malicious input under names. A reader must answer each with a clear error or a sound value, in bounded
//! time and memory; which of the two is the reader's decision, not this list's.

/// One hostile input.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// A short name for messages.
    pub name: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
    /// The bytes; not all of them are UTF-8.
    pub bytes: Vec<u8>,
}

const EVENT_HEAD: &str = "UID:hostile@corpus.example\r\nDTSTAMP:20250101T000000Z\r\n";
const START: &str = "DTSTART:20250106T090000Z\r\n";

fn calendar(content: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Corpus//Hostile//EN\r\n{content}END:VCALENDAR\r\n")
}

fn event(properties: &str) -> String {
    calendar(&format!("BEGIN:VEVENT\r\n{properties}END:VEVENT\r\n"))
}

fn event_with(properties: &str) -> String {
    event(&format!("{EVENT_HEAD}{START}{properties}"))
}

fn input(name: &'static str, why: &'static str, bytes: impl Into<Vec<u8>>) -> Hostile {
    Hostile {
        name,
        why,
        bytes: bytes.into(),
    }
}

/// All hostile inputs; some are megabytes.
pub fn hostile() -> Vec<Hostile> {
    let mut all = broken_shape();
    all.extend(oversized());
    all.extend(broken_bytes());
    all.extend(broken_times());
    all.extend(broken_rules());
    all.extend(broken_identity());
    all
}

fn broken_shape() -> Vec<Hostile> {
    let whole = event_with("SUMMARY:cut in the middle\r\n");
    let truncated = whole[..whole.len() / 2].to_owned();
    vec![
        input("empty", "no bytes at all", ""),
        input("blank-lines", "nothing but line ends", "\r\n\r\n\r\n"),
        input(
            "not-a-calendar",
            "an error page in place of a calendar",
            "<html><body>Login</body></html>",
        ),
        input("truncated", "ends in the middle of a line", truncated),
        input(
            "no-end",
            "BEGIN without END",
            whole
                .replace("END:VEVENT\r\n", "")
                .replace("END:VCALENDAR\r\n", ""),
        ),
        input(
            "end-first",
            "END without BEGIN",
            "END:VCALENDAR\r\nBEGIN:VCALENDAR\r\n",
        ),
        input(
            "crossed-ends",
            "components closed in the wrong order",
            whole.replace("END:VEVENT", "END:VTODO"),
        ),
        input("empty-calendar", "a calendar without an event", calendar("")),
        input(
            "no-colon",
            "a content line without a value",
            event_with("SUMMARY no colon here\r\n"),
        ),
        input(
            "no-name",
            "a content line without a name",
            event_with(":value\r\n;X=1:value\r\n"),
        ),
        input(
            "open-quote",
            "a quoted parameter that never ends",
            event_with("ATTENDEE;CN=\"Bob:mailto:b@example.com\r\n"),
        ),
        input(
            "empty-parameter",
            "parameters without names and values",
            event_with("SUMMARY;;=;X=;=1:x\r\n"),
        ),
        input(
            "fold-first",
            "a continuation before any line",
            format!(" continued\r\n{whole}"),
        ),
        input(
            "two-calendars",
            "two calendar objects in one resource",
            format!("{whole}{whole}"),
        ),
    ]
}

fn oversized() -> Vec<Hostile> {
    let depth = 100_000;
    vec![
        input(
            "nesting-bomb",
            "a hundred thousand nested components",
            "BEGIN:VCALENDAR\r\n".repeat(depth),
        ),
        input(
            "nesting-bomb-closed",
            "a hundred thousand nested components, all closed",
            format!("{}{}", "BEGIN:X-A\r\n".repeat(depth), "END:X-A\r\n".repeat(depth)),
        ),
        input(
            "long-line",
            "one line of ten megabytes",
            event_with(&format!("SUMMARY:{}\r\n", "x".repeat(10_000_000))),
        ),
        input(
            "long-name",
            "a property name of a megabyte",
            event_with(&format!("X-{}:1\r\n", "A".repeat(1_000_000))),
        ),
        input(
            "many-folds",
            "a million folds of one octet",
            event_with(&format!("SUMMARY:{}\r\n", "\r\n x".repeat(1_000_000))),
        ),
        input(
            "many-parameters",
            "a hundred thousand parameters",
            event_with(&format!("SUMMARY{}:x\r\n", ";X-P=1".repeat(100_000))),
        ),
        input(
            "many-attendees",
            "fifty thousand attendees",
            event_with(&"ATTENDEE:mailto:a@example.com\r\n".repeat(50_000)),
        ),
        input(
            "many-exdates",
            "a hundred thousand deleted occurrences",
            event_with(&format!(
                "RRULE:FREQ=DAILY\r\nEXDATE:{}20250107T090000Z\r\n",
                "20250107T090000Z,".repeat(100_000)
            )),
        ),
    ]
}

fn broken_bytes() -> Vec<Hostile> {
    let mut invalid = event_with("SUMMARY:bad bytes: MARK\r\n").into_bytes();
    replace(&mut invalid, b"MARK", &[0xC3, 0x28, 0xFF, 0xFE]);
    // RFC 5545, section 3.1 warns of it: a fold between the octets of one character.
    let mut split = event_with("SUMMARY:split MARK here\r\n").into_bytes();
    replace(&mut split, b"MARK", &[0xC3, b'\r', b'\n', b' ', 0xBC]);
    let utf16: Vec<u8> = event_with("SUMMARY:x\r\n")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    vec![
        input(
            "nul-bytes",
            "NUL bytes in a value and a name",
            event_with("SUMMARY:a\0b\r\nX-\0:1\r\n"),
        ),
        input(
            "control-characters",
            "control characters in a value",
            event_with("SUMMARY:a\u{1}\u{8}\u{1b}[2Jb\r\n"),
        ),
        input("invalid-utf8", "bytes that are no UTF-8", invalid),
        input(
            "split-character",
            "a fold within a character: UTF-8 only when unfolded first",
            split,
        ),
        input("utf16", "another encoding altogether", utf16),
        input(
            "byte-order-mark",
            "a byte order mark before the calendar",
            format!("\u{FEFF}{}", event_with("")),
        ),
        input(
            "bare-line-feeds",
            "LF in place of CRLF",
            event_with("SUMMARY:x\r\n").replace("\r\n", "\n"),
        ),
        input(
            "bare-returns",
            "CR in place of CRLF",
            event_with("SUMMARY:x\r\n").replace("\r\n", "\r"),
        ),
        input(
            "right-to-left-override",
            "direction marks that disguise text",
            event_with("SUMMARY:\u{202E}gpj.exe\r\n"),
        ),
    ]
}

fn broken_times() -> Vec<Hostile> {
    let starts = |line: &str| event(&format!("{EVENT_HEAD}{line}\r\n"));
    vec![
        input("no-dtstart", "an event without a start", event(EVENT_HEAD)),
        input(
            "two-dtstarts",
            "two starts",
            event_with("DTSTART:20260101T000000Z\r\n"),
        ),
        input(
            "end-before-start",
            "ends before it starts",
            event_with("DTEND:20240101T000000Z\r\n"),
        ),
        input(
            "negative-duration",
            "a duration below zero",
            event_with("DURATION:-PT1H\r\n"),
        ),
        input(
            "end-and-duration",
            "both an end and a duration",
            event_with("DTEND:20250106T100000Z\r\nDURATION:PT3H\r\n"),
        ),
        input(
            "huge-duration",
            "longer than time",
            event_with("DURATION:P999999999999999999W\r\n"),
        ),
        input(
            "unknown-zone",
            "a zone that is nowhere defined",
            starts("DTSTART;TZID=Mars/Olympus:20250106T090000"),
        ),
        input(
            "empty-zone",
            "a zone without a name",
            starts("DTSTART;TZID=:20250106T090000"),
        ),
        input(
            "zone-and-z",
            "both a zone and a Z",
            starts("DTSTART;TZID=Europe/Berlin:20250106T090000Z"),
        ),
        input(
            "no-such-day",
            "the thirtieth of February",
            starts("DTSTART:20250230T090000Z"),
        ),
        input(
            "no-such-hour",
            "hour 25, minute 61",
            starts("DTSTART:20250106T256100Z"),
        ),
        input("year-zero", "the year 0", starts("DTSTART:00000101T000000Z")),
        input(
            "far-future",
            "the last second of the year 9999",
            starts("DTSTART:99991231T235959Z"),
        ),
        input(
            "words-for-time",
            "words in place of a time",
            starts("DTSTART:next Tuesday"),
        ),
        input(
            "mixed-kinds",
            "starts on a day, ends at an hour",
            event(&format!(
                "{EVENT_HEAD}DTSTART;VALUE=DATE:20250106\r\nDTEND:20250106T100000Z\r\n"
            )),
        ),
        input(
            "alarm-without-trigger",
            "an alarm that never says when",
            event_with("BEGIN:VALARM\r\nACTION:DISPLAY\r\nEND:VALARM\r\n"),
        ),
    ]
}

fn broken_rules() -> Vec<Hostile> {
    let rule = |rule: &str| event_with(&format!("RRULE:{rule}\r\n"));
    vec![
        input(
            "every-second",
            "every second for a century",
            rule("FREQ=SECONDLY;UNTIL=21250101T000000Z"),
        ),
        input(
            "every-second-forever",
            "every second, for ever",
            rule("FREQ=SECONDLY"),
        ),
        input(
            "every-minute-of-a-day-in-leap-years",
            "a rule that must search long",
            rule("FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;BYHOUR=3;BYMINUTE=7"),
        ),
        input(
            "never-matches",
            "a rule without a single occurrence",
            rule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        ),
        input(
            "huge-count",
            "more occurrences than numbers",
            rule("FREQ=DAILY;COUNT=99999999999999999999"),
        ),
        input(
            "count-and-until",
            "both COUNT and UNTIL",
            rule("FREQ=DAILY;COUNT=3;UNTIL=20260101T000000Z"),
        ),
        input(
            "interval-zero",
            "a step of nothing",
            rule("FREQ=DAILY;INTERVAL=0"),
        ),
        input(
            "interval-negative",
            "a step backwards",
            rule("FREQ=DAILY;INTERVAL=-1"),
        ),
        input("no-frequency", "a rule without FREQ", rule("COUNT=3")),
        input(
            "unknown-frequency",
            "a frequency that does not exist",
            rule("FREQ=FORTNIGHTLY"),
        ),
        input(
            "rule-nonsense",
            "no rule at all",
            rule(";;==;FREQ;BYDAY=;XX=1,,2"),
        ),
        input("rule-empty", "an empty rule", rule("")),
        input(
            "byday-nonsense",
            "days that do not exist",
            rule("FREQ=MONTHLY;BYDAY=99MO,XX,-0TU"),
        ),
        input(
            "two-rules",
            "two rules",
            event_with("RRULE:FREQ=DAILY\r\nRRULE:FREQ=WEEKLY\r\n"),
        ),
        input(
            "until-before-start",
            "ends before it began",
            rule("FREQ=DAILY;UNTIL=19990101T000000Z"),
        ),
        input(
            "exdate-everything",
            "the only occurrence is deleted",
            event_with("RRULE:FREQ=DAILY;COUNT=1\r\nEXDATE:20250106T090000Z\r\n"),
        ),
    ]
}

fn broken_identity() -> Vec<Hostile> {
    let one = "BEGIN:VEVENT\r\nUID:same@corpus.example\r\nDTSTAMP:20250101T000000Z\r\nDTSTART:20250106T090000Z\r\n\
               END:VEVENT\r\n";
    let lone = format!("{EVENT_HEAD}{START}RECURRENCE-ID:20250106T090000Z\r\nSUMMARY:lone\r\n");
    let twice = "BEGIN:VEVENT\r\nUID:same@corpus.example\r\nDTSTAMP:20250101T000000Z\r\n\
                 RECURRENCE-ID:20250107T090000Z\r\nDTSTART:20250107T100000Z\r\nEND:VEVENT\r\n";
    let master = one.replace("END:VEVENT", "RRULE:FREQ=DAILY;COUNT=5\r\nEND:VEVENT");
    vec![
        input(
            "no-uid",
            "an event without an identity",
            event(&format!("DTSTAMP:20250101T000000Z\r\n{START}")),
        ),
        input(
            "empty-uid",
            "an empty identity",
            event(&format!("UID:\r\nDTSTAMP:20250101T000000Z\r\n{START}")),
        ),
        input(
            "two-uids",
            "two identities in one event",
            event_with("UID:other@corpus.example\r\n"),
        ),
        input(
            "long-uid",
            "an identity of a hundred kilobytes",
            event(&format!("UID:{}\r\n{START}", "u".repeat(100_000))),
        ),
        input(
            "path-uid",
            "an identity that looks like a path",
            event(&format!("UID:../../etc/passwd\r\n{START}")),
        ),
        input(
            "same-uid-twice",
            "two masters of one identity",
            calendar(&format!("{one}{one}")),
        ),
        input(
            "two-events",
            "two unrelated events in one resource",
            calendar(&format!("{one}{}", one.replace("same@", "other@"))),
        ),
        input(
            "lone-override",
            "an override whose master is missing",
            event(&lone),
        ),
        input(
            "same-override-twice",
            "two overrides of one occurrence",
            calendar(&format!("{master}{twice}{twice}")),
        ),
        input(
            "override-of-nothing",
            "an override of an occurrence that the rule does not have",
            calendar(&format!(
                "{master}{}",
                twice.replace("RECURRENCE-ID:20250107", "RECURRENCE-ID:20310107")
            )),
        ),
        input(
            "only-a-zone",
            "a time zone and no event",
            calendar("BEGIN:VTIMEZONE\r\nTZID:Nowhere\r\nEND:VTIMEZONE\r\n"),
        ),
        input(
            "todo-and-event",
            "two kinds of component in one resource",
            calendar(&format!(
                "{one}BEGIN:VTODO\r\nUID:same@corpus.example\r\nEND:VTODO\r\n"
            )),
        ),
    ]
}

fn replace(bytes: &mut Vec<u8>, mark: &[u8], with: &[u8]) {
    if let Some(at) = bytes.windows(mark.len()).position(|window| window == mark) {
        bytes.splice(at..at + mark.len(), with.iter().copied());
    }
}
