//! When a calendar's owner is busy: the `free-busy-query` report (RFC 4791 section 7.10).

use async_trait::async_trait;
use connector_sdk::{Actions, BusyPeriod, Context, Error, ErrorKind, RemoteCollection};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::dav::Dav;
use crate::errors;
use crate::hrefs::Collection;
use crate::xml::writer;

#[derive(Debug)]
pub(crate) struct CaldavActions;

#[async_trait]
impl Actions for CaldavActions {
    async fn free_busy(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<BusyPeriod>, Error> {
        let dav = Dav::new(ctx, "free_busy");
        if from >= to {
            return Err(dav.error(ErrorKind::Invalid, "`from` must be before `to`"));
        }
        let place = Collection::new(&ctx.base_url, &collection.id, dav.operation)?;
        let utc = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
        let body = writer::free_busy(&utc(from), &utc(to));
        let answer = dav.ask_xml("REPORT", &place.url, "1", body).await?;
        match answer.status.as_u16() {
            200 if !errors::is_web_page(&answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                let periods = periods(&text).ok_or_else(|| {
                    dav.error(
                        ErrorKind::Unexpected,
                        "the server's free-busy answer is no VFREEBUSY",
                    )
                })?;
                Ok(merged(periods, from, to))
            }
            // Not every server has the report, and each says so in its own way.
            400 | 403 | 405 | 415 | 501 => {
                let message = "this server answers no free-busy queries";
                Err(dav
                    .error(ErrorKind::Unsupported, message)
                    .with_status(answer.status.as_u16()))
            }
            _ => Err(errors::refused(dav.operation, &answer)),
        }
    }
}

/// The periods of all FREEBUSY lines that are not marked as free (RFC 5545 sections 3.2.9 and 3.8.2.6); `None` when
/// the text is no VFREEBUSY or a period cannot be read.
fn periods(text: &str) -> Option<Vec<BusyPeriod>> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    if !unfolded
        .lines()
        .any(|line| line.eq_ignore_ascii_case("BEGIN:VFREEBUSY"))
    {
        return None;
    }
    let mut periods = Vec::new();
    for line in unfolded.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = name.to_ascii_uppercase();
        let mut parts = name.split(';');
        if parts.next() != Some("FREEBUSY") || parts.any(|part| part.trim_matches('"') == "FBTYPE=FREE") {
            continue;
        }
        for value in value.split(',') {
            periods.push(period(value.trim())?);
        }
    }
    Some(periods)
}

/// `20260105T090000Z/20260105T100000Z` or `20260105T090000Z/PT1H`
fn period(text: &str) -> Option<BusyPeriod> {
    let (from, to) = text.split_once('/')?;
    let from = instant(from)?;
    let to = match to.strip_prefix('+').unwrap_or(to) {
        duration if duration.starts_with(['P', 'p']) => {
            let span: Span = duration.parse().ok()?;
            from.to_zoned(TimeZone::UTC).checked_add(span).ok()?.timestamp()
        }
        time => instant(time)?,
    };
    Some(BusyPeriod { from, to })
}

fn instant(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%dT%H%M%S", text.strip_suffix(['Z', 'z'])?).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// In order, overlaps merged, cut to what was asked for.
fn merged(mut periods: Vec<BusyPeriod>, from: Timestamp, to: Timestamp) -> Vec<BusyPeriod> {
    for period in &mut periods {
        period.from = period.from.max(from);
        period.to = period.to.min(to);
    }
    periods.retain(|period| period.from < period.to);
    periods.sort_by_key(|period| period.from);
    let mut merged: Vec<BusyPeriod> = Vec::with_capacity(periods.len());
    for period in periods {
        match merged.last_mut() {
            Some(last) if period.from <= last.to => last.to = last.to.max(period.to),
            Some(_) | None => merged.push(period),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn busy_times_are_merged_cut_and_in_order_and_free_ones_left_out() {
        let text = "BEGIN:VCALENDAR\r\nBEGIN:VFREEBUSY\r\n\
            FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260105T120000Z/PT1H30M,20260105T08000\r\n 0Z/20260105T093000Z\r\n\
            FREEBUSY:20260105T130000Z/20260105T140000Z\r\n\
            FREEBUSY;FBTYPE=FREE:20260105T100000Z/PT1H\r\n\
            END:VFREEBUSY\r\nEND:VCALENDAR\r\n";
        let (from, to) = (at("2026-01-05T09:00:00Z"), at("2026-01-06T00:00:00Z"));
        let busy = merged(periods(text).unwrap(), from, to);
        let expected = [
            ("2026-01-05T09:00:00Z", "2026-01-05T09:30:00Z"),
            ("2026-01-05T12:00:00Z", "2026-01-05T14:00:00Z"),
        ];
        assert_eq!(
            busy,
            expected.map(|(from, to)| BusyPeriod {
                from: at(from),
                to: at(to)
            })
        );
    }

    #[test]
    fn what_is_no_free_busy_answer_is_not_taken_for_free_time() {
        assert!(periods("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n").is_none());
        assert!(periods("BEGIN:VFREEBUSY\r\nFREEBUSY:soon/PT1H\r\nEND:VFREEBUSY\r\n").is_none());
    }
}
