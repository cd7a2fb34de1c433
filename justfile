# The daily commands; each is a plain script or one cargo line, so `just` itself is a convenience.

# list the commands
default:
    @just --list

# what CI runs: format, lints, documentation, the simulator, tests
check:
    scripts/check

# all tests, or those the words name: just test -p model
test *words:
    scripts/test {{ words }}

# format every file
fmt:
    cargo fmt --all

# clippy with warnings as errors, licences and bans, spelling
lint:
    scripts/lint

# the crates' documentation, warnings as errors
docs:
    scripts/docs

# Concord, vdirsyncer and the bare protocol side by side on one private Radicale
bench *words:
    scripts/bench {{ words }}

# the ingest of webhooks beside what bounds it
bench-ingest *words:
    scripts/bench-ingest {{ words }}

# from commits and webhooks to clients' WebSockets, on one node and on two
bench-feed *words:
    scripts/bench-feed {{ words }}

# what a thousand idle connections to providers cost, and ten thousand clients that say nothing
bench-idle *words:
    scripts/bench-idle {{ words }}

# the deterministic simulator as CI plays it, or with the words: just simulate --seeds 100000
simulate *words:
    scripts/simulate {{ words }}

# the simulator, the laws and invariants, and the tests against real servers at full size (many minutes)
prove:
    scripts/prove

# the hub with simulated vendors in one process
demo:
    cargo run --release --locked --bin concord -- demo
