//! Mentions: ranges of a text that stand for a person, or for everybody. Pure: checks the ranges that a sender
//! names, and finds `@name` in the text where they name none. Counts UTF-16 code units, as clients' strings do. Who
//! takes part, and who may mention everybody, is decided under the lock.

use std::collections::{HashMap, HashSet};

use protocol::{MENTIONS_MAX, MentionRange, Message, User, UserId, check_username};

use crate::{ChatError, Result};

/// The name that stands for everybody.
const EVERYBODY: &str = "all";
/// Places in a text that are looked at: a text of nothing but `@a @b …` is no reason to look for a thousand names.
const PLACES_MAX: usize = 200;
/// Names that are looked for in one text.
const NAMES_MAX: usize = 256;

/// Whom a text mentions, before it is known who of them takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mentions {
    /// The sender says so: what is not allowed is an error.
    Named(Vec<MentionRange>),
    /// The text says so: what is not allowed is no mention.
    Found(Vec<Found>),
}

/// `@name` in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where the `@` is.
    pub(crate) offset: u32,
    /// How long it is with its `@`.
    pub(crate) length: u32,
    /// Whose name it is.
    pub(crate) user: Option<UserId>,
    /// It is `@all`: everybody, where the sender may say so.
    pub(crate) everybody: bool,
}

impl Default for Mentions {
    fn default() -> Self {
        Self::Found(Vec::new())
    }
}

impl Mentions {
    /// Those who may be mentioned by name; the same one may come twice.
    pub(crate) fn users(&self) -> Vec<UserId> {
        match self {
            Self::Named(ranges) => ranges.iter().filter_map(|range| range.user_id).collect(),
            Self::Found(found) => found.iter().filter_map(|found| found.user).collect(),
        }
    }
}

/// Checks ranges that a sender named: within the text, whole characters, not overlapping. In the order of the text.
pub(crate) fn check(mut ranges: Vec<MentionRange>, content: &str) -> Result<Vec<MentionRange>> {
    let refuse = |message: String| Err(ChatError::field("mentions", message));
    if ranges.len() > MENTIONS_MAX {
        return refuse(format!("must have at most {MENTIONS_MAX} items"));
    }
    if ranges.is_empty() {
        return Ok(ranges);
    }
    ranges.sort_by_key(|range| range.offset);
    let boundaries = boundaries(content);
    let mut free_from = 0;
    for range in &ranges {
        let end = u64::from(range.offset) + u64::from(range.length);
        if range.length == 0 {
            return refuse("must have lengths of at least 1".into());
        }
        if end > boundaries.end {
            return refuse(format!("has a range that ends at {end}, past the end of content ({})", boundaries.end));
        }
        if !boundaries.starts.contains(&u64::from(range.offset)) || !boundaries.starts.contains(&end) {
            return refuse("has a range that cuts a character in two (offsets count UTF-16 code units)".into());
        }
        if u64::from(range.offset) < free_from {
            return refuse("has ranges that overlap".into());
        }
        free_from = end;
    }
    Ok(ranges)
}

/// Names that a text may mention, in lower case, each once: who has one of them is to be looked up for [`find`].
pub(crate) fn names(content: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    places(content)
        .flat_map(|(_, run)| candidates(run))
        .map(str::to_lowercase)
        .filter(|name| seen.insert(name.clone()))
        .take(NAMES_MAX)
        .collect()
}

/// The mentions in a text, given who has one of its [`names`]: at each `@` the longest name that somebody has.
pub(crate) fn find(content: &str, users: &[User]) -> Vec<Found> {
    find_named(content, &users.iter().map(|user| (user.username.to_lowercase(), user.id)).collect())
}

/// Those whom a message mentions by `@name`, where a new content still says so. They may have left since, or have
/// another name by now.
pub(crate) fn kept(message: &Message, content: &str) -> Vec<Found> {
    if message.mentions.is_empty() {
        return Vec::new();
    }
    let units: Vec<u16> = message.content.encode_utf16().collect();
    let named = message.mentions.iter().filter_map(|mention| {
        let (from, length) = (mention.offset as usize, mention.length as usize);
        let text = String::from_utf16(units.get(from..from.checked_add(length)?)?).ok()?;
        Some((text.strip_prefix('@')?.to_lowercase(), mention.user.as_ref()?.id))
    });
    let mut found = find_named(content, &named.collect());
    found.retain(|found| found.user.is_some());
    found
}

fn find_named(content: &str, users: &HashMap<String, UserId>) -> Vec<Found> {
    let mention = |(offset, run)| {
        candidates(run).find_map(|name| {
            let lower = name.to_lowercase();
            let (user, everybody) = (users.get(&lower).copied(), lower == EVERYBODY);
            let length = 1 + name.encode_utf16().count() as u32;
            (user.is_some() || everybody).then_some(Found { offset, length, user, everybody })
        })
    };
    places(content).filter_map(mention).take(MENTIONS_MAX).collect()
}

/// Each `@` that begins a word, by its offset, and what follows it as far as a name could go. An `@` within a word, as
/// in an e-mail address, begins nothing.
fn places(content: &str) -> impl Iterator<Item = (u32, &str)> {
    let (mut offset, mut counted) = (0, 0);
    // Most texts have none, and are not looked at character by character.
    content
        .match_indices('@')
        .filter_map(move |(at, mark)| {
            let (before, rest) = (content.get(..at)?, content.get(at + mark.len()..)?);
            offset += before.get(counted..)?.chars().map(|c| c.len_utf16() as u32).sum::<u32>();
            counted = at;
            let begins = !before.ends_with(of_a_name);
            let end = rest.find(|c| !of_a_name(c)).unwrap_or(rest.len());
            Some((offset, rest.get(..end)?)).filter(|(_, run)| begins && !run.is_empty())
        })
        .take(PLACES_MAX)
}

/// A run as a name, then without the marks at its end one by one: they may belong to the sentence.
fn candidates(run: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(run), |name| name.strip_suffix(['.', '-', '_']))
        .filter(|name| check_username(name).is_ok())
}

/// Whether usernames have this character.
fn of_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Where characters of a text begin, in UTF-16 code units, its end included.
struct Boundaries {
    starts: HashSet<u64>,
    end: u64,
}

fn boundaries(content: &str) -> Boundaries {
    let mut end = 0;
    let mut starts = HashSet::from([0]);
    for c in content.chars() {
        end += c.len_utf16() as u64;
        starts.insert(end);
    }
    Boundaries { starts, end }
}

#[cfg(test)]
#[path = "mentions_tests.rs"]
mod tests;
