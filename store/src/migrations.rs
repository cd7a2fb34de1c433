//! The steps that bring a database up to date. They are carried in the program: nothing is read at run time. Each step
//! has a file for each engine, with the same number: `migrations/README.md`.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sync::ports::StoreError;

use crate::column::failed;
use crate::dialect::Engine;
use crate::sql::{self, Pool};

/// A step: its number, what it is about, and its text for either engine.
struct Step {
    version: i64,
    about: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! step {
    ($version:literal, $about:literal, $file:literal) => {
        Step {
            version: $version,
            about: $about,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../../migrations/postgres/", $file)),
        }
    };
}

const STEPS: [Step; 14] = [
    step!(1, "first light", "0001_first_light.sql"),
    step!(2, "history and holds", "0002_history_and_holds.sql"),
    step!(3, "traits", "0003_traits.sql"),
    step!(4, "linking", "0004_linking.sql"),
    step!(5, "anchors", "0005_anchors.sql"),
    step!(7, "feed connections", "0007_feed_connections.sql"),
    step!(8, "outbound", "0008_outbound.sql"),
    step!(9, "inbox", "0009_inbox.sql"),
    step!(10, "webhooks of changes", "0010_webhooks_of_changes.sql"),
    step!(11, "idle", "0011_idle.sql"),
    step!(12, "consent", "0012_consent.sql"),
    step!(15, "audit", "0015_audit.sql"),
    step!(16, "schedules", "0016_schedules.sql"),
    step!(17, "parts of links", "0017_parts_of_links.sql"),
];

/// All steps for an engine. On PostgreSQL sqlx runs them under an advisory lock: of several nodes that start at once
/// one applies them, and the others wait.
pub(crate) fn migrator(engine: Engine) -> Migrator {
    let steps = STEPS.iter().map(|step| {
        let text = match engine {
            Engine::Sqlite => step.sqlite,
            Engine::Postgres => step.postgres,
        };
        Migration::new(
            step.version,
            step.about.into(),
            MigrationType::Simple,
            text.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(steps.collect())
}

/// The number of the last step.
pub(crate) fn newest() -> i64 {
    STEPS.iter().map(|step| step.version).max().unwrap_or_default()
}

/// The number of the last step that was applied; 0 on a database that nobody has set up.
pub(crate) async fn applied(pool: &Pool) -> Result<i64, StoreError> {
    let version: Option<i64> = sql::query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await
        .map_err(failed)?;
    Ok(version.unwrap_or_default())
}
