//! Configuration: defaults < file < environment < flags, read once from sources that are passed in.
//!
//! Promises one clear [`Failure`] for the first thing that cannot work, and to know where each value came from.
//! Does not touch the process' environment: `main` hands it in, tests hand in a map.

mod file;
mod log_filter;
mod parse;
mod rules;
pub mod show;
mod suggest;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
};

pub(crate) use parse::REDIS_FORMS;
pub use parse::{Address, Bad, LogFormat, Origins};
pub use rules::{Mode, Purpose, Role};
pub use table::{Fallback, Kind, Secrecy, Setting, Settings, TABLE};

use crate::{
    failure::Failure,
    testing::{self, Testing},
};

/// Environment variables.
pub type Environment = BTreeMap<String, String>;

/// Names the file; no setting, because a file cannot name itself.
pub(crate) const CONFIG_ENV: &str = "STARLING_CONFIG";

/// Variables of this repository's scripts, which share our prefix and may be set for the binary that they start.
const OF_SCRIPTS: &[&str] = &["STARLING_BIN"];

/// Where values come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The environment.
    pub environment: Environment,
    /// Flags by key of their setting.
    pub flags: HashMap<&'static str, String>,
    /// `--config`
    pub config_flag: Option<PathBuf>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file.
    File(PathBuf),
    /// The variable.
    Environment(&'static str),
    /// The flag, without dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag --{flag}"),
        }
    }
}

/// A setting's text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As it was written.
    pub text: String,
    /// By whom.
    pub origin: Origin,
}

/// The effective configuration.
#[derive(Clone)]
pub struct Config {
    /// Embedded, or a node of a cluster.
    pub mode: Mode,
    /// Typed values.
    pub settings: Settings,
    /// What tests of our own tests want to be different.
    pub(crate) testing: Testing,
    found: HashMap<&'static str, Found>,
}

impl Config {
    /// Reads the sources for a purpose.
    pub fn load(sources: &Sources, purpose: Purpose) -> Result<Self, Failure> {
        check_names(&sources.environment)?;
        let file = file::read(sources)?;
        let mut found: HashMap<&'static str, Found> = HashMap::new();
        for setting in TABLE {
            let flag = sources.flags.get(setting.key).map(|text| (text, Origin::Flag(setting.key.replace('_', "-"))));
            let variable = sources.environment.get(setting.env).map(|text| (text, Origin::Environment(setting.env)));
            let written =
                file.iter().find_map(|file| Some((file.values.get(setting.key)?, Origin::File(file.path.clone()))));
            if let Some((text, origin)) = flag.or(variable).or(written) {
                found.insert(setting.key, Found { text: text.clone(), origin });
            }
        }
        let set = |key: &str| found.get(key).is_some_and(|found| !found.text.is_empty());
        let clustered = set("database_url") || set("redis_url");
        for setting in TABLE {
            found.entry(setting.key).or_insert_with(|| Found {
                text: match setting.fallback {
                    Fallback::Unset => String::new(),
                    Fallback::Same(text) => text.into(),
                    Fallback::ByMode { embedded, cluster } => if clustered { cluster } else { embedded }.into(),
                    Fallback::Computed(_, compute) => compute(&sources.environment),
                },
                origin: Origin::Default,
            });
        }
        let settings = Settings::read(|key| found.get(key).map(|found| found.text.clone()).unwrap_or_default())
            .map_err(|(key, bad)| refusal(key, &found, &bad))?;
        let mode = rules::check(&settings, &found, purpose)?;
        let testing = Testing::read(&sources.environment)?;
        Ok(Self { mode, settings, testing, found })
    }

    /// A setting's text and origin.
    pub fn found(&self, key: &str) -> Option<&Found> {
        self.found.get(key)
    }

    /// Whether somebody set it.
    pub fn is_set(&self, key: &str) -> bool {
        self.found.get(key).is_some_and(|found| found.origin != Origin::Default)
    }
}

fn refusal(key: &'static str, found: &HashMap<&'static str, Found>, bad: &Bad) -> Failure {
    let (Some(setting), Some(found)) = (table::setting(key), found.get(key)) else {
        return Failure::configuration(key, &bad.what, &bad.mend);
    };
    let value = match setting.secrecy {
        Secrecy::Open => format!("{:?}", found.text),
        Secrecy::Url => "the URL".into(),
        Secrecy::Hidden if setting.kind == Kind::List => "the list".into(),
        Secrecy::Hidden => "the secret".into(),
    };
    let whose = match &found.origin {
        Origin::Environment(_) | Origin::Default => value,
        Origin::File(path) => format!("{value} ({key} in {})", path.display()),
        Origin::Flag(flag) => format!("{value} (flag --{flag})"),
    };
    Failure::value(setting.env, &whose, bad)
}

/// Refuses variables that look like ours and are none: a setting that is silently ignored is found too late.
fn check_names(environment: &Environment) -> Result<(), Failure> {
    let known = || TABLE.iter().map(|setting| setting.env).chain([CONFIG_ENV]);
    for (name, value) in environment {
        if known().any(|known| known == name) {
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(Failure::configuration(name, "the value is not UTF-8", "set it again as UTF-8 text"));
            }
        } else if name.starts_with("STARLING_")
            && !OF_SCRIPTS.iter().chain(testing::NAMES).any(|known| known == name)
            && !is_service_link(name, value)
        {
            let mend = match suggest::nearest(name, known()) {
                Some(near) => format!("did you mean {near}?"),
                None => "remove it; `starling config` lists the variables".into(),
            };
            return Err(Failure::configuration(name, "unknown variable", mend));
        }
    }
    Ok(())
}

/// Kubernetes sets such variables in every pod for a service whose name begins with `starling-`.
fn is_service_link(name: &str, value: &str) -> bool {
    let url = value.starts_with("tcp://") || value.starts_with("udp://");
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && url)
        || ["_TCP", "_UDP"]
            .iter()
            .any(|protocol| name.split_once("_PORT_").is_some_and(|(_, rest)| rest.contains(protocol)))
}

/// A duration on the command line, up to ten years.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, Bad> {
    parse::duration::<0, 315_360_000_000>(text)
}
