//! Settings: the commented defaults, overlaid by `concord.toml`, overlaid by `CONCORD_*`; checked before anything
//! starts (DESIGN section 10).

mod check;
mod layers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use store::MasterKey;
use url::Url;

use crate::egress::Policy;
use crate::failure::Failure;
use crate::redis::Address;

pub use layers::Environment;

/// The commented defaults, as `concord serve --print-config` shows them.
pub const DEFAULT_FILE: &str = include_str!("default.toml");

/// The file that is read when no other is named, if it is there.
pub const USUAL_FILE: &str = "concord.toml";

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// How others reach it; `None` for the address it listens at.
    pub public_url: Option<Url>,
    /// Where everything is kept.
    pub database: Database,
    /// What nodes share besides it, if anything.
    pub redis: Option<Address>,
    /// Where the key that seals credentials comes from.
    pub master_key: KeySource,
    /// Where the key that takes its place comes from, while it does. A file that is not there stands for none.
    pub next_key: Option<KeySource>,
    /// Between two looks at a connection.
    pub sync_interval: Duration,
    /// Syncs at the same time.
    pub parallel_jobs: usize,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Certificates trusted besides the well-known ones, in PEM.
    pub extra_roots: Vec<bytes::Bytes>,
    /// Where addresses that customers give may lead.
    pub egress: Policy,
    /// Whether providers' addresses are held to [`Self::egress`], too.
    pub guard_connections: bool,
    /// How logs look.
    pub log_format: LogFormat,
    /// What is logged, in the form of tracing's filters.
    pub log_level: String,
}

/// Where everything is kept.
#[derive(Debug, Clone)]
pub enum Database {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database; its address may hold a password.
    Server(SecretString),
}

impl Database {
    /// The address in the store's words. It may hold a password: it goes to the store and nowhere else.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::Server(url) => url.expose_secret().to_owned(),
        }
    }
}

impl Database {
    /// The file of its master key, unless another is named.
    pub(crate) fn usual_key_file(&self) -> PathBuf {
        match self {
            Self::File(path) => {
                let mut key = path.as_os_str().to_owned();
                key.push(".key");
                key.into()
            }
            Self::Server(_) => "concord.key".into(),
        }
    }
}

impl std::fmt::Display for Database {
    /// What a person is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(_) => f.write_str("the PostgreSQL database"),
        }
    }
}

/// The file of the key that takes the place of the one in this file.
pub(crate) fn usual_next_file(key: &Path) -> PathBuf {
    let mut next = key.as_os_str().to_owned();
    next.push(".next");
    next.into()
}

