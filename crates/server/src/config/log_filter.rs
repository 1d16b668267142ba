//! What may be written for `STARLING_LOG`. The library takes any word that is no level for the name of a part of some
//! program and then logs that part alone: a misspelt level would silence the node.

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::parse::{Bad, Parsed};

/// What log lines of ours name as their part.
const PARTS: &[&str] = &["api", "bus", "chat", "gateway", "load", "protocol", "server", "starling", "store", "traces"];

const MEND: &str = "write a level (off, error, warn, info, debug, trace), or a list such as info,gateway=debug";

/// A tracing filter, checked here so that a typing error shows at the start. A word alone is a level or a part of ours;
/// with a level (`hyper=debug`) it may be any part, also of a library. White space around words is taken out: the library
/// would cut it off at the wrong end of a part's name.
pub(super) fn log_filter(text: &str) -> Parsed<String> {
    let words: Vec<_> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let filter = words.join(",");
    if words.is_empty() || EnvFilter::try_new(&filter).is_err() {
        return Err(Bad::new("is not a log filter", MEND));
    }
    match words.into_iter().find(|word| !says_something(word)) {
        None => Ok(filter),
        Some(word) => Err(Bad::new(format!("has {word:?}, which is neither a level nor a part of Starling"), MEND)),
    }
}

fn says_something(word: &str) -> bool {
    // A span in brackets, or a part with its level: whoever writes that knows the form.
    if word.contains(['=', '[']) {
        return true;
    }
    let part = word.split("::").next().unwrap_or_default();
    word.parse::<LevelFilter>().is_ok() || PARTS.contains(&part)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn levels_and_parts_are_taken_in_every_form() {
        for text in [
            "info",
            "INFO",
            "off",
            "3",
            "gateway",
            "gateway::hub",
            "info,gateway=debug",
            "starling=debug",
            "warn,hyper=debug,sqlx::query=trace",
            "info,[request]=debug",
            "store[call{kind=send}]=trace",
        ] {
            assert_eq!(log_filter(text), Ok(text.to_owned()));
        }
        assert_eq!(log_filter(" info , gateway=debug ,"), Ok("info,gateway=debug".to_owned()));
    }

    #[test]
    fn a_word_that_would_silence_everything_else_is_refused() {
        for (text, word) in [
            ("loud", "loud"),
            ("warning", "warning"),
            ("info,gatewy", "gatewy"),
            ("debug info", "debug info"),
            ("info;debug", "info;debug"),
        ] {
            let what = format!("has {word:?}, which is neither a level nor a part of Starling");
            assert_eq!(log_filter(text).unwrap_err().what, what);
        }
        for text in ["", " ", "gateway=loud", "info,gateway=loud", "=", "["] {
            assert_eq!(log_filter(text).unwrap_err().what, "is not a log filter", "{text}");
        }
    }

    #[test]
    fn every_crate_of_the_workspace_is_a_part() {
        let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let names = fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let missing: Vec<_> = names.filter(|name| !PARTS.contains(&name.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
