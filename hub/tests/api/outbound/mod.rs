//! Outbound webhooks: what is told, to whom, how often, and at what cost.

mod api;
mod bed;
mod delivering;
mod failing;
mod hostile;
mod receiver;
