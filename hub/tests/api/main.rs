//! The API over real HTTP: one binary, a server of its own per test, simulated providers, a database in a folder
//! that goes with the test.

mod auth;
mod bad_input;
mod connections;
mod documents;
mod envelope;
mod jobs;
mod process;
mod server;
mod tenants;
