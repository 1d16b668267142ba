//! What people are answered when they ask by REST: their lists, and who is there.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};
use protocol::{Conversation, Page, PresenceList, PresenceState, Unread, UserId};
use tokio::time::{Instant, sleep};

use super::people::{People, Someone};
use crate::{
    audit::{Looked, PresenceSeen, Roll},
    client::Answer,
};

/// Whoever asks has an answer after this.
pub(super) const ANSWERED: Duration = Duration::from_secs(90);
/// Between two looks.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

/// Everybody's list and badge.
pub(super) async fn lists(people: &People) -> Result<Vec<Looked>> {
    let mut looked = Vec::new();
    for someone in &people.all {
        let conversations = conversations(someone).await?;
        let unread: Unread = get(someone, "unread").await?;
        looked.push(Looked { user: someone.id, conversations, unread: Some(unread) });
    }
    Ok(looked)
}

/// All pages of somebody's list.
pub(super) async fn conversations(someone: &Someone) -> Result<Vec<Conversation>> {
    let (mut conversations, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Page<Conversation> = get(someone, &format!("conversations?limit=100{cursor}")).await?;
        conversations.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(conversations),
        }
    }
}

/// Who was there, for the auditor.
pub(super) struct Called {
    pub(super) seen: Vec<PresenceSeen>,
    pub(super) roll: Roll,
    /// Everybody was told as they are, and shown so wherever somebody watches.
    pub(super) right: bool,
}

/// Waits until presence says of everybody whether they are there, and everybody who watches shows what it says; after
/// `most` it is as it is.
pub(super) async fn roll_call(people: &People, most: Duration, there: impl Fn(UserId) -> bool) -> Result<Called> {
    let [first, second, ..] = &people.all[..] else { bail!("presence needs two people") };
    let start = Instant::now();
    loop {
        let (mut seen, mut states) = (Vec::new(), BTreeMap::new());
        // One's own is not asked for: whoever asks is there, or is not.
        for (asks, of) in [(first, &people.all[1..]), (second, &people.all[..1])] {
            let ids: Vec<_> = of.iter().map(|someone| someone.id.to_string()).collect();
            let told: PresenceList = get(asks, &format!("presence?ids={}", ids.join(","))).await?;
            states.extend(told.items.into_iter().map(|presence| (presence.user_id, presence.state)));
            for someone in of {
                let online = states.get(&someone.id).is_some_and(|state| *state != PresenceState::Offline);
                let (at, by) = (people.book.now(), format!("the api, asked by {}", asks.id));
                seen.push(PresenceSeen { at, user: someone.id, online, expected: there(someone.id), by });
            }
        }
        let right = seen.iter().all(|seen| seen.online == seen.expected) && shown(people, &states);
        if right || start.elapsed() > most {
            // Where the api is wrong, whoever shows the same is wrong too.
            for told in seen.iter().filter(|told| told.online != told.expected) {
                let is = if told.expected { PresenceState::Online } else { PresenceState::Offline };
                states.insert(told.user, is);
            }
            return Ok(Called { seen, roll: Roll { at: people.book.now(), states, ..Roll::default() }, right });
        }
        sleep(AGAIN).await;
    }
}

/// Whether all that watch and are connected show this.
fn shown(people: &People, states: &BTreeMap<UserId, PresenceState>) -> bool {
    let watching = people.devices().filter(|device| device.client().is_some() && device.is_live());
    let mut watching = watching.map(|device| {
        device.look(|view| {
            let others = states.iter().filter(|(user, _)| **user != device.user);
            let shows = |user| view.presence.get(user).map(|presence| presence.state);
            others.into_iter().all(|(user, state)| shows(user) == Some(*state))
        })
    });
    watching.all(|shows| shows)
}

/// Asks until there is an answer: a connection of the pool may have died unseen in the last fault.
async fn get<T: serde::de::DeserializeOwned>(someone: &Someone, path: &str) -> Result<T> {
    let start = Instant::now();
    loop {
        match someone.rest.get(path).await.and_then(Answer::ok) {
            Err(_) if start.elapsed() < ANSWERED => sleep(AGAIN).await,
            found => return found.with_context(|| format!("no answer within {ANSWERED:?}")),
        }
    }
}
