//! What `starling check` found, as lines for people or as JSON for programs.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::{commands::say, failure::one_line};

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    part: &'static str,
    level: Level,
    what: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        write!(f, "{level}  {}: {}", self.part, self.what)?;
        self.mend.as_ref().map_or(Ok(()), |mend| write!(f, "; {mend}"))
    }
}

/// What was found so far. Lines are printed as they are found, JSON at the end.
#[derive(Debug)]
pub(super) struct Findings {
    found: Vec<Finding>,
    json: bool,
}

impl Findings {
    pub(super) fn new(json: bool) -> Self {
        Self { found: Vec::new(), json }
    }

    /// All is well.
    pub(super) fn ok(&mut self, part: &'static str, what: impl Display) {
        self.add(part, Level::Ok, &what, None);
    }

    /// It works, and something about it will hurt.
    pub(super) fn warn(&mut self, part: &'static str, what: impl Display, mend: impl Display) {
        self.add(part, Level::Warn, &what, Some(&mend));
    }

    /// It does not work.
    pub(super) fn fail(&mut self, part: &'static str, what: impl Display, mend: impl Display) {
        self.add(part, Level::Fail, &what, Some(&mend));
    }

    /// It does not work, and the text says how to mend it.
    pub(super) fn refused(&mut self, part: &'static str, what: impl Display) {
        self.add(part, Level::Fail, &what, None);
    }

    fn add(&mut self, part: &'static str, level: Level, what: &dyn Display, mend: Option<&dyn Display>) {
        // What a server says may be of many lines.
        let line = |text: &dyn Display| one_line(&text.to_string());
        let finding = Finding { part, level, what: line(what), mend: mend.map(line) };
        if !self.json {
            say(&finding);
        }
        self.found.push(finding);
    }

    #[cfg(test)]
    pub(super) fn lines(&self) -> Vec<String> {
        self.found.iter().map(ToString::to_string).collect()
    }

    /// Prints what is left to print; whether nothing failed.
    pub(super) fn end(self) -> bool {
        let ok = self.found.iter().all(|finding| finding.level != Level::Fail);
        if self.json {
            say(serde_json::json!({ "ok": ok, "findings": self.found }));
        }
        ok
    }
}
