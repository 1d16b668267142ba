//! What a run leaves behind: a summary for the terminal, JSON for programs, one HTML file with plots for people, and two
//! runs side by side.

pub(crate) mod compare;
pub(crate) mod html;
pub(crate) mod model;
mod text;

use std::path::Path;

use anyhow::{Context, Result};

pub use self::model::Report;

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
