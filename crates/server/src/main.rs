//! `starling`: one binary for every role. Reads arguments and environment, does what the subcommand says.

use std::process::ExitCode;

/// Beside the system's own and mimalloc: docs/performance.md, "The allocator".
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    let (command, sources) = server::cli::parse(std::env::args_os(), environment);
    match server::commands::run(command, &sources) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("starling: {failure}");
            failure.exit_code()
        }
    }
}
