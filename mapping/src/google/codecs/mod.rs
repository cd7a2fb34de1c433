//! How each shaped value looks in Google's JSON: a reader and a writer side by side for every codec.

pub(super) mod people;
pub(super) mod properties;
pub(super) mod recurrence;
pub(super) mod reminders;
pub(super) mod things;
pub(super) mod time;