/// Where the master key comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// Given in the settings.
    Given(MasterKey),
    /// A file, made at the first start.
    File(PathBuf),
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Reads the settings: `file` must be there when it is named; without one [`USUAL_FILE`] may be missing.
    ///
    /// # Errors
    /// When a setting is unknown, cannot be read or contradicts another; names it and says where it stands.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, Failure> {
        let settings = layers::Settings::read(file, environment)?;
        check::checked(&settings)
    }

    /// The same settings for another database, whose key file lies where it would by itself unless a key is given.
    ///
    /// # Errors
    /// When the address is none.
    pub fn with_database(&self, url: &str) -> Result<Self, Failure> {
        let quoted = toml::Value::String(url.to_owned());
        let other = Self::from_toml(&format!("database_url = {quoted}"))?;
        let (master_key, next_key) = match &self.master_key {
            // Not said: it goes with its database.
            KeySource::File(path) if *path == self.database.usual_key_file() => {
                (other.master_key, other.next_key)
            }
            KeySource::File(_) | KeySource::Given(_) => (self.master_key.clone(), self.next_key.clone()),
        };
        Ok(Self {
            database: other.database,
            master_key,
            next_key,
            ..self.clone()
        })
    }

    /// Settings from a text in the form of the file alone; for tests and for the demo.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_toml(text: &str) -> Result<Self, Failure> {
        check::checked(&layers::Settings::from_text(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> Failure {
        Config::from_toml(text).unwrap_err()
    }

    #[test]
    fn the_default_file_alone_is_a_valid_configuration() {
        let config = Config::from_toml("").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database.url(), "sqlite://concord.db");
        assert_eq!(config.sync_interval, Duration::from_secs(60));
        let KeySource::File(file) = config.master_key else {
            panic!("a key file is the default")
        };
        assert_eq!(file, Path::new("concord.db.key"));
    }

    #[test]
    fn the_default_file_documents_every_setting() {
        for key in layers::KEYS {
            let documented = DEFAULT_FILE.lines().any(|line| {
                line.trim_start_matches(['#', ' '])
                    .starts_with(&format!("{} =", key.name))
            });
            assert!(documented, "default.toml says nothing of `{}`", key.name);
        }
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let failure = failure("listn = \"127.0.0.1:1\"");
        assert!(failure.cause.contains("`listn`"), "{failure:?}");
        assert!(failure.remedy.contains("`listen`"), "{failure:?}");
    }

    #[test]
    fn an_unknown_variable_is_refused_and_what_kubernetes_sets_is_not() {
        let variables = |name: &str| Environment::from_pairs([(name.to_owned(), "x".to_owned())]);
        let failure = Config::load(None, &variables("CONCORD_LISTN")).unwrap_err();
        assert!(failure.cause.contains("CONCORD_LISTN"), "{failure:?}");
        Config::load(None, &variables("CONCORD_SERVICE_HOST")).unwrap();
        Config::load(None, &variables("CONCORD_PORT_8080_TCP")).unwrap();
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nparallel_jobs = 2").unwrap();
        let environment = Environment::from_pairs([("CONCORD_LISTEN".to_owned(), "127.0.0.1:2".to_owned())]);
        let config = Config::load(Some(&file), &environment).unwrap();
        assert_eq!((config.listen.port(), config.parallel_jobs), (2, 2));
    }

    #[test]
    fn wrong_values_name_the_setting_and_what_it_takes() {
        for (text, name) in [
            ("listen = \"8080\"", "`listen`"),
            ("listen = 8080", "`listen`"),
            ("sync_interval_seconds = 0", "`sync_interval_seconds`"),
            ("sync_interval_seconds = \"soon\"", "`sync_interval_seconds`"),
            ("parallel_jobs = 0", "`parallel_jobs`"),
            ("max_connections = 0", "`max_connections`"),
            ("public_url = \"concord\"", "`public_url`"),
            ("egress_allow = \"10.0.0.0/33\"", "`egress_allow`"),
            ("egress_ports = \"https\"", "`egress_ports`"),
            ("guard_connections = \"maybe\"", "`guard_connections`"),
            ("log_format = \"xml\"", "`log_format`"),
            ("log_level = \"hub=loud\"", "`log_level`"),
            ("database_url = \"mysql://x\"", "`database_url`"),
            ("redis_url = \"http://x\"", "`redis_url`"),
            ("redis_url = \"redis://127.0.0.1/\"", "`redis_url`"),
            ("extra_roots_file = \"/nowhere/at/all.pem\"", "`extra_roots_file`"),
        ] {
            let failure = failure(text);
            assert!(failure.cause.contains(name), "{text}: {failure:?}");
            assert!(!failure.remedy.is_empty(), "{text}: {failure:?}");
        }
    }

    #[test]
    fn the_password_in_the_address_of_a_server_is_not_shown() {
        let address = "postgres://concord:hunter2@db.example.com/concord";
        let config = Config::from_toml(&format!("database_url = \"{address}\"")).unwrap();
        assert_eq!(config.database.url(), address);
        let shown = format!("{config:?} {}", config.database);
        assert!(!shown.contains("hunter2"), "{shown}");
        let KeySource::File(file) = config.master_key else {
            panic!("a key file is the default")
        };
        assert_eq!(file, Path::new("concord.key"));
    }

    #[test]
    fn the_password_in_the_address_of_redis_is_not_shown() {
        let database = "database_url = \"postgres://concord@db.example.com/concord\"";
        let with = |url: &str| Config::from_toml(&format!("{database}\nredis_url = \"{url}\""));
        let config = with("redis://concord:hunter2@redis.example.com/1").unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("redis.example.com:6379"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let failure = with("redis://concord:hunter2@redis.example.com:port/").unwrap_err();
        assert!(failure.cause.contains("`redis_url`"), "{failure:?}");
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        assert!(Config::from_toml(database).unwrap().redis.is_none());
    }

    #[test]
    fn a_master_key_of_the_wrong_length_is_refused_without_showing_it() {
        let failure = failure("master_key = \"c2hvcnQ=\"");
        assert!(failure.cause.contains("`master_key`"), "{failure:?}");
        assert!(!format!("{failure:?}").contains("c2hvcnQ"), "{failure:?}");
    }

    #[test]
    fn a_config_shown_for_debugging_hides_the_master_key() {
        let key = "ab".repeat(32);
        let config = Config::from_toml(&format!("master_key = \"{key}\"")).unwrap();
        assert!(!format!("{config:?}").contains(&key));
    }
}
