//! A stateful stand-in of Google Calendar API v3, and of the OAuth server that its clients need: consent, tokens,
//! revocation.
//!
//! Behaviour follows the vendor's pages, cited where it is made; where they are silent, the choice is stated in a
//! comment. Not simulated: copies of an event on its guests' calendars, the
//! `fields` parameter, batch requests, ACL, settings, colours, `quickAdd`, and writes to calendar lists; those
//! operations answer 501 with reason `notSimulated`.
//!
//! ```no_run
//! # async fn demo(clock: simulators::google_calendar::Clock) -> std::io::Result<()> {
//! use simulators::google_calendar::{AccountConfig, Config, GoogleCalendar};
//! let account = AccountConfig::new("ada@example.com").access_token("secret");
//! let google = GoogleCalendar::start(Config::new(clock).account(account)).await?;
//! println!("{} has {} events", google.api_url(), google.event_count("ada@example.com"));
//! # Ok(()) }
//! ```

mod calendars;
mod channels;
mod clock;
mod config;
mod consent;
mod errors;
mod event_body;
mod events_create;
mod events_write;
mod freebusy;
mod handle;
mod listing;
mod mailbox;
mod oauth;
mod occurrences;
mod paging;
mod params;
mod recurrence;
mod render;
mod routes;
mod shape;
mod snapshot;
mod state;
mod times;

pub use clock::{Clock, ManualClock};
pub use config::{AccountConfig, CalendarConfig, Config, Quota, Role};
pub use consent::Answer;
pub use errors::{ApiError, Trouble};
pub use handle::{CalendarHandle, GoogleCalendar, GoogleCalendarServer};
pub use mailbox::{Notification, NotificationKind};
pub use oauth::Rotation;
pub use snapshot::Snapshot;
