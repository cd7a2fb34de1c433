//! The reference connector: the smallest correct one.
