//! The program `concord` as its own process, against real servers (a private Radicale for CalDAV, a private Dovecot for
//! IMAP) and a simulated Google. Everything goes through the HTTP API; what happens at the servers is counted and read
//! there.
//!
//! `CONCORD_FULL=1` runs the sizes that take minutes: 2,000 events, fifty kills.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers fail the test"
)]

mod bad_servers;
mod hub;
mod kill;
mod mailbox;
mod mirror;
mod passthrough;
mod radicale;
mod scene;

/// One size for every day and one for `CONCORD_FULL=1`.
fn size(daily: usize, full: usize) -> usize {
    let wanted = std::env::var_os("CONCORD_FULL").is_some_and(|value| value == "1");
    if wanted { full } else { daily }
}
