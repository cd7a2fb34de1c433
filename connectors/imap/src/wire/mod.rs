//! The protocol as bytes: framing, bounds, deadlines, and the little of each answer that the connector uses.

pub(crate) mod connection;
pub(crate) mod framing;
pub(crate) mod reply;
pub(crate) mod text;
