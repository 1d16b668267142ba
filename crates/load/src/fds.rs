//! File descriptors: one per socket. Raises the soft limit to what is needed, and says clearly when it cannot.

use anyhow::{Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::rest::POOL;

/// For files, the runtime, what else is open, and the connections of REST that wait for their next call.
const BESIDE: u64 = 200 + POOL as u64;

/// Makes room for so many sockets.
pub(crate) fn make_room(sockets: usize) -> Result<()> {
    let needed = sockets as u64 + BESIDE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    check(needed, hard)?;
    if soft < hard {
        // As much as there may be: nodes that this process starts inherit it.
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

fn check(needed: u64, hard: u64) -> Result<()> {
    if needed > hard {
        bail!(
            "{needed} file descriptors are needed ({} sockets and {BESIDE} others) and {hard} are allowed: raise the \
             limit (`ulimit -Hn {needed}` as root, or LimitNOFILE) or open fewer sockets",
            needed - BESIDE
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_descriptors_are_told_with_what_is_needed() {
        let line = check(50_000 + BESIDE, 20_000).unwrap_err().to_string();
        assert!(line.contains("file descriptors are needed (50000 sockets"), "{line}");
        assert!(line.contains("20000 are allowed") && !line.contains('\n'), "{line}");
        assert!(check(20_000, 20_000).is_ok());
    }
}
