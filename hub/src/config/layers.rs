//! The three layers of settings, and from which of them each value came.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;

use super::{DEFAULT_FILE, USUAL_FILE};
use crate::failure::Failure;

/// A setting.
pub(super) struct Key {
    /// Its name in the file; in the environment it is in capitals behind `CONCORD_`.
    pub(super) name: &'static str,
    /// Whether its value is a number.
    number: bool,
}

const fn text(name: &'static str) -> Key {
    Key { name, number: false }
}

const fn number(name: &'static str) -> Key {
    Key { name, number: true }
}

/// Every setting there is.
pub(super) const KEYS: &[Key] = &[
    text("listen"),
    text("public_url"),
    text("database_url"),
    text("redis_url"),
    text("master_key"),
    text("master_key_file"),
    text("master_key_next"),
    text("master_key_next_file"),
    number("sync_interval_seconds"),
    number("parallel_jobs"),
    number("max_connections"),
    text("extra_roots_file"),
    text("egress_allow"),
    text("egress_ports"),
    text("guard_connections"),
    text("log_format"),
    text("log_level"),
];

/// Variables that begin as ours do and are no settings.
const NO_SETTINGS: &[&str] = &["CONCORD_CONFIG", "CONCORD_VENDOR_SPECS"];
/// What Kubernetes puts into every container beside a service of the name `concord`:
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.
const FROM_KUBERNETES: &[&str] = &["CONCORD_SERVICE_", "CONCORD_PORT"];

/// The `CONCORD_*` variables of the process, taken once and handed in, so that tests bring their own.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// The process's own.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_pairs(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// These variables; others than `CONCORD_*` are left out.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |(name, _): &(String, String)| {
            name.starts_with("CONCORD_") && !FROM_KUBERNETES.iter().any(|prefix| name.starts_with(prefix))
        };
        Self {
            variables: pairs.into_iter().filter(ours).collect(),
        }
    }
}

/// Where a value stands.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// In the default file.
    Default,
    /// In this file.
    File(PathBuf),
    /// In this variable.
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// The settings, merged and not yet checked.
pub(super) struct Settings {
    values: BTreeMap<&'static str, (Value, Source)>,
}

impl Settings {
    pub(super) fn read(file: Option<&Path>, environment: &Environment) -> Result<Self, Failure> {
        let mut settings = Self::defaults()?;
        let named = file.is_some();
        let path = file.unwrap_or(Path::new(USUAL_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => settings.overlay(&text, &Source::File(path.to_owned()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {}
            Err(error) => {
                return Err(Failure::new(
                    format!("the settings in {} cannot be read: {error}", path.display()),
                    "name a file that exists and that this user may read (`--config`, CONCORD_CONFIG)",
                ));
            }
        }
        for (name, value) in &environment.variables {
            settings.variable(name, value)?;
        }
        Ok(settings)
    }

    pub(super) fn from_text(text: &str) -> Result<Self, Failure> {
        let mut settings = Self::defaults()?;
        settings.overlay(text, &Source::File(USUAL_FILE.into()))?;
        Ok(settings)
    }

    fn defaults() -> Result<Self, Failure> {
        let mut settings = Self {
            values: BTreeMap::new(),
        };
        settings.overlay(DEFAULT_FILE, &Source::Default)?;
        Ok(settings)
    }

    fn overlay(&mut self, text: &str, source: &Source) -> Result<(), Failure> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].lines().count().max(1)
            });
            Failure::new(
                format!("{source}, line {line}: {}", error.message()),
                "write it as `name = value`; `concord serve --print-config` shows a whole file",
            )
        })?;
        for (name, value) in table {
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                return Err(unknown(&format!("`{name}` in {source}"), &name));
            };
            self.values.insert(key.name, (value, source.clone()));
        }
        Ok(())
    }

    fn variable(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        if NO_SETTINGS.contains(&name) {
            return Ok(());
        }
        let setting = name.trim_start_matches("CONCORD_").to_lowercase();
        let Some(key) = KEYS.iter().find(|key| key.name == setting) else {
            return Err(unknown_variable(name, &setting));
        };
        let value = match value.parse::<i64>() {
            Ok(parsed) if key.number => Value::Integer(parsed),
            Ok(_) | Err(_) => Value::String(value.to_owned()),
        };
        self.values
            .insert(key.name, (value, Source::Variable(name.to_owned())));
        Ok(())
    }

    /// A setting's text; `None` when it is not set or empty.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, Failure> {
        match self.values.get(name) {
            None => Ok(None),
            Some((Value::String(text), _)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(name, "is not text", "write it in quotes")),
        }
    }

    /// A setting's number, which must lie between these.
    pub(super) fn number(&self, name: &'static str, least: u32, most: u32) -> Result<u32, Failure> {
        let number = match self.values.get(name) {
            Some((Value::Integer(number), _)) => u32::try_from(*number).ok(),
            Some(_) | None => None,
        };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| {
                let remedy = format!("write a whole number from {least} to {most}");
                self.wrong(name, "is not a number in its range", &remedy)
            })
    }

    /// A failure that names the setting and where it stands, not its value: that may be a secret.
    pub(super) fn wrong(&self, name: &'static str, problem: &str, remedy: &str) -> Failure {
        let place = match self.values.get(name) {
            Some((_, source)) => format!("`{name}` ({source})"),
            None => format!("`{name}`"),
        };
        Failure::new(format!("{place} {problem}"), remedy)
    }
}

fn unknown(place: &str, name: &str) -> Failure {
    refusal(place, nearest(name).map(str::to_owned))
}

fn unknown_variable(variable: &str, name: &str) -> Failure {
    let nearest = nearest(name).map(|name| format!("CONCORD_{}", name.to_uppercase()));
    refusal(&format!("the variable {variable}"), nearest)
}

fn refusal(place: &str, nearest: Option<String>) -> Failure {
    let remedy = match nearest {
        Some(nearest) => format!("did you mean `{nearest}`? `concord serve --print-config` lists all"),
        None => "take it out; `concord serve --print-config` lists all settings".to_owned(),
    };
    Failure::new(format!("{place} is no setting of Concord"), remedy)
}

fn nearest(name: &str) -> Option<&'static str> {
    let distances = KEYS.iter().map(|key| (distance(key.name, name), key.name));
    distances
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, name)| name)
}

/// Levenshtein's distance, for "did you mean".
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
