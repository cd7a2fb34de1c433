//! `concord doctor`: looks at everything that can be looked at from outside, beside a running server or without one.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use connector_sdk::{Clock as _, SystemClock};
use store::{Facts, OpenMode, Paging, SqliteStore};
use sync::ports::Providers as _;
use sync::state::{Connection, Health};

use super::terminal::{Terminal, Verdict};
use crate::config::{Config, Database};
use crate::egress::{Guard, SystemResolver};
use crate::failure::Failure;
use crate::providers::ProviderPool;
use crate::registry;
use crate::server::open_store;

/// Work that waits longer than this is late.
const LATE_MS: i64 = 5 * 60_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Prints one line per finding and keeps the worst.
struct Report<'a> {
    terminal: &'a mut Terminal,
    worst: Verdict,
}

impl Report<'_> {
    fn say(&mut self, verdict: Verdict, what: &str, remedy: Option<&str>) -> std::io::Result<()> {
        self.worst = self.worst.max(verdict);
        self.terminal.check(verdict, what, remedy)
    }

    fn failed(&mut self, failure: &Failure) -> std::io::Result<()> {
        self.say(Verdict::Fail, &failure.cause, Some(&failure.remedy))
    }
}

pub(super) async fn examine(
    config: Result<Config, Failure>,
    terminal: &mut Terminal,
) -> anyhow::Result<ExitCode> {
    terminal.line(&terminal.bold("Concord looks itself over"))?;
    let mut report = Report {
        terminal,
        worst: Verdict::Ok,
    };
    match config {
        Err(failure) => report.failed(&failure)?,
        Ok(config) => {
            report.say(Verdict::Ok, "settings", None)?;
            server(&config, &mut report).await?;
            redis(&config, &mut report).await?;
            let missing = match &config.database {
                Database::File(path) => !path.exists(),
                Database::Server(_) => false,
            };
            if missing {
                let what = format!("database: {} does not exist yet", config.database);
                report.say(
                    Verdict::Warn,
                    &what,
                    Some("`concord serve` makes it at its first start"),
                )?;
            } else {
                match open_store(&config, OpenMode::Beside).await {
                    Err(failure) => report.failed(&failure)?,
                    Ok(store) => {
                        database(&store, &mut report).await?;
                        connections(&config, &store, &mut report).await?;
                        store.close().await;
                    }
                }
            }
        }
    }
    Ok(match report.worst {
        Verdict::Ok | Verdict::Warn => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::FAILURE,
    })
}

async fn server(config: &Config, report: &mut Report<'_>) -> std::io::Result<()> {
    let what = format!("server at {}", config.listen);
    match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(config.listen)).await {
        Ok(Ok(_)) => report.say(Verdict::Ok, &format!("{what}: something listens"), None),
        Ok(Err(_)) | Err(_) => {
            let remedy = "nothing syncs until `concord serve` runs";
            report.say(Verdict::Warn, &format!("{what}: nothing listens"), Some(remedy))
        }
    }
}

/// Its loss costs nodes some time, and no data: it is never a failure.
async fn redis(config: &Config, report: &mut Report<'_>) -> std::io::Result<()> {
    let Some(address) = &config.redis else {
        return Ok(());
    };
    match crate::redis::look(address).await {
        Ok(seen) => {
            let what = format!(
                "Redis at {address}: release {}, {} nodes listen",
                seen.version, seen.listening
            );
            report.say(Verdict::Ok, &what, None)
        }
        Err(reason) => {
            let what = format!("Redis at {address}: {reason}");
            let remedy = "nothing is lost: nodes keep to their shares of the vendors' rates and hear of changes through \
                          the database; docs/runbooks/lost-redis.md";
            report.say(Verdict::Warn, &what, Some(remedy))
        }
    }
}

