//! Planted faults: what stands between the engine and its ports, to show that the checks can fail.
//!
//! Each is a mistake that engines which keep data in agreement do make. None needs a hook in the engine: a port that
//! lies makes the engine behind it do what one with the mistake does. [`PLANTS`] is the list, [`hunt`] finds them.

mod commits;
mod connector;
pub mod hunt;
mod jobs;
mod list;
mod memory;
mod objects;
mod pages;
mod snapshots;
mod store;
mod writes;

use std::sync::Arc;

use connector_sdk::Connector;

use super::provider::SimProvider;
use super::store_port::Backing;

pub use list::PLANTS;

/// Changes the ports before the engine gets them.
pub trait Plant: Send + Sync {
    /// The store and its queue. Asked again whenever the process starts.
    fn backing(&self, honest: Backing) -> Backing;
    /// A provider's connector. Asked once for each provider of a world.
    fn connector(&self, honest: Arc<dyn Connector>) -> Arc<dyn Connector>;
    /// What the connector forgets to tell the provider.
    fn provider(&self, _provider: &SimProvider) {}
}

/// Nothing is planted: the ports are as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Honest;

impl Plant for Honest {
    fn backing(&self, honest: Backing) -> Backing {
        honest
    }

    fn connector(&self, honest: Arc<dyn Connector>) -> Arc<dyn Connector> {
        honest
    }
}

/// A fault that can be planted.
pub struct Planted {
    /// Its name, for the command line.
    pub name: &'static str,
    /// The mistake, in plain words.
    pub mistake: &'static str,
    /// The invariants that it may break: what catches it must be one of them.
    pub breaks: &'static [u8],
    /// Plants it.
    pub plant: fn() -> Arc<dyn Plant>,
}

/// The fault with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Planted> {
    PLANTS.iter().find(|planted| planted.name == name)
}
