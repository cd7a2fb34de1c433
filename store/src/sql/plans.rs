//! Prepared statements that a migration has overtaken. A node that is still of the release before keeps plans of
//! `SELECT *` whose answer got another column; PostgreSQL refuses those, once per connection, for as long as the
//! connection lives. So connections of before the first such refusal are let go.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Error;

/// When a plan was last refused.
static REFUSED: Mutex<Option<Instant>> = Mutex::new(None);

/// `feature_not_supported`, which has no code of its own for this case
/// (<https://github.com/postgres/postgres/blob/master/src/backend/utils/cache/plancache.c>, `RevalidateCachedQuery`).
const CODE: &str = "0A000";

/// Whether a statement was refused for its plan. If so, no connection of before now is used again.
pub(super) fn overtaken(error: &Error) -> bool {
    let refused = error.as_database_error().is_some_and(|error| {
        error.code().as_deref() == Some(CODE) && error.message().contains("cached plan must not change")
    });
    if refused {
        *REFUSED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
    refused
}

/// Whether a connection of this age may hold such plans.
pub(crate) fn are_kept_at(age: Duration) -> bool {
    let refused = *REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    refused.is_some_and(|at| age >= at.elapsed())
}
