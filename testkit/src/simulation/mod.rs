//! The deterministic simulator: simulated providers, nodes and people, one store, and everything that can go wrong
//! between them, all from one seed.
//!
//! The engine that runs here is the real one. What is simulated is what it sees through its ports: the store's calls,
//! the providers' answers, the clock, the ids. Every call at a port is one turn ([`turn`]); whoever polls decides what
//! happens in which order, and a node dies by not being polled again. The [`oracle`] follows every value that somebody
//! wrote, and knows at the end what must be there. Run it with `cargo run --release -p testkit --bin simulate`;
//! `docs/proof.md` explains it to outsiders.

pub mod change;
mod checks;
mod connector_port;
pub mod disk;
pub mod fault;
mod finale;
pub mod oracle;
mod pages;
mod people;
pub mod play;
pub mod provider;
pub mod setup;
pub mod shrink;
pub mod step;
pub mod store_port;
mod story;
pub mod sweep;
pub mod time;
pub mod token;
pub mod topologies;
pub mod turn;
pub mod watch;
mod world;

pub use disk::DiskKind;
pub use play::{Options, Played, play};
pub use shrink::{Shrunk, shrink};
pub use sweep::{Death, Swept, sweep};
pub use watch::{Detail, Violation};
