//! Observe, plan, execute, over ports. Knows no SQL, no HTTP.
