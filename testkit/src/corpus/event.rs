//! One generated resource: which features it has follows from its number, their values from its random numbers.

use jiff::civil::{DateTime, date};
use jiff::{Span, ToSpan};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::calendar_text::CalendarText;
use super::recurrence::Recurrence;
use super::zone::{KINDS, TimeKind};
use super::{Resource, details, sample_text};

/// What the master and its overrides have in common.
pub(super) struct Plan {
    pub(super) uid: String,
    pub(super) kind: TimeKind,
    pub(super) start: DateTime,
    pub(super) length: Span,
    /// Says its length as DURATION in place of DTEND.
    pub(super) by_duration: bool,
    pub(super) has_people: bool,
    pub(super) long_description: bool,
    pub(super) index: usize,
}

pub(super) fn resource(index: usize, seed: u64, long_description: bool) -> Resource {
    let number = u64::try_from(index).unwrap_or(u64::MAX);
    // Each resource has its own random numbers, so that a smaller corpus is the beginning of a larger one.
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number);
    let kind = KINDS[index % KINDS.len()];
    let start = start_time(kind, &mut rng);
    let recurrence = Recurrence::choose((index / KINDS.len()) % 14, start, kind, &mut rng);
    let length = match kind {
        TimeKind::Date => i64::from(rng.random_range(1..4)).days(),
        TimeKind::Zoned(_) | TimeKind::Utc | TimeKind::Floating => {
            i64::from(rng.random_range(1..17) * 15).minutes()
        }
    };
    let plan = Plan {
        uid: format!("{seed:x}-{index:06}@corpus.example"),
        kind,
        start,
        length,
        by_duration: rng.random_bool(0.25),
        has_people: rng.random_bool(0.35),
        long_description,
        index,
    };
    Resource {
        name: format!("event-{index:06}.ics"),
        uid: plan.uid.clone(),
        ics: calendar(&plan, recurrence.as_ref(), &mut rng),
    }
}

/// Within two years around the start of 2026, in the daytime (no clock is changed then), on the first four weeks of a
/// month (a monthly rule then skips none).
fn start_time(kind: TimeKind, rng: &mut StdRng) -> DateTime {
    let month = date(2025, 1, 1).saturating_add(i64::from(rng.random_range(0..24)).months());
    let day = month.saturating_add(i64::from(rng.random_range(0..28)).days());
    match kind {
        TimeKind::Date => day.at(0, 0, 0, 0),
        TimeKind::Zoned(_) | TimeKind::Utc | TimeKind::Floating => {
            day.at(rng.random_range(7..20), rng.random_range(0..4) * 15, 0, 0)
        }
    }
}

fn calendar(plan: &Plan, recurrence: Option<&Recurrence>, rng: &mut StdRng) -> String {
    let mut text = CalendarText::new(if plan.index % 11 == 3 { '\t' } else { ' ' });
    text.component("VCALENDAR", |text| {
        text.line("VERSION:2.0");
        text.line("PRODID:-//Corpus//Generated for tests//EN");
        text.line("CALSCALE:GREGORIAN");
        if rng.random_bool(0.3) {
            text.text("X-WR-CALNAME", "Arbeit, privat; Übriges");
            text.line("X-PUBLISHED-TTL;X-SOURCE=\"a:b;c,d\":PT1H");
        }
        if let TimeKind::Zoned(zone) = plan.kind {
            zone.write(text);
        }
        text.component("VEVENT", |text| master(plan, recurrence, text, rng));
        for number in recurrence
            .iter()
            .flat_map(|recurrence| recurrence.overridden.clone())
        {
            if let Some(recurrence) = recurrence {
                let original = recurrence.occurrence(plan.start, number);
                text.component("VEVENT", |text| moved(plan, original, text, rng));
            }
        }
    });
    text.finish()
}

fn master(plan: &Plan, recurrence: Option<&Recurrence>, text: &mut CalendarText, rng: &mut StdRng) {
    identity(plan, text, rng);
    when(plan, plan.start, plan.length, text);
    text.text(
        if plan.index % 9 == 4 {
            "SUMMARY;LANGUAGE=de"
        } else {
            "SUMMARY"
        },
        sample_text::pick(rng, &sample_text::TITLES),
    );
    if let Some(recurrence) = recurrence {
        repetition(plan, recurrence, text);
    }
    details::write(plan, text, rng);
}

fn repetition(plan: &Plan, recurrence: &Recurrence, text: &mut CalendarText) {
    text.line(&format!("RRULE:{}", recurrence.rule));
    let deleted: Vec<DateTime> = recurrence
        .deleted
        .iter()
        .map(|number| recurrence.occurrence(plan.start, *number))
        .collect();
    if plan.index.is_multiple_of(2) && !deleted.is_empty() {
        text.line(&plan.kind.property_of_many("EXDATE", &deleted));
    } else {
        for time in deleted {
            text.line(&plan.kind.property("EXDATE", time));
        }
    }
    let added: Vec<DateTime> = recurrence
        .added_after_days
        .iter()
        .map(|days| plan.start.saturating_add(days.days()))
        .collect();
    if !added.is_empty() {
        text.line(&plan.kind.property_of_many("RDATE", &added));
    }
}

/// An override: another time, usually another title, now and then cancelled.
fn moved(plan: &Plan, original: DateTime, text: &mut CalendarText, rng: &mut StdRng) {
    identity(plan, text, rng);
    text.line(&plan.kind.property("RECURRENCE-ID", original));
    let later = match plan.kind {
        TimeKind::Date => 1.day(),
        TimeKind::Zoned(_) | TimeKind::Utc | TimeKind::Floating => 90.minutes(),
    };
    when(plan, original.saturating_add(later), plan.length, text);
    text.text(
        "SUMMARY",
        &format!("Moved: {}", sample_text::pick(rng, &sample_text::TITLES)),
    );
    if rng.random_bool(0.15) {
        text.line("STATUS:CANCELLED");
    }
    if rng.random_bool(0.4) {
        text.text("LOCATION", sample_text::pick(rng, &sample_text::PLACES));
    }
    if plan.has_people {
        details::people(text, rng);
    }
    text.line("X-CORPUS-OVERRIDE;X-BY=\"someone; else\":yes");
}

fn identity(plan: &Plan, text: &mut CalendarText, rng: &mut StdRng) {
    text.line(&format!("UID:{}", plan.uid));
    text.line("DTSTAMP:20250101T120000Z");
    if rng.random_bool(0.6) {
        text.line("CREATED:20241224T080000Z");
        text.line(&format!(
            "LAST-MODIFIED:202501{:02}T101500Z",
            rng.random_range(1..29)
        ));
    }
    if rng.random_bool(0.5) {
        text.line(&format!("SEQUENCE:{}", rng.random_range(0..6)));
    }
}

fn when(plan: &Plan, start: DateTime, length: Span, text: &mut CalendarText) {
    text.line(&plan.kind.property("DTSTART", start));
    if !plan.by_duration {
        text.line(&plan.kind.property("DTEND", start.saturating_add(length)));
        return;
    }
    let minutes = i64::from(length.get_hours()) * 60 + length.get_minutes();
    text.line(&match plan.kind {
        TimeKind::Date => format!("DURATION:P{}D", length.get_days()),
        TimeKind::Zoned(_) | TimeKind::Utc | TimeKind::Floating => format!("DURATION:PT{minutes}M"),
    });
}
