//! What an endpoint is told: the same bytes in every attempt.

use model::WebhookEndpointId;
use serde::Serialize;
use store::DueDelivery;

use crate::api::changes::ChangeOut;
use crate::api::envelope::moment;

/// The body, in the form that Standard Webhooks recommends: `type`, `timestamp`, `data`.
#[derive(Serialize)]
struct Message<T> {
    r#type: String,
    timestamp: String,
    data: T,
}

#[derive(Serialize)]
struct Test<'a> {
    endpoint_id: &'a WebhookEndpointId,
    message: &'static str,
}

/// The body of a delivery.
pub(super) fn body(endpoint: &WebhookEndpointId, delivery: &DueDelivery) -> Vec<u8> {
    let written = match &delivery.change {
        Some(change) => serde_json::to_vec(&Message {
            r#type: format!("{}.{}", change.entry.kind, change.entry.action.name()),
            timestamp: moment(change.entry.at),
            data: ChangeOut::from(change.clone()),
        }),
        None => serde_json::to_vec(&Message {
            r#type: "webhook_endpoint.test".to_owned(),
            timestamp: moment(delivery.created_at),
            data: Test {
                endpoint_id: endpoint,
                message: "This is a test. Nothing changed.",
            },
        }),
    };
    // Strings, numbers and lists of them: writing them as JSON cannot fail.
    written.unwrap_or_default()
}
