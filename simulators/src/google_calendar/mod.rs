//! A stateful stand-in of Google Calendar API v3.
