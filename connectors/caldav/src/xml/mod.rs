//! XML as WebDAV speaks it: answers are read without trust, questions are written whole.

pub(crate) mod names;
pub(crate) mod properties;
pub(crate) mod reader;
pub(crate) mod writer;
