//! What connections ask when they begin. After a node's death its clients come to the others within seconds: what they ask is
//! gathered, so that ten thousand of them are some hundred statements. Requests over REST ask one by one: a request lasts
//! as long as its answer takes, and must not wait for others.

mod gather;

use std::sync::Arc;

use futures_util::FutureExt;
use prometheus::IntCounterVec;
use protocol::{ConversationId, Receipt, UserId};
use store::{Arrived, Behind, CATCH_UP_CHANGES, Memberships, Missed, Store, Who};

use self::gather::{Counts, Gather};
use crate::{ChatConfig, Env, metrics::Metrics};

/// Most rows that one read brings, as far as that is known before it.
const ROWS: usize = 20_000;
/// Most changes of one conversation in [`crate::Chat::catch_up`].
pub(crate) const CATCH_UP_LIMIT: u32 = 50;

/// See the module.
pub(crate) struct Arrivals {
    who: Gather<Who, Arrived>,
    memberships: Gather<UserId, Memberships>,
    behind: Gather<(Behind, u32), Vec<Missed>>,
    receipts: Gather<(UserId, Vec<ConversationId>), Vec<Receipt>>,
}

impl Arrivals {
    pub(crate) fn new(store: &Arc<dyn Store>, env: &Env, config: &ChatConfig, metrics: &Metrics) -> Self {
        let limit = match config.limits.connection_conversations {
            0 => u32::MAX,
            limit => limit,
        };
        let counts =
            |name| Counts { reads: of(&metrics.arrival_reads, name), questions: of(&metrics.arrival_questions, name) };
        let (own, clock) = (Arc::clone(store), env.clone());
        let who = Gather::new(env, counts("who"), (|_| 1, ROWS), move |asked: Vec<Who>| {
            let (store, now) = (Arc::clone(&own), clock.now());
            async move { store.arrived(&asked, now).await }.boxed()
        });
        let own = Arc::clone(store);
        let memberships = Gather::new(env, counts("memberships"), (|_| 1, ROWS), move |users: Vec<UserId>| {
            let store = Arc::clone(&own);
            async move { store.memberships_of(&users, limit).await }.boxed()
        });
        let own = Arc::clone(store);
        let behind = Gather::new(env, counts("missed"), (changes, ROWS), move |asked: Vec<(Behind, u32)>| {
            let store = Arc::clone(&own);
            // Whoever wants less would get too much: a page may always hold less.
            let limit = asked.iter().map(|(_, limit)| *limit).min().unwrap_or(CATCH_UP_LIMIT);
            let behind: Vec<Behind> = asked.into_iter().map(|(behind, _)| behind).collect();
            async move { store.catch_up_of(&behind, limit).await }.boxed()
        });
        let own = Arc::clone(store);
        let receipts = Gather::new(env, counts("receipts"), (markers, ROWS), move |asked: Vec<_>| {
            let store = Arc::clone(&own);
            async move { store.receipts_of(&asked).await }.boxed()
        });
        Self { who, memberships, behind, receipts }
    }

    /// [`store::Arrivals::arrived`].
    pub(crate) async fn who(&self, who: Who) -> crate::Result<Arrived> {
        self.who.ask(who).await
    }

    /// [`Store::memberships`].
    pub(crate) async fn memberships(&self, user: UserId) -> crate::Result<Memberships> {
        self.memberships.ask(user).await
    }

    /// [`Store::catch_up`].
    pub(crate) async fn missed(&self, behind: Behind, limit: u32) -> crate::Result<Vec<Missed>> {
        self.behind.ask((behind, limit)).await
    }

    /// [`Store::receipts`].
    pub(crate) async fn receipts(&self, user: UserId, ids: Vec<ConversationId>) -> crate::Result<Vec<Receipt>> {
        self.receipts.ask((user, ids)).await
    }
}

/// As many markers as there may be, about: up to a hundred in a conversation, mostly few.
fn markers((_, conversations): &(UserId, Vec<ConversationId>)) -> usize {
    10 * conversations.len()
}

/// As many changes as there may be, about.
fn changes(((_, cursors), limit): &(Behind, u32)) -> usize {
    (cursors.len() * *limit as usize).min(CATCH_UP_CHANGES as usize)
}

fn of(counters: &IntCounterVec, name: &str) -> prometheus::IntCounter {
    counters.with_label_values(&[name])
}
