//! `VALARM` (RFC 5545 section 3.6.6): alarms a whole number of minutes from the start are the account's reminders,
//! all others are foreign and stay as they are.

use std::collections::BTreeSet;

use model::canonical;
use model::event::{Reminder, ReminderMethod, Reminders};
use serde_json::Value;

use super::duration::Duration;
use crate::engine::{Problem, typed};
use crate::ical::event::Event;
use crate::ical::line::Line;
use crate::ical::tree::{Component, Item};

/// The reminder that an alarm is; `None` for a foreign one.
fn reminder(alarm: &Component) -> Option<Reminder> {
    if alarm.name != "VALARM" {
        return None;
    }
    let action = alarm.first("ACTION")?.value().trim().to_ascii_uppercase();
    let method = match action.as_str() {
        "DISPLAY" | "AUDIO" => ReminderMethod::Popup,
        "EMAIL" => ReminderMethod::Email,
        _ => return None,
    };
    let trigger = alarm.first("TRIGGER")?;
    if trigger.param_is("RELATED", "END") {
        return None;
    }
    let before = Duration::parse(trigger.value())?;
    let seconds = before.days.checked_mul(86_400)?.checked_add(before.seconds)?;
    (seconds % 60 == 0).then_some(Reminder {
        minutes_before: -(seconds / 60),
        method,
    })
}

pub(in crate::ical) fn reminders(event: &Event) -> Option<Value> {
    let items = event.component.components().filter_map(reminder).collect();
    canonical::to_value(Reminders {
        use_default: false,
        items,
    })
}

/// `use_default` cannot be said: iCalendar knows no alarms of the calendar.
pub(in crate::ical) fn set_reminders(event: &mut Event, value: Option<&Value>) -> Result<(), Problem> {
    let reminders: Reminders = value.map(typed).transpose()?.unwrap_or_default();
    let wanted: BTreeSet<Reminder> = reminders.items.into_iter().collect();
    event.component.items.retain(|item| match item {
        Item::Component(alarm) => reminder(alarm).is_none_or(|known| wanted.contains(&known)),
        Item::Line(_) | Item::Gap(_) => true,
    });
    let known: BTreeSet<Reminder> = event.component.components().filter_map(reminder).collect();
    let summary = event
        .component
        .first("SUMMARY")
        .map(|line| line.value().to_owned());
    let text = summary
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "Reminder".to_owned());
    let organizer = event
        .component
        .first("ORGANIZER")
        .map(|line| line.value().to_owned());
    for new in wanted.difference(&known) {
        let alarm = alarm(new, &text, organizer.as_deref());
        event.component.items.push(Item::Component(alarm));
    }
    Ok(())
}

/// A new alarm with the properties that its action asks for.
fn alarm(reminder: &Reminder, text: &str, organizer: Option<&str>) -> Component {
    let trigger = Duration {
        days: 0,
        seconds: reminder.minutes_before.saturating_mul(-60),
    };
    let alarm = Component::new("VALARM").with(Line::new("TRIGGER", trigger.format()));
    match reminder.method {
        ReminderMethod::Popup => alarm
            .with(Line::new("ACTION", "DISPLAY"))
            .with(Line::new("DESCRIPTION", text)),
        ReminderMethod::Email => {
            let alarm = alarm
                .with(Line::new("ACTION", "EMAIL"))
                .with(Line::new("SUMMARY", text))
                .with(Line::new("DESCRIPTION", text));
            // To whom the mail goes. The object does not name the account; the organizer is the best it can say.
            match organizer {
                Some(organizer) => alarm.with(Line::new("ATTENDEE", organizer)),
                None => alarm,
            }
        }
    }
}
