//! From merged settings to a checked [`Config`].

use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use store::MasterKey;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::layers::Settings;
use super::{Config, Database, KeySource, LogFormat, usual_next_file};
use crate::egress::Policy;
use crate::failure::Failure;
use crate::redis::Address;

pub(super) fn checked(settings: &Settings) -> Result<Config, Failure> {
    let database = database(settings)?;
    let extra_roots = extra_roots(settings)?;
    let master_key = master_key(settings, &database)?;
    Ok(Config {
        listen: listen(settings)?,
        public_url: public_url(settings)?,
        next_key: next_key(settings, &master_key)?,
        master_key,
        redis: redis(settings, &database, &extra_roots)?,
        database,
        sync_interval: Duration::from_secs(settings.number("sync_interval_seconds", 1, 86_400)?.into()),
        parallel_jobs: settings.number("parallel_jobs", 1, 256)? as usize,
        max_connections: settings.number("max_connections", 1, 1_000_000)? as usize,
        extra_roots,
        egress: egress(settings)?,
        guard_connections: guard_connections(settings)?,
        log_format: log_format(settings)?,
        log_level: log_level(settings)?,
    })
}

fn listen(settings: &Settings) -> Result<std::net::SocketAddr, Failure> {
    let text = settings.text("listen")?.unwrap_or_default();
    text.parse().map_err(|_| {
        settings.wrong(
            "listen",
            &format!("is `{text}`, which is not an address with a port"),
            "write it as 127.0.0.1:8080, or 0.0.0.0:8080 for every network of this machine",
        )
    })
}

fn public_url(settings: &Settings) -> Result<Option<Url>, Failure> {
    let Some(text) = settings.text("public_url")? else {
        return Ok(None);
    };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() => Ok(Some(url)),
        Ok(_) | Err(_) => Err(settings.wrong(
            "public_url",
            &format!("is `{text}`, which is not a web address"),
            "write it as https://concord.example.com",
        )),
    }
}

fn database(settings: &Settings) -> Result<Database, Failure> {
    let remedy = "write sqlite:// and the path of a file, for example sqlite:///var/lib/concord/concord.db; or the \
                  address of a PostgreSQL database, for example postgres://concord@localhost/concord";
    let text = settings.text("database_url")?.unwrap_or_default();
    match text.split_once("://") {
        Some(("sqlite", path)) if !path.is_empty() && !path.contains('?') => Ok(Database::File(path.into())),
        Some(("postgres" | "postgresql", rest)) if !rest.is_empty() => Ok(Database::Server(text.into())),
        // Such an address may hold a password: it is not shown.
        Some(_) | None => Err(settings.wrong(
            "database_url",
            "names neither an SQLite file nor a PostgreSQL database",
            remedy,
        )),
    }
}

fn redis(settings: &Settings, database: &Database, roots: &[Bytes]) -> Result<Option<Address>, Failure> {
    let Some(text) = settings.text("redis_url")? else {
        return Ok(None);
    };
    let remedy = "write redis://host/ or, with all that there is, rediss://user:password@host:6379/0";
    let address = Address::parse(&SecretString::from(text), roots)
        .map_err(|error| settings.wrong("redis_url", &error.to_string(), remedy))?;
    match database {
        Database::Server(_) => Ok(Some(address)),
        Database::File(_) => Err(settings.wrong(
            "redis_url",
            "is for several nodes, and a SQLite file has one",
            "take it out, or set `database_url` to a PostgreSQL database",
        )),
    }
}

fn master_key(settings: &Settings, database: &Database) -> Result<KeySource, Failure> {
    if let Some(key) = given_key(settings, "master_key")? {
        return Ok(key);
    }
    Ok(KeySource::File(match settings.text("master_key_file")? {
        Some(path) => path.into(),
        None => database.usual_key_file(),
    }))
}

fn next_key(settings: &Settings, first: &KeySource) -> Result<Option<KeySource>, Failure> {
    if let Some(key) = given_key(settings, "master_key_next")? {
        return Ok(Some(key));
    }
    let file = settings.text("master_key_next_file")?.map(Into::into);
    let usual = match first {
        KeySource::File(path) => Some(usual_next_file(path)),
        KeySource::Given(_) => None,
    };
    Ok(file.or(usual).map(KeySource::File))
}

fn given_key(settings: &Settings, name: &'static str) -> Result<Option<KeySource>, Failure> {
    let Some(text) = settings.text(name)? else {
        return Ok(None);
    };
    let key = MasterKey::from_text(text).map_err(|_| {
        let problem = "is not 32 bytes as 64 hexadecimal digits or as base64";
        settings.wrong(name, problem, "make one with `openssl rand -hex 32`")
    })?;
    Ok(Some(KeySource::Given(key)))
}

fn extra_roots(settings: &Settings) -> Result<Vec<Bytes>, Failure> {
    let Some(path) = settings.text("extra_roots_file")? else {
        return Ok(Vec::new());
    };
    let remedy = "name a file with one or more certificates in PEM form";
    let text = std::fs::read_to_string(path).map_err(|error| {
        settings.wrong(
            "extra_roots_file",
            &format!("names {path}, which cannot be read: {error}"),
            remedy,
        )
    })?;
    let end = "-----END CERTIFICATE-----";
    let roots: Vec<Bytes> = text
        .split_inclusive(end)
        .filter(|piece| piece.contains("-----BEGIN CERTIFICATE-----") && piece.ends_with(end))
        .map(|piece| Bytes::from(format!("{}\n", piece.trim_start())))
        .collect();
    if roots.is_empty() {
        let problem = format!("names {path}, in which there is no certificate");
        return Err(settings.wrong("extra_roots_file", &problem, remedy));
    }
    Ok(roots)
}

fn egress(settings: &Settings) -> Result<Policy, Failure> {
    let allowed = settings.text("egress_allow")?.unwrap_or_default();
    let ports = settings.text("egress_ports")?.unwrap_or_default();
    Policy::parse(allowed, "").map_err(|error| {
        let remedy = "write networks with commas between them, as in \"10.1.0.0/16, 192.0.2.7, fd00::/8\"";
        settings.wrong(
            "egress_allow",
            &format!("is no list of networks: {error}"),
            remedy,
        )
    })?;
    Policy::parse(allowed, ports).map_err(|error| {
        let remedy = "write ports with commas between them, as in \"443, 8000-8999\"";
        settings.wrong("egress_ports", &format!("is no list of ports: {error}"), remedy)
    })
}

fn guard_connections(settings: &Settings) -> Result<bool, Failure> {
    match settings.text("guard_connections")? {
        Some("no") => Ok(false),
        Some("yes") => Ok(true),
        Some(_) | None => Err(settings.wrong(
            "guard_connections",
            "is neither `yes` nor `no`",
            "write guard_connections = \"yes\" or guard_connections = \"no\"",
        )),
    }
}

fn log_format(settings: &Settings) -> Result<LogFormat, Failure> {
    match settings.text("log_format")? {
        Some("pretty") => Ok(LogFormat::Pretty),
        Some("json") => Ok(LogFormat::Json),
        Some(_) | None => Err(settings.wrong(
            "log_format",
            "is neither `pretty` nor `json`",
            "write log_format = \"pretty\" or log_format = \"json\"",
        )),
    }
}

fn log_level(settings: &Settings) -> Result<String, Failure> {
    let text = settings.text("log_level")?.unwrap_or("info");
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(settings.wrong(
            "log_level",
            &format!("is `{text}`, which is no level"),
            "write error, warn, info, debug or trace; or per part, as in \"info,hub=debug\"",
        )),
    }
}
