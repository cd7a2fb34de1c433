//! A CalDAV server in memory: WebDAV (RFC 4918), CalDAV (RFC 4791), collection synchronisation (RFC 6578) and
//! discovery (RFC 6764), with the deviations of real servers as [`Quirks`].
//!
//! Not there, and refused rather than answered wrong: PROPPATCH, COPY, MOVE, LOCK, partial or expanded calendar
//! data, and scheduling (RFC 6638): this server never mails anybody.

mod answer;
mod bad_answers;
mod collections;
mod config;
mod content_lines;
mod element;
mod filter;
mod free_busy;
mod handles;
mod login;
mod objects;
mod occurrences;
mod properties;
mod propfind;
mod quirks;
mod reports;
mod rewriting;
mod service;
mod state;
mod target;
mod validity;

pub use config::{AccountConfig, CalendarConfig, Config, Schemes};
pub use handles::{CaldavServer, CalendarHandle, Member, Missing};
pub use quirks::{BadAnswer, BadAnswerForm, Operation, Quirks, Rejection, UnauthorizedFrom};
pub use state::Snapshot;
