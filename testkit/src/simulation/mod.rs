//! The deterministic simulator: providers that behave as vendors do, and what is checked of the hub among them.

pub mod provider;
