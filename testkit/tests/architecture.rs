//! Imports run one way (docs: ARCHITECTURE.md). The tables below are the whole truth; a dependency that is not in
//! them fails here, with a sentence that names it.

#![expect(clippy::expect_used, reason = "a test's helper fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which rooms a room may depend on. `connector-*` stands for every connector, so that a new one changes nothing
/// here; `connector-sdk` has a row of its own.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("mapping", &["model"]),
    ("conflict", &["model"]),
    ("connector-sdk", &["model", "mapping"]),
    ("connector-*", &["model", "mapping", "connector-sdk"]),
    ("sync", &["model", "mapping", "conflict", "connector-sdk"]),
    (
        "store",
        &["model", "mapping", "conflict", "connector-sdk", "sync"],
    ),
    (
        "hub",
        &[
            "model",
            "mapping",
            "conflict",
            "connector-sdk",
            "connector-*",
            "sync",
            "store",
            "simulators",
        ],
    ),
    // A simulator stands in for a vendor: had it our model or mappings, it would share our mistakes.
    ("simulators", &[]),
    (
        "testkit",
        &[
            "model",
            "mapping",
            "conflict",
            "connector-sdk",
            // The simulated provider is the reference provider, made worse.
            "connector-memory",
            "sync",
            // Schedules are played on the store in memory for speed, and on SQLite for truth.
            "store",
            "simulators",
        ],
    ),
    // Starts the hub with the reference provider, which signs its webhooks.
    (
        "bench",
        &[
            "testkit",
            "simulators",
            "hub",
            "store",
            "sync",
            "model",
            "connector-sdk",
            "connector-memory",
        ],
    ),
    // Starts the hub as it ships, with the reference provider, and a PostgreSQL server of its own.
    (
        "floors",
        &[
            "testkit",
            "hub",
            "store",
            "sync",
            "connector-sdk",
            "connector-memory",
        ],
    ),
];

/// What a room's tests may use beyond that.
const ROOMS_IN_TESTS: &[(&str, &[&str])] = &[
    ("connector-*", &["testkit", "simulators"]),
    ("sync", &["testkit", "connector-memory", "simulators"]),
    ("store", &["testkit", "connector-memory", "simulators"]),
    ("hub", &["testkit"]),
    ("testkit", &["connector-*", "store"]),
];

/// Outside crates that only some rooms may see, in tests too.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("sqlx", &["store", "floors"]),
    ("rusqlite", &[]),
    // What nodes share on it is nothing's only place: only the hub may reach it.
    ("redis", &["hub"]),
    ("axum", &["hub", "simulators", "testkit", "floors"]),
    (
        "reqwest",
        &["connector-sdk", "hub", "simulators", "testkit", "bench", "floors"],
    ),
];

/// The pure rooms: no runtime, no network, no files.
const PURE: &[&str] = &["model", "mapping", "conflict"];
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "tokio-util",
    "async-trait",
    "hyper",
    "tower",
    "tempfile",
    "governor",
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Edge {
    from: String,
    to: String,
    in_tests: bool,
}

fn edge(from: &str, to: &str, in_tests: bool) -> Edge {
    Edge {
        from: from.into(),
        to: to.into(),
        in_tests,
    }
}

/// The row a room falls under: its own, else that of all connectors.
fn row<'a>(table: &'a [(&str, &'a [&'a str])], room: &str) -> Option<&'a [&'a str]> {
    let named = table.iter().find(|(name, _)| *name == room);
    let of_connectors = table
        .iter()
        .find(|(name, _)| *name == "connector-*" && is_connector(room));
    named.or(of_connectors).map(|(_, allowed)| *allowed)
}

fn is_connector(room: &str) -> bool {
    room.starts_with("connector-") && room != "connector-sdk"
}

fn lists(allowed: &[&str], room: &str) -> bool {
    allowed
        .iter()
        .any(|name| *name == room || (*name == "connector-*" && is_connector(room)))
}

