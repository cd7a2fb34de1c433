//! Google Calendar.
