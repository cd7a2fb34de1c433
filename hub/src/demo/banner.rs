//! What the demo says when it is ready: where everything is, and three lines to try.

use std::fmt::Write as _;
use std::path::Path;

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::setup::Scene;
use super::{caldav, google};

/// What the banner is made of.
pub(super) struct Facts<'a> {
    pub(super) url: &'a str,
    pub(super) key: &'a str,
    pub(super) folder: &'a Path,
    pub(super) google_url: &'a str,
    pub(super) caldav_url: &'a str,
    pub(super) monday: Date,
    pub(super) scene: &'a Scene,
}

/// The three lines to try; each works as it is.
pub(super) fn commands(facts: &Facts<'_>) -> Vec<(String, String)> {
    let Facts { url, key, .. } = facts;
    let key = format!("-H 'Authorization: Bearer {key}'");
    let next = facts.monday.saturating_add(7.days());
    let week = format!(
        "curl -s {key} '{url}/v1/events?from={}T00:00:00Z&to={next}T00:00:00Z&expand=true&zone=Europe/Berlin'",
        facts.monday
    );
    let mut commands = vec![(
        "This week, from every calendar, series expanded:".to_owned(),
        week,
    )];
    if let Some(example) = &facts.scene.example {
        let title = format!(
            "{} (moved by curl)",
            example.title.trim_end_matches(" (moved by curl)")
        );
        let body = serde_json::json!({ "title": title })
            .to_string()
            .replace('\'', "'\\''");
        let away = format!("{}{}", facts.caldav_url, example.remote_id);
        let away = if example.remote_id.starts_with("http") {
            example.remote_id.clone()
        } else {
            away
        };
        let account = format!("{}:{}", caldav::ACCOUNT, caldav::PASSWORD);
        commands.push((
            format!(
                "Rename \"{}\", and see its copy at the CalDAV server follow:",
                example.title
            ),
            format!(
                "curl -s -X PATCH {key} -H 'Content-Type: application/json' -d '{body}' '{url}/v1/events/{}' \
                 && sleep 2 && curl -s -u {account} '{away}'",
                example.id
            ),
        ));
    }
    commands.push((
        "Watch changes as they happen (Ctrl-C ends it):".to_owned(),
        format!("curl -sN {key} '{url}/v1/changes/stream?after=0'"),
    ));
    commands
}

/// The banner. `bold` marks what stands out where there is a terminal.
pub(super) fn banner(facts: &Facts<'_>, bold: &dyn Fn(&str) -> String) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line("");
    line(&format!(
        "  {} {} events of two vendors, in one API.",
        bold("Concord is ready."),
        facts.scene.events
    ));
    line("");
    for (name, value) in [
        ("API", bold(facts.url)),
        ("API key", bold(facts.key)),
        ("Pages", format!("{}/docs", facts.url)),
        (
            "Data",
            format!("{} (delete the folder to start afresh)", facts.folder.display()),
        ),
        (
            "Google",
            format!("{} as {} (simulated)", facts.google_url, google::ACCOUNT),
        ),
        (
            "CalDAV",
            format!(
                "{} as {}, password {} (simulated)",
                facts.caldav_url,
                caldav::ACCOUNT,
                caldav::PASSWORD
            ),
        ),
        (
            "Mirror",
            format!(
                "Google \"Team\" <-> CalDAV \"{}\": an edit on either side reaches the other",
                caldav::WORK
            ),
        ),
    ] {
        line(&format!("  {name:<9} {value}"));
    }
    for (what, command) in commands(facts) {
        line("");
        line(&format!("  {what}"));
        line(&format!("    {command}"));
    }
    line("");
    line("  Ctrl-C ends the demo; started again, it finds its data.");
    text
}
