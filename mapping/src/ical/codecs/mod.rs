//! How each shaped value looks in iCalendar: a reader and a writer side by side for every codec.

pub(super) mod alarms;
pub(super) mod duration;
pub(super) mod labels;
pub(super) mod links;
pub(super) mod people;
pub(crate) mod recurrence;
pub(super) mod text;
pub(crate) mod time;
