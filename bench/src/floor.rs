//! The bare protocol: a script that only sends the requests and reads the answers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use testkit::harness::Program;

use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(600);

pub(crate) struct Floor {
    script: Program,
}

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    objects: usize,
    token: Option<String>,
}

impl Floor {
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("floors")
            .join("caldav_floor.py");
        let account = server.credentials();
        let script = Program::new("python3")
            .arg(script)
            .args(["--url", server.collection_url()?.as_str()])
            .env("FLOOR_USER", &account.user)
            .env("FLOOR_PASSWORD", &account.password);
        Ok(Self { script })
    }

    async fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Answer> {
        let printed = self.script.clone().args(arguments).run(LIMIT).await?;
        serde_json::from_str(&printed).with_context(|| format!("the floor printed: {printed}"))
    }

    /// Seconds for every etag and every object.
    pub(crate) async fn initial(&self, expected: usize) -> Result<f64> {
        let answer = self.run(["initial"]).await?;
        ensure!(
            answer.objects == expected,
            "{} objects in place of {expected}",
            answer.objects
        );
        Ok(answer.seconds)
    }

    /// Seconds for every object in the answer to one sync-collection REPORT without a token.
    pub(crate) async fn initial_by_report(&self, expected: usize) -> Result<f64> {
        let answer = self.run(["changes"]).await?;
        ensure!(
            answer.objects == expected,
            "{} objects in place of {expected}",
            answer.objects
        );
        Ok(answer.seconds)
    }

    /// Seconds for what changed since that token.
    pub(crate) async fn changes(&self, token: &str) -> Result<f64> {
        Ok(self.run(["changes", "--token", token]).await?.seconds)
    }

    /// The current token.
    pub(crate) async fn token(&self) -> Result<String> {
        self.run(["token"])
            .await?
            .token
            .context("the server gave no sync token")
    }
}
