//! The kinds of time an event may have, their notation, and the zones' own components.

use jiff::civil::DateTime;

use super::calendar_text::CalendarText;

/// How an event says when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeKind {
    /// Wall time in a named zone with its VTIMEZONE.
    Zoned(&'static Zone),
    /// An instant, with a `Z`.
    Utc,
    /// Wall time wherever the reader is.
    Floating,
    /// Whole days.
    Date,
}

/// A named zone with its rules as of 2007 and later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) name: &'static str,
    standard: Observance,
    daylight: Option<Observance>,
}

#[derive(Debug, PartialEq, Eq)]
struct Observance {
    start: &'static str,
    rule: Option<&'static str>,
    from: &'static str,
    to: &'static str,
    abbreviation: &'static str,
}

static BERLIN: Zone = Zone {
    name: "Europe/Berlin",
    standard: Observance {
        start: "19961027T030000",
        rule: Some("FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU"),
        from: "+0200",
        to: "+0100",
        abbreviation: "CET",
    },
    daylight: Some(Observance {
        start: "19810329T020000",
        rule: Some("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU"),
        from: "+0100",
        to: "+0200",
        abbreviation: "CEST",
    }),
};

static NEW_YORK: Zone = Zone {
    name: "America/New_York",
    standard: Observance {
        start: "20071104T020000",
        rule: Some("FREQ=YEARLY;BYMONTH=11;BYDAY=1SU"),
        from: "-0400",
        to: "-0500",
        abbreviation: "EST",
    },
    daylight: Some(Observance {
        start: "20070311T020000",
        rule: Some("FREQ=YEARLY;BYMONTH=3;BYDAY=2SU"),
        from: "-0500",
        to: "-0400",
        abbreviation: "EDT",
    }),
};

static KOLKATA: Zone = Zone {
    name: "Asia/Kolkata",
    standard: Observance {
        start: "19700101T000000",
        rule: None,
        from: "+0530",
        to: "+0530",
        abbreviation: "IST",
    },
    daylight: None,
};

static SYDNEY: Zone = Zone {
    name: "Australia/Sydney",
    standard: Observance {
        start: "20080406T030000",
        rule: Some("FREQ=YEARLY;BYMONTH=4;BYDAY=1SU"),
        from: "+1100",
        to: "+1000",
        abbreviation: "AEST",
    },
    daylight: Some(Observance {
        start: "20081005T020000",
        rule: Some("FREQ=YEARLY;BYMONTH=10;BYDAY=1SU"),
        from: "+1000",
        to: "+1100",
        abbreviation: "AEDT",
    }),
};

/// All kinds in turn; the generator goes round.
pub(super) static KINDS: [TimeKind; 7] = [
    TimeKind::Zoned(&BERLIN),
    TimeKind::Utc,
    TimeKind::Date,
    TimeKind::Zoned(&NEW_YORK),
    TimeKind::Floating,
    TimeKind::Zoned(&KOLKATA),
    TimeKind::Zoned(&SYDNEY),
];

impl TimeKind {
    /// A property of one time of this kind: `DTSTART;TZID=Europe/Berlin:20250106T090000`.
    pub(super) fn property(self, name: &str, time: DateTime) -> String {
        self.property_of_many(name, &[time])
    }

    /// A property of several times, separated by commas.
    pub(super) fn property_of_many(self, name: &str, times: &[DateTime]) -> String {
        let values: Vec<String> = times.iter().map(|time| self.value(*time)).collect();
        let params = match self {
            Self::Zoned(zone) => format!(";TZID={}", zone.name),
            Self::Date => ";VALUE=DATE".to_owned(),
            Self::Utc | Self::Floating => String::new(),
        };
        format!("{name}{params}:{}", values.join(","))
    }

    /// The last moment of a day, as UNTIL wants it: in UTC where the start is an instant or in a zone, else like the
    /// start (RFC 5545, section 3.3.10).
    pub(super) fn until(self, day: DateTime) -> String {
        let date = day.strftime("%Y%m%d");
        match self {
            Self::Zoned(_) | Self::Utc => format!("{date}T235959Z"),
            Self::Floating => format!("{date}T235959"),
            Self::Date => date.to_string(),
        }
    }

    fn value(self, time: DateTime) -> String {
        let format = match self {
            Self::Zoned(_) | Self::Floating => "%Y%m%dT%H%M%S",
            Self::Utc => "%Y%m%dT%H%M%SZ",
            Self::Date => "%Y%m%d",
        };
        time.strftime(format).to_string()
    }
}

impl Zone {
    pub(super) fn write(&self, text: &mut CalendarText) {
        text.component("VTIMEZONE", |text| {
            text.line(&format!("TZID:{}", self.name));
            text.line(&format!("X-LIC-LOCATION:{}", self.name));
            if let Some(daylight) = &self.daylight {
                daylight.write("DAYLIGHT", text);
            }
            self.standard.write("STANDARD", text);
        });
    }
}

impl Observance {
    fn write(&self, component: &str, text: &mut CalendarText) {
        text.component(component, |text| {
            text.line(&format!("DTSTART:{}", self.start));
            if let Some(rule) = self.rule {
                text.line(&format!("RRULE:{rule}"));
            }
            text.line(&format!("TZOFFSETFROM:{}", self.from));
            text.line(&format!("TZOFFSETTO:{}", self.to));
            text.line(&format!("TZNAME:{}", self.abbreviation));
        });
    }
}
