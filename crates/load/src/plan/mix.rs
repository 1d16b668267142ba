//! The file of the scenario `mixed`: how often people do what, and in conversations of which shape.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The file that is used when none is named.
pub(crate) const DEFAULT: &str = include_str!("mix.toml");

/// A mix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mix {
    /// Conversations per user.
    pub(crate) conversations: usize,
    /// Members of each conversation.
    pub(crate) members: usize,
    /// How much one user does.
    pub(crate) actions_per_user_per_second: f64,
    /// What it is.
    pub(crate) ratios: Ratios,
}

/// Weights; they need not add up to anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ratios {
    #[serde(default)]
    pub(crate) send: f64,
    #[serde(default)]
    pub(crate) receipt_read: f64,
    #[serde(default)]
    pub(crate) receipt_delivered: f64,
    #[serde(default)]
    pub(crate) typing: f64,
    #[serde(default)]
    pub(crate) open_list: f64,
    #[serde(default)]
    pub(crate) open_conversation: f64,
    #[serde(default)]
    pub(crate) presence: f64,
    #[serde(default)]
    pub(crate) watch: f64,
    #[serde(default)]
    pub(crate) reconnect: f64,
}

/// Something that a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Send,
    Read,
    Delivered,
    Typing,
    List,
    History,
    Presence,
    Watch,
    Reconnect,
}

impl Ratios {
    fn weights(&self) -> [(Action, f64); 9] {
        [
            (Action::Send, self.send),
            (Action::Read, self.receipt_read),
            (Action::Delivered, self.receipt_delivered),
            (Action::Typing, self.typing),
            (Action::List, self.open_list),
            (Action::History, self.open_conversation),
            (Action::Presence, self.presence),
            (Action::Watch, self.watch),
            (Action::Reconnect, self.reconnect),
        ]
    }

    /// What is done when a number from 0 to 1 is drawn.
    pub(crate) fn pick(&self, drawn: f64) -> Action {
        let weights = self.weights();
        let mut left = drawn * weights.iter().map(|(_, weight)| weight).sum::<f64>();
        for (action, weight) in weights {
            if left < weight {
                return action;
            }
            left -= weight;
        }
        Action::Send
    }
}

impl Mix {
    /// Reads a file, or takes the default.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self> {
        let name = file.map_or_else(|| "the mix".to_owned(), |file| file.display().to_string());
        let text = match file {
            Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?,
            None => DEFAULT.to_owned(),
        };
        Self::parse(&text).with_context(|| name)
    }

    fn parse(text: &str) -> Result<Self> {
        let mix: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            anyhow::anyhow!("line {line}: {}", error.message())
        })?;
        for (action, weight) in mix.ratios.weights() {
            ensure!(weight >= 0.0 && weight.is_finite(), "the ratio of {action:?} is {weight}: write 0 or more");
        }
        ensure!(
            mix.ratios.weights().iter().any(|(_, weight)| *weight > 0.0),
            "all ratios are 0: nothing would be done"
        );
        ensure!((1..=1_000).contains(&mix.conversations), "conversations = {} is not 1 to 1000", mix.conversations);
        ensure!(mix.members >= 2, "members = {} is less than 2", mix.members);
        let each = mix.actions_per_user_per_second;
        ensure!((0.001..=1_000.0).contains(&each), "actions_per_user_per_second = {each} is not from 0.001 to 1000");
        Ok(mix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_mix_and_what_is_drawn_follows_its_ratios() {
        let mix = Mix::load(None).unwrap();
        let sends = (0..1_000).filter(|n| mix.ratios.pick(f64::from(*n) / 1_000.0) == Action::Send).count() as f64;
        let all: f64 = mix.ratios.weights().iter().map(|(_, weight)| weight).sum();
        assert!((sends / 1_000.0 - mix.ratios.send / all).abs() < 0.01);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_line() {
        let told = |text: &str| format!("{:#}", Mix::parse(text).unwrap_err());
        let bad = DEFAULT.replace("typing =", "typong =");
        let line = told(&bad);
        assert!(line.contains("unknown field `typong`") && line.starts_with("line "), "{line}");
        assert!(told("conversations = ").starts_with("line 1"));
        assert!(told(&DEFAULT.replace("typing = ", "typing = -")).contains("write 0 or more"));
        let slow = DEFAULT.replace("actions_per_user_per_second = ", "actions_per_user_per_second = 1e-20 # ");
        assert!(told(&slow).contains("not from 0.001"));
    }
}