async fn database(store: &SqliteStore, report: &mut Report<'_>) -> std::io::Result<()> {
    let now_ms = SystemClock.now_ms();
    let facts = match store.facts(now_ms).await {
        Ok(facts) => facts,
        Err(error) => return report.failed(&super::database_failed(&error)),
    };
    for problem in &facts.problems {
        let remedy = "stop the server and restore a backup";
        report.say(Verdict::Fail, &format!("database: {problem}"), Some(remedy))?;
    }
    if facts.problems.is_empty() {
        report.say(Verdict::Ok, &sizes(&facts), None)?;
    }
    report.say(Verdict::Ok, &format!("master key {}", facts.key_id), None)?;
    let late_ms = facts.oldest_due_at.map_or(0, |due| now_ms - due);
    if late_ms > LATE_MS {
        let what = format!(
            "queue: the oldest job has waited for {} minutes",
            late_ms / 60_000
        );
        report.say(
            Verdict::Warn,
            &what,
            Some("start `concord serve`, or raise `parallel_jobs`"),
        )?;
    } else {
        report.say(
            Verdict::Ok,
            &format!("queue: {} jobs run, none is late", facts.running),
            None,
        )?;
    }
    nodes(&facts, now_ms, report)?;
    if facts.expired > 0 {
        let what = format!(
            "leases: {} jobs were left behind by a process that ended",
            facts.expired
        );
        report.say(
            Verdict::Warn,
            &what,
            Some("the next free worker takes them up; nothing is lost"),
        )?;
    }
    Ok(())
}

/// Who is there, and who works on how much.
fn nodes(facts: &Facts, now_ms: i64, report: &mut Report<'_>) -> std::io::Result<()> {
    let seconds = |ms: i64| ms / 1000;
    for node in &facts.nodes {
        let what = format!(
            "node {}: {} connections, for {} s",
            node.name,
            node.connections,
            seconds(now_ms - node.since)
        );
        report.say(Verdict::Ok, &what, None)?;
    }
    for lease in &facts.leases {
        let left = seconds(lease.until - now_ms);
        let what = format!(
            "leases: {} works on {} jobs, for {left} s more at the longest",
            lease.node, lease.jobs
        );
        report.say(Verdict::Ok, &what, None)?;
    }
    Ok(())
}

fn sizes(facts: &Facts) -> String {
    format!(
        "database: sound, version {}, {} kB and a log of {} kB",
        facts.migration,
        facts.database_bytes / 1024,
        facts.log_bytes / 1024
    )
}

async fn connections(config: &Config, store: &SqliteStore, report: &mut Report<'_>) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock);
    let roots = &config.extra_roots;
    let guard = || Guard::new(config.egress.clone(), Arc::new(SystemResolver), roots);
    let guard = config.guard_connections.then(guard).transpose()?;
    let pool = ProviderPool::new(registry::connectors(), store.clone(), clock, roots, guard)?;
    for organization in store
        .organizations()
        .await
        .map_err(|error| super::database_failed(&error))?
    {
        let mut paging = Paging::first(200);
        loop {
            let page = store
                .connections(&organization.id, &paging)
                .await
                .map_err(|error| super::database_failed(&error))?;
            for connection in &page.items {
                examine_connection(&pool, connection, config, report).await?;
            }
            let Some(next) = page.next else { break };
            paging.after = Some(next);
        }
    }
    Ok(())
}

async fn examine_connection(
    pool: &ProviderPool,
    connection: &Connection,
    config: &Config,
    report: &mut Report<'_>,
) -> std::io::Result<()> {
    let what = format!(
        "connection {} ({}, {})",
        connection.id, connection.provider, connection.name
    );
    if connection.health == Health::Paused {
        return report.say(Verdict::Ok, &format!("{what}: paused"), None);
    }
    let asked = async {
        let provider = pool.open(connection).await?;
        match provider.connector.pull() {
            Some(pull) => pull.collections(&provider.ctx).await.map(|listed| listed.len()),
            None => Ok(0),
        }
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Err(_) => {
            let remedy = "check the address and the network";
            report.say(Verdict::Fail, &format!("{what}: no answer"), Some(remedy))
        }
        Ok(Err(error)) => {
            let code = crate::api::error::provider_code(&error);
            report.say(Verdict::Fail, &format!("{what}: {error}"), Some(code.meaning()))
        }
        Ok(Ok(count)) => {
            let lag_ms = connection.synced_at.map(|at| SystemClock.now_ms() - at);
            let interval_ms = i64::try_from(config.sync_interval.as_millis()).unwrap_or(i64::MAX);
            match lag_ms {
                Some(lag_ms) if lag_ms <= interval_ms.saturating_mul(3) + LATE_MS => {
                    let text = format!("{what}: {count} collections, synced {} s ago", lag_ms / 1000);
                    report.say(Verdict::Ok, &text, None)
                }
                Some(_) | None => {
                    let reason = connection
                        .health_reason
                        .as_deref()
                        .unwrap_or("no sync has ended well lately");
                    let text = format!("{what}: reachable, but {reason}");
                    report.say(Verdict::Warn, &text, Some("look at GET /v1/jobs?state=failed"))
                }
            }
        }
    }
}
