//! The data directory and its lock: one process owns it, as long as it lives.
//!
//! The lock is `flock` on a file of its own, so the kernel releases it however the process ends. It does not
//! protect from a directory that two machines share over a network file system without locks.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::{Result, StoreError};

/// Held while the store is open.
pub(super) type DirLock = Flock<File>;

/// Makes the directory if it is missing (for its owner alone) and takes its lock.
pub(super) fn take(dir: &Path) -> Result<DirLock> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| unavailable("make", dir, &e))?;
    let path = dir.join("starling.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| unavailable("open", &path, &e))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => StoreError::Locked(dir.to_path_buf()),
        errno => unavailable("lock", &path, &errno.into()),
    })
}

fn unavailable(verb: &str, path: &Path, cause: &io::Error) -> StoreError {
    let text = format!("cannot {verb} {}: {cause}", path.display());
    StoreError::Unavailable(Box::new(io::Error::new(cause.kind(), text)))
}
