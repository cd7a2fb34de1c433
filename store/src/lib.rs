//! The ports on SQLite. The only room that knows SQL.
