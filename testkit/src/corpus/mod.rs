//! Calendar objects to test with: thousands of well-formed ones that use what real calendars use, a list of hostile
//! ones, and a comparison that knows nothing of our own mapping.
//!
//! The same count and seed give the same bytes, and a smaller count gives the first of them.

mod calendar_text;
mod details;
mod event;
mod hostile;
mod recurrence;
mod sample_text;
pub mod semantics;
mod zone;

pub use hostile::{Hostile, hostile};

/// One CalDAV resource: a file with one event, its overrides and its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// File name at the server, such as `event-000042.ics`.
    pub name: String,
    /// The event's UID; never the file name.
    pub uid: String,
    /// The iCalendar text, with CRLF line ends.
    pub ics: String,
}

/// The size of a description that is a burden, as one resource in a hundred has.
pub const LONG_DESCRIPTION_BYTES: usize = 50_000;

/// `count` events; see the module for what they hold. Every hundredth carries a description of
/// [`LONG_DESCRIPTION_BYTES`].
pub fn events(count: usize, seed: u64) -> Vec<Resource> {
    (0..count)
        .map(|index| event::resource(index, seed, index % 100 == 42))
        .collect()
}

/// `count` events like [`events`], all of them about a kilobyte or two: no burdensome descriptions.
pub fn small_events(count: usize, seed: u64) -> Vec<Resource> {
    (0..count)
        .map(|index| event::resource(index, seed, false))
        .collect()
}
