//! Library and binary concord: the API, jobs, configuration.
//!
//! [`server::Server`] is the whole of it in one value; the binary, the demo and the tests start it the same way.

pub mod api;
pub mod cli;
pub mod config;
pub mod consent;
pub mod demo;
pub mod egress;
pub mod entropy;
pub mod failure;
pub mod feed;
pub mod keys;
pub mod listener;
pub mod logs;
pub mod outbound;
pub mod passthrough;
pub mod providers;
pub mod redis;
pub mod registry;
pub mod schedules;
pub mod server;
pub mod state;
pub mod traces;
pub mod webhooks;
pub mod worker;
