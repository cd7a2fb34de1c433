//! The CalDAV connector against a real Radicale, against a server that misbehaves, and against hostile answers.

mod account;
mod broken_answers;
mod discovery;
mod quirks;
mod radicale;
mod writes;
