//! What handlers take: who calls, ids from the path, parameters, bodies, preconditions. Each turns its failure into
//! the API's envelope.

mod body;
mod caller;
mod header;
mod id;
mod params;

pub(crate) use body::read as read_body;
pub use body::{Body, MAX_BODY_BYTES};
pub use caller::Caller;
pub use header::{IdempotencyKey, IfMatch};
pub use id::Id;
pub use params::{MAX_LIMIT, Params, encode_cursor, paging};
