//! Work that gives way to the rest of this process on its core: threads of a runtime of their own, with the lowest
//! priority.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tokio::{runtime::Builder, task::block_in_place};

/// Runs a future that drives such work: what it spawns is of the lowest priority, it itself is not. To be called in a
/// task of a multi-threaded runtime, whose thread it keeps.
pub(crate) fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().on_thread_start(give_way).build();
    let runtime = runtime.context("starting a runtime")?;
    let done = block_in_place(|| runtime.block_on(work));
    // A runtime must not be waited for in a task.
    runtime.shutdown_background();
    done
}

/// By `renice`: every Linux has it, and a call of the system's own is `unsafe`.
fn give_way() {
    let thread = nix::unistd::gettid().to_string();
    let renice = Command::new("renice").args(["-n", "19", "-p", &thread]).stdout(Stdio::null()).status();
    if !renice.is_ok_and(|status| status.success()) {
        eprintln!("`renice` failed: what others notice of many that come back is told too high");
    }
}
