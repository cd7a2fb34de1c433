//! Google Calendar, API v3. What the vendor's pages say, and where we rely on it, is in this crate's `README.md`.

mod api;
mod auth;
mod connector;
mod errors;
mod free_busy;
mod ids;
mod instances;
mod object;
mod pull;
mod push;

pub use connector::{GoogleConnector, connector};
