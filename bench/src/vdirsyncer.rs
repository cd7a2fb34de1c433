//! vdirsyncer from its package, with a configuration and a folder of its own
//! (<https://vdirsyncer.pimutils.org/en/stable/config.html>).

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::harness::Program;

use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(600);

pub(crate) struct Vdirsyncer {
    program: Program,
    calendar: PathBuf,
    _folder: TempDir,
}

/// What the program says of its version: `0.19.0`.
pub(crate) async fn version() -> Result<String> {
    let printed = Program::new("vdirsyncer").arg("--version").run(LIMIT).await;
    let printed = printed.context("vdirsyncer: run scripts/setup")?;
    Ok(printed.split_whitespace().last().unwrap_or_default().to_owned())
}

impl Vdirsyncer {
    /// A fresh pair of an empty folder and the server's calendar, discovered but not synced yet.
    pub(crate) async fn prepare(server: &Server) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let here = folder.path().display();
        let calendar = folder.path().join("local").join(server.collection());
        fs::create_dir_all(&calendar)?;
        let (account, collection) = (server.credentials(), server.collection());
        let config = format!(
            "[general]\nstatus_path = \"{here}/status/\"\n\
             [pair bench]\na = \"local\"\nb = \"remote\"\nconflict_resolution = \"b wins\"\n\
             collections = [[\"{collection}\", \"{collection}\", \"{collection}\"]]\n\
             [storage local]\ntype = \"filesystem\"\npath = \"{here}/local/\"\nfileext = \".ics\"\n\
             [storage remote]\ntype = \"caldav\"\nurl = \"{}\"\nusername = \"{}\"\npassword = \"{}\"\n",
            server.base_url(),
            account.user,
            account.password,
        );
        let file = folder.path().join("config");
        fs::write(&file, config)?;
        let program = Program::new("vdirsyncer").env("VDIRSYNCER_CONFIG", file);
        program
            .clone()
            .args(["discover", "bench"])
            .run(LIMIT)
            .await
            .context("vdirsyncer: run scripts/setup")?;
        Ok(Self {
            program,
            calendar,
            _folder: folder,
        })
    }

    /// Seconds for one `vdirsyncer sync`, from its start to its end.
    pub(crate) async fn sync(&self, server: &Server) -> Result<f64> {
        let started = Instant::now();
        self.program.clone().args(["sync", "bench"]).run(LIMIT).await?;
        let seconds = started.elapsed().as_secs_f64();
        self.check(server)?;
        Ok(seconds)
    }

    fn check(&self, server: &Server) -> Result<()> {
        let files: Vec<PathBuf> = fs::read_dir(&self.calendar)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        ensure!(
            files.len() == server.count(),
            "vdirsyncer has {} events of {}",
            files.len(),
            server.count()
        );
        if let Some(mark) = server.mark_of_the_last_edit() {
            let seen = files
                .iter()
                .any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&mark)));
            ensure!(seen, "vdirsyncer has not seen the last edits");
        }
        Ok(())
    }
}
