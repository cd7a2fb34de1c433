//! The connectors of this program: one line each.

use std::sync::Arc;

use connector_sdk::Connector;

/// Every connector, in the order in which people see them.
#[must_use]
pub fn connectors() -> Vec<Arc<dyn Connector>> {
    vec![
        Arc::new(connector_caldav::connector()),
        Arc::new(connector_google::connector()),
        Arc::new(connector_imap::connector()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_connector_has_a_name_of_its_own() {
        let connectors = super::connectors();
        let names: BTreeSet<_> = connectors.iter().map(|connector| connector.info().id).collect();
        assert_eq!(names.len(), connectors.len());
        assert!(!names.contains("memory"), "the in-process provider is for tests");
    }
}
