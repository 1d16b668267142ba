//! File descriptors: one per socket.

use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For the runtime, files and what else is open.
const BESIDE: u64 = 200;

/// Makes room for so many sockets, or says what is missing.
pub(super) fn make_room(sockets: usize) -> Result<()> {
    let needed = sockets as u64 + BESIDE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        needed <= hard,
        "{needed} file descriptors are needed ({sockets} sockets and {BESIDE} others) and {hard} are allowed: raise the \
         limit (`ulimit -Hn {needed}` as root) or open fewer sockets"
    );
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_descriptors_are_told_with_what_is_needed() {
        assert!(make_room(1).is_ok());
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let line = make_room(hard as usize).unwrap_err().to_string();
        assert!(line.starts_with(&format!("{} file descriptors are needed", hard + BESIDE)), "{line}");
    }
}
