//! What is measured, and on which stores.

use std::fmt;

use clap::ValueEnum;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Concord as it ships.
    Concord,
    /// The same server, verifying and storing nothing.
    Verify,
    /// axum with a bare group-committed insert, verifying nothing.
    Group,
    /// axum with one INSERT per request through a pool of 8, verifying nothing.
    Insert,
    /// Express with one INSERT per request through a pool of 8, verifying nothing.
    Express,
}

/// Where it is stored; every commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// A file, `synchronous=FULL`.
    Sqlite,
    /// A private server, `synchronous_commit=on`.
    Postgres,
}

impl Subject {
    /// What there is to measure on a store.
    pub(crate) fn on(store: StoreKind) -> Vec<Self> {
        let mut all = vec![Self::Concord, Self::Verify, Self::Group, Self::Insert];
        if store == StoreKind::Postgres {
            all.push(Self::Express);
        }
        all
    }

    /// What the table says of it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Concord => "Concord: verify, dedupe, commit, 2xx",
            Self::Verify => "(a) the same server, verifying and storing nothing",
            Self::Group => "(b) axum, bare group-committed insert, verifying nothing",
            Self::Insert => "(c) axum, one INSERT per request, pool of 8",
            Self::Express => "(d) Express 5 with `pg`, one INSERT per request, pool of 8",
        }
    }
}

impl StoreKind {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(self))
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(self))
    }
}

/// As it is called on the command line.
fn name(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}
