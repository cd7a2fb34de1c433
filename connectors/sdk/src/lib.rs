//! The contract a connector implements, its errors, transport and layers; all a partner depends on.
