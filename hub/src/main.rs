//! The `concord` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    hub::cli::main()
}
