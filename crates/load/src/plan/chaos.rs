//! `--chaos every=5s,kinds=kill+drain`: what is done to spawned nodes, and how often.

use std::{fmt, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// What can be done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Deed {
    /// SIGKILL; it is started again after two seconds.
    Kill,
    /// SIGTERM; it is started again when it has ended by itself.
    Drain,
    /// SIGKILL; it is started again at once.
    Restart,
    /// SIGSTOP; it goes on after two seconds.
    Freeze,
}

/// When what is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chaos {
    pub(crate) every: Duration,
    pub(crate) kinds: Vec<Deed>,
}

impl Deed {
    const ALL: [Self; 4] = [Self::Kill, Self::Drain, Self::Restart, Self::Freeze];

    fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Drain => "drain",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Chaos {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut chaos = Self { every: Duration::from_secs(5), kinds: vec![Deed::Kill, Deed::Drain, Deed::Restart] };
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("every", value)) => {
                    let number = value.strip_suffix('s').unwrap_or(value).parse::<f64>().ok();
                    let number = number.filter(|number| (0.5..=3_600.0).contains(number));
                    let number = number.with_context(|| format!("--chaos every=`{value}` is not 0.5s to 3600s"))?;
                    chaos.every = Duration::from_secs_f64(number);
                }
                Some(("kinds", value)) => {
                    let kind = |word: &str| {
                        Deed::ALL.into_iter().find(|deed| deed.word() == word).with_context(|| {
                            format!("--chaos kinds: `{word}` is none of kill, drain, restart and freeze")
                        })
                    };
                    chaos.kinds = value.split('+').map(kind).collect::<Result<_>>()?;
                }
                _ => bail!(
                    "--chaos `{part}` is neither every=5s nor kinds=kill+drain (a scenario that follows --chaos is taken \
                     for this: name it before)"
                ),
            }
        }
        ensure!(!chaos.kinds.is_empty(), "--chaos kinds is empty");
        Ok(chaos)
    }
}
