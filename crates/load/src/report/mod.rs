//! What a run leaves behind: a summary for the terminal, JSON for programs, one HTML file with plots for people, and
//! two runs side by side.

pub(crate) mod compare;
pub(crate) mod html;
pub(crate) mod model;
mod text;

use std::{fs::File, path::Path};

use anyhow::{Context, Result};

pub use self::model::Report;

/// Fails where a report could not be written. What is in the file stays: there may never be a report.
pub(crate) fn must_be_writable(file: &Path) -> Result<()> {
    let new = !file.exists();
    File::options().create(true).append(true).open(file).with_context(|| format!("cannot write {}", file.display()))?;
    if new {
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

impl Report {
    /// As JSON.
    pub(crate) fn write_json(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// As one HTML file.
    pub(crate) fn write_html(&self, file: &Path) -> Result<()> {
        std::fs::write(file, html::page(self)?).with_context(|| format!("cannot write {}", file.display()))
    }

    /// For a terminal.
    pub fn summary(&self) -> String {
        text::summary(self)
    }
}
