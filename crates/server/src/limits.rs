//! Limits that the system sets to this process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Below this a node runs out of sockets early.
pub(crate) const FEW_FILES: u64 = 4_096;

/// Lets this process open as many files (sockets) as the system allows without asking; gives that number.
pub(crate) fn raise_open_files() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Some(hard),
        Err(_) => Some(soft),
    }
}
