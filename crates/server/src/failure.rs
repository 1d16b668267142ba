//! How a subcommand ends when it cannot do its work: one line on stderr and an exit code.

use std::{fmt, process::ExitCode};

use crate::config::Bad;

/// The configuration cannot work: the operator must change something.
const CONFIGURATION: u8 = 2;
/// It could have worked, but did not.
const FAILED: u8 = 1;

/// Why a subcommand ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    /// `key: what is wrong; how to mend it`, exit code 2.
    pub fn configuration(key: &str, what: impl fmt::Display, mend: impl fmt::Display) -> Self {
        Self { code: CONFIGURATION, line: one_line(&format!("{key}: {what}; {mend}")) }
    }

    /// A value of `key` that was refused; `whose` quotes it as far as it may be shown.
    pub(crate) fn value(key: &str, whose: &str, bad: &Bad) -> Self {
        Self::configuration(key, format_args!("{whose} {}", bad.what), &bad.mend)
    }

    /// Something that does not lie in the configuration, exit code 1.
    pub fn failed(line: impl fmt::Display) -> Self {
        Self { code: FAILED, line: one_line(&line.to_string()) }
    }

    /// 1 or 2.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// The same for [`std::process::Termination`].
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// An error with its causes, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The same without line breaks.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
