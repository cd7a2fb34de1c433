//! The reference connector: the smallest correct one. Its provider lives in the process, behind a handle that
//! tests use to act as another client, to count writes and to make trouble.
//!
//! It keeps every field of the model, so whatever does not come back from it was lost by its caller.

mod connector;
pub mod delivery;
mod fault;
mod provider;
mod pull;
mod push;
mod state;
mod webhooks;

pub use connector::{MemoryConnector, connector};
pub use fault::{Fault, Operation, When};
pub use provider::{MemoryProvider, Options};
pub use state::part_id;