/// One sentence for each edge that the tables do not allow. `rooms` are the workspace's own crates.
fn violations(rooms: &BTreeSet<String>, edges: &[Edge]) -> Vec<String> {
    let mut sentences: Vec<String> = rooms
        .iter()
        .filter(|room| row(ROOMS, room).is_none())
        .map(|room| format!("`{room}` is a new room: say in the table what it may depend on"))
        .collect();
    for Edge { from, to, in_tests } in edges {
        let place = if *in_tests {
            "its tests depend"
        } else {
            "it depends"
        };
        if rooms.contains(to) {
            let allowed = row(ROOMS, from).unwrap_or_default();
            let allowed_in_tests = if *in_tests {
                row(ROOMS_IN_TESTS, from).unwrap_or_default()
            } else {
                &[]
            };
            if !lists(allowed, to) && !lists(allowed_in_tests, to) {
                sentences.push(format!("`{from}` must not know `{to}`, but {place} on it"));
            }
            continue;
        }
        if let Some((_, may)) = OUTSIDE.iter().find(|(name, _)| name == to)
            && !may.contains(&from.as_str())
        {
            sentences.push(format!(
                "only {may:?} may use the crate `{to}`; `{from}` does not, but {place} on it"
            ));
        }
        if PURE.contains(&from.as_str()) && IMPURE_CRATES.contains(&to.as_str()) && !in_tests {
            sentences.push(format!(
                "`{from}` does no input or output, but {place} on the crate `{to}`"
            ));
        }
    }
    sentences
}

/// The workspace as cargo sees it: its rooms and every declared dependency.
fn workspace() -> (BTreeSet<String>, Vec<Edge>) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata answers JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let rooms = packages.iter().map(|package| text(&package["name"])).collect();
    let edges = packages
        .iter()
        .flat_map(|package| {
            let from = text(&package["name"]);
            let dependencies = package["dependencies"].as_array().expect("dependencies").clone();
            dependencies.into_iter().map(move |dependency| {
                edge(
                    &from,
                    dependency["name"].as_str().expect("a name"),
                    dependency["kind"] == "dev",
                )
            })
        })
        .collect();
    (rooms, edges)
}

#[test]
fn imports_between_rooms_run_one_way() {
    let (rooms, edges) = workspace();
    assert!(
        rooms.contains("model") && rooms.contains("hub"),
        "the workspace was read: {rooms:?}"
    );
    let found = violations(&rooms, &edges);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Every source file beneath a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn only_the_inbox_gives_back_what_was_proven_before() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sdk = root.join("connectors/sdk");
    let inbox = root.join("sync/src/inbox");
    let mut seen = 0;
    for room in ["connectors", "sync", "mapping"] {
        for path in sources(&root.join(room)) {
            let tests = path.components().any(|part| part.as_os_str() == "tests");
            if path.starts_with(&sdk) || path.starts_with(&inbox) || tests {
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path).expect("a readable file");
            assert!(
                !text.contains("StoredHead") && !text.contains("webhooks::inbox"),
                "{} takes a delivery for proven without a scheme (ADR 7)",
                path.display()
            );
        }
    }
    assert!(seen > 50, "the sources were read: {seen}");
}

#[test]
fn a_forbidden_edge_is_named_in_a_sentence() {
    let rooms: BTreeSet<String> = [
        "model",
        "sync",
        "store",
        "connector-sdk",
        "connector-caldav",
        "connector-google",
        "testkit",
    ]
    .map(String::from)
    .into();
    for (forbidden, sentence) in [
        (
            edge("connector-google", "connector-caldav", false),
            "must not know `connector-caldav`",
        ),
        (
            edge("connector-google", "connector-caldav", true),
            "its tests depend",
        ),
        (
            edge("connector-caldav", "testkit", false),
            "must not know `testkit`",
        ),
        (edge("model", "sync", false), "`model` must not know `sync`"),
        (edge("sync", "store", false), "`sync` must not know `store`"),
        (
            edge("connector-sdk", "sync", true),
            "`connector-sdk` must not know `sync`",
        ),
        (edge("sync", "sqlx", false), "`sync` does not"),
        (edge("sync", "axum", true), "`sync` does not"),
        (edge("sync", "reqwest", false), "`sync` does not"),
        (
            edge("connector-caldav", "reqwest", false),
            "`connector-caldav` does not",
        ),
        (edge("model", "tokio", false), "`model` does no input or output"),
    ] {
        let found = violations(&rooms, std::slice::from_ref(&forbidden));
        assert_eq!(found.len(), 1, "{forbidden:?}: {found:?}");
        assert!(found[0].contains(sentence), "{forbidden:?}: {}", found[0]);
    }
}

#[test]
fn a_new_connector_needs_no_row_and_a_new_room_does() {
    let rooms: BTreeSet<String> = ["model", "hub", "testkit", "connector-sdk", "connector-slack"]
        .map(String::from)
        .into();
    let allowed = [
        edge("connector-slack", "connector-sdk", false),
        edge("connector-slack", "testkit", true),
        edge("hub", "connector-slack", false),
    ];
    assert_eq!(violations(&rooms, &allowed), Vec::<String>::new());

    let with_a_stranger = rooms.into_iter().chain(["toolbox".to_owned()]).collect();
    let found = violations(&with_a_stranger, &[]);
    assert_eq!(
        found,
        ["`toolbox` is a new room: say in the table what it may depend on"]
    );
}
