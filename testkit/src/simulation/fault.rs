//! Planted faults: what stands between the engine and its ports, to show that the checks can fail.

use std::sync::Arc;

use connector_sdk::Connector;

use super::store_port::Backing;

/// Changes the ports before the engine gets them.
pub trait Plant: Send + Sync {
    /// The store and its queue.
    fn backing(&self, honest: Backing) -> Backing;
    /// A provider's connector.
    fn connector(&self, honest: Arc<dyn Connector>) -> Arc<dyn Connector>;
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
