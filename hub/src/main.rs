//! The `concord` binary.

use std::process::ExitCode;

/// Taking webhooks in is many small pieces of memory, given back by another thread than took them; the system's own
/// allocator was about a sixth of the program's time there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hub::cli::main()
}
