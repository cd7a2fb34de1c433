//! What nodes share besides their database, on a Redis server where one is configured: a bell that rings when a feed
//! grew, and the vendors' rates. Neither is anything's only place: without the server, whether it is gone, slow or
//! talks nonsense, bells ring by the database and each node keeps to its share of a rate (ADR 15).

mod address;
mod bells;
mod budget;
mod link;
mod look;
mod reason;

pub use address::{Address, NoAddress};
pub use bells::carry;
pub use budget::{Budgets, Nodes};
pub use link::Redis;
pub use look::{Seen, look};
pub use reason::Reason;
