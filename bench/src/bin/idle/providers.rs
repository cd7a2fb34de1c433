//! Connections to providers at which nothing happens. The provider is a simulator in this process: what it costs is not
//! in the figures.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig, Config};

use crate::process::{Hub, LIMIT};

const PASSWORD: &str = "idle";

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many connections.
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Events of each.
    #[arg(long, default_value_t = 20)]
    events: usize,
    /// For how long they are watched, in seconds. Each is looked at once a minute.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
}

fn event(account: usize, number: usize) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Concord//idle//EN\r\nBEGIN:VEVENT\r\nUID:{account}-{number}@example.com\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:202603{:02}T090000Z\r\nDTEND:202603{:02}T100000Z\r\nSUMMARY:Event {number}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n",
        number % 28 + 1,
        number % 28 + 1
    )
}

async fn provider(arguments: &Arguments) -> Result<CaldavServer> {
    let mut config = Config::default();
    for account in 0..arguments.connections {
        let mut calendar = CalendarConfig::new("work");
        for number in 0..arguments.events {
            calendar = calendar.object(format!("{number}.ics"), event(account, number));
        }
        let name = format!("user{account}");
        config = config.account(AccountConfig::new(name).password(PASSWORD).calendar(calendar));
    }
    Ok(CaldavServer::start(config).await?)
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let provider = provider(arguments).await?;
    let hub = Hub::start().await?;
    let empty = hub.mebibytes()?;
    let begun = Instant::now();
    for account in 0..arguments.connections {
        let body = json!({
            "provider": "caldav",
            "name": format!("user{account}"),
            "config": {"base_url": provider.base_url()},
            "credentials": {"username": format!("user{account}"), "password": PASSWORD},
        });
        hub.call(Method::POST, "/v1/connections", Some(body)).await?;
    }
    let wanted = (arguments.connections * arguments.events) as f64;
    let all_read = async {
        while hub.metric("concord_jobs_waiting").await? > 0.0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, all_read)
        .await
        .context("the first syncs do not end")??;
    let first = begun.elapsed().as_secs_f64();
    let after_first = hub.mebibytes()?;
    let looked = || async { hub.metric("concord_job_seconds_count").await };
    let (jobs_before, requests_before) = (
        looked().await?,
        (provider.log().reads() + provider.log().writes()),
    );
    let processor = hub.processor_over(Duration::from_secs(arguments.seconds)).await?;
    let jobs = looked().await? - jobs_before;
    let requests = (provider.log().reads() + provider.log().writes()) - requests_before;
    let after = hub.mebibytes()?;
    let minutes = arguments.seconds as f64 / 60.0;
    ensure!(
        jobs >= arguments.connections as f64 * (minutes - 1.0).max(0.5),
        "only {jobs} syncs in {minutes} minutes: they are late"
    );
    println!(
        "{} connections to providers with {wanted} events: first syncs in {first:.0} s; memory {empty:.0} MiB when empty, \
         {after_first:.0} MiB after the first syncs, {after:.0} MiB after {minutes:.1} minutes idle; processor {processor:.1}% \
         of one while idle ({:.1} syncs and {:.1} requests to providers per second)",
        arguments.connections,
        jobs / arguments.seconds as f64,
        requests as f64 / arguments.seconds as f64,
    );
    Ok(())
}
