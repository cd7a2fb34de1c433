//! Lenses: vendor JSON and iCalendar to the model and back, from one declaration. No I/O.
//!
//! A mapping is data: a table of [`Row`]s, each `model field <-> vendor path` with a named [`Codec`]. The
//! [`engine`] reads and writes from the same table, so the two directions cannot disagree. The laws that every
//! mapping keeps (GetPut, PutGet, idempotent projection, frame) are properties in `tests/laws.rs`.

pub mod engine;
mod error;
pub mod google;
mod html;
pub mod ical;
pub mod mime;

pub use engine::{Codec, Direction, FieldSupport, Row};
pub use error::{MappingError, Reason};
