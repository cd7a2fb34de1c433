//! Stateful stand-ins of vendors' APIs, for tests and for concord demo.

pub mod caldav;
pub mod faults;
pub mod google_calendar;
mod request_log;
pub mod server;
