//! `DESCRIPTION`, and `X-ALT-DESC` for the same as HTML.

use model::canonical;
use model::event::Description;
use serde_json::Value;

use crate::engine::{Problem, Tree, typed};
use crate::ical::event::Event;
use crate::ical::line::{Line, escape, unescape};

/// What Outlook and others write next to `DESCRIPTION` for rich text.
const RICH: &str = "X-ALT-DESC";

fn is_rich(line: &Line) -> bool {
    line.name() == RICH && line.param_is("FMTTYPE", "text/html")
}

pub(in crate::ical) fn description(event: &Event) -> Option<Value> {
    let text = event
        .component
        .first("DESCRIPTION")
        .map(|line| unescape(line.value()));
    let html = event
        .component
        .lines()
        .find(|line| is_rich(line))
        .map(|line| unescape(line.value()));
    canonical::to_value(Description {
        text: text.unwrap_or_default(),
        html,
    })
}

pub(in crate::ical) fn set_description(event: &mut Event, value: Option<&Value>) -> Result<(), Problem> {
    let new: Description = value.map(typed).transpose()?.unwrap_or_default();
    let old: Description = description(event)
        .as_ref()
        .map(typed)
        .transpose()?
        .unwrap_or_default();
    if new.text != old.text {
        let text = Some(new.text.as_str()).filter(|text| !text.is_empty());
        event.set_scalar("DESCRIPTION", true, text)?;
    }
    if new.html == old.html {
        return Ok(());
    }
    let Some(html) = new.html else {
        event.component.remove(is_rich);
        return Ok(());
    };
    let raw = escape(&html);
    if let Some(line) = event.component.lines_mut().find(|line| is_rich(line)) {
        line.set_value(raw);
        return Ok(());
    }
    event
        .component
        .insert(Line::new(RICH, raw).with_param("FMTTYPE", "text/html"));
    Ok(())
}
