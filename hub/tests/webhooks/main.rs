//! Webhooks in, over real HTTP: what is answered, what is stored, what comes of it, what survives.

#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod apps;
mod failing;
mod hostile;
mod intake;
mod kill;
mod scene;
mod work;
