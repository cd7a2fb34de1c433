//! Events by id, whether they are stored or only implied by the series that they belong to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::json;

use super::errors::ApiError;
use super::recurrence::{Series, instance_id};
use super::state::{Calendar, Event};
use super::times::When;

/// Finds events of one calendar; a series is read and walked once, however many of its occurrences are asked for.
pub(crate) struct Finder<'a> {
    calendar: &'a Calendar,
    series: RefCell<HashMap<String, Rc<Series>>>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(calendar: &'a Calendar) -> Self {
        Self {
            calendar,
            series: RefCell::default(),
        }
    }

    /// The event with this id: stored, or an occurrence that its series implies, whose etag is then its master's.
    pub(crate) fn find(&self, event_id: &str) -> Result<Event, ApiError> {
        if let Some(event) = self.calendar.events.get(event_id) {
            return Ok(event.clone());
        }
        let (master_id, suffix) = event_id.rsplit_once('_').ok_or_else(ApiError::not_found)?;
        let master = self
            .calendar
            .events
            .get(master_id)
            .ok_or_else(ApiError::not_found)?;
        if !master.is_series() || master.is_cancelled() {
            return Err(ApiError::not_found());
        }
        let series = self.series(master_id, master)?;
        let start = series.start_from_suffix(suffix).filter(|start| series.has(start));
        Ok(occurrence(
            master_id,
            master,
            &series,
            &start.ok_or_else(ApiError::not_found)?,
        ))
    }

    fn series(&self, master_id: &str, master: &Event) -> Result<Rc<Series>, ApiError> {
        if let Some(known) = self.series.borrow().get(master_id) {
            return Ok(known.clone());
        }
        let series = Rc::new(Series::read(&master.body)?);
        self.series
            .borrow_mut()
            .insert(master_id.to_owned(), series.clone());
        Ok(series)
    }
}

/// One event by its id; see [`Finder::find`].
pub(crate) fn find(calendar: &Calendar, event_id: &str) -> Result<Event, ApiError> {
    Finder::new(calendar).find(event_id)
}

/// One occurrence of a series as an event of its own.
pub(crate) fn occurrence(master_id: &str, master: &Event, series: &Series, start: &When) -> Event {
    let mut event = master.clone();
    event.body.remove("recurrence");
    event
        .body
        .insert("id".to_owned(), json!(instance_id(master_id, start)));
    event.body.insert("recurringEventId".to_owned(), json!(master_id));
    event
        .body
        .insert("originalStartTime".to_owned(), start.to_stored());
    event.body.insert("start".to_owned(), start.to_stored());
    event
        .body
        .insert("end".to_owned(), series.end_of(start).to_stored());
    event
}
