//! How the embedded store is opened.

use std::{path::PathBuf, time::Duration};

/// Where the data is and how it is read.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The data directory; made if it is missing. One process at a time.
    pub dir: PathBuf,
    /// Connections that read, besides the one that writes.
    pub readers: u32,
    /// How long a call waits for a connection, or for another program that has the file locked.
    pub busy_timeout: Duration,
    /// Whether a commit waits for the disk. False is for tests and simulations alone: a process that ends loses
    /// nothing, a machine that stops loses the last commits or the whole file.
    pub durable: bool,
}

impl SqliteConfig {
    /// The defaults on this directory: 4 readers, 5 s, durable.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), readers: 4, busy_timeout: Duration::from_secs(5), durable: true }
    }
}
