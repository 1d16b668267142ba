//! The protections that keep delivery whole, each with a switch, so that the tests can prove that they would notice
//! if it were missing. A node has all of them on: no setting of an operator turns one off.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What protects delivery; see `docs/RELIABILITY.md` for the promise that each one keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protections {
    /// Early events wait, and holes are filled from the store. Off: events go out as they come.
    pub gap_fill: bool,
    /// Heads are compared with the store, so that a lost last event is found. Off: never.
    pub head_sweep: bool,
    /// What comes twice goes out once. Off: as often as it comes.
    pub dedupe: bool,
    /// A retry with the same `client_id` is the same message. Off: each try is a message.
    pub idempotency: bool,
    /// Topics are subscribed before the store is read. Off: after it, and nothing is read again.
    pub subscribe_first: bool,
    /// Membership is asked again on resume, and a removal ends a subscription by its place in the order. Off: who was
    /// in once stays in.
    pub membership: bool,
    /// What a node says of its users' presence counts for as long as its lease. Off: for ever.
    pub lease_end: bool,
}

impl Default for Protections {
    fn default() -> Self {
        Self {
            gap_fill: true,
            head_sweep: true,
            dedupe: true,
            idempotency: true,
            subscribe_first: true,
            membership: true,
            lease_end: true,
        }
    }
}

impl Protections {
    /// Their names, as [`Protections::without`] takes them.
    pub const NAMES: [&'static str; 7] =
        ["gap_fill", "head_sweep", "dedupe", "idempotency", "subscribe_first", "membership", "lease_end"];

    /// All but the one of this name; none when there is no such protection.
    pub fn without(name: &str) -> Option<Self> {
        let mut all = Self::default();
        let switch = match name {
            "gap_fill" => &mut all.gap_fill,
            "head_sweep" => &mut all.head_sweep,
            "dedupe" => &mut all.dedupe,
            "idempotency" => &mut all.idempotency,
            "subscribe_first" => &mut all.subscribe_first,
            "membership" => &mut all.membership,
            "lease_end" => &mut all.lease_end,
            _ => return None,
        };
        *switch = false;
        Some(all)
    }
}

impl FromStr for Protections {
    type Err = String;

    /// The name of the one that is off.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::without(name).ok_or_else(|| format!("expected one of {}", Self::NAMES.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_turns_off_one_protection_of_its_own() {
        let mut seen = Vec::new();
        for name in Protections::NAMES {
            let without = Protections::without(name).unwrap();
            assert_ne!(without, Protections::default(), "{name}");
            assert!(!seen.contains(&without), "{name}");
            seen.push(without);
        }
        assert!("everything".parse::<Protections>().is_err());
    }
}
