//! Outbound webhooks: endpoints and their secrets, deliveries made from the feed, attempts.

mod attempts;
mod deliveries;
mod derive;
mod due;
mod endpoints;
mod lease;
mod replay;
mod secrets;

pub use attempts::{Attempt, EndpointNote, Outcome, Sent, Then};
pub use deliveries::{Delivery, DeliveryFilter, DeliveryState};
pub use derive::{Derivation, NewDelivery};
pub use due::DueDelivery;
pub use endpoints::{EndpointState, WebhookEndpoint};
pub use replay::{Replay, ReplayOf};
pub use secrets::EndpointSecret;

pub(crate) use deliveries::sweep;
pub(crate) use lease::release_all;
pub(crate) use secrets::PURPOSE as SECRET_PURPOSE;
