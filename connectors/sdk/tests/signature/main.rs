//! Every scheme against its vendor's published vectors, and against what an attacker would make of them.

mod standard_webhooks;
