//! What connections ask when they begin. After a node's death its clients come to the others within seconds: what they
//! ask is gathered, so that ten thousand of them are some hundred statements. Requests over REST ask one by one: a
//! request lasts as long as its answer takes, and must not wait for others.

mod gather;
mod kinds;

use std::sync::Arc;

use protocol::{ConversationId, Receipt, UserId};
use store::{Arrived, Behind, Memberships, Missed, Store, Who};
use tokio::sync::Semaphore;

use self::{
    gather::{Counts, Gather},
    kinds::{Missing, WhatMissed, WhereTo, WhichMarkers, WhoComes},
};
use crate::{ChatConfig, Env, metrics::Metrics};

/// Most changes of one conversation in [`crate::Chat::catch_up`].
pub(crate) const CATCH_UP_LIMIT: u32 = 50;
/// Reads under way at once, of all kinds together: a quarter of a pool as it is by default.
const AT_ONCE: usize = 4;

/// See the module.
pub(crate) struct Arrivals {
    who: Gather<WhoComes>,
    memberships: Gather<WhereTo>,
    missed: Gather<WhatMissed>,
    receipts: Gather<WhichMarkers>,
}

impl Arrivals {
    pub(crate) fn new(store: &Arc<dyn Store>, env: &Env, config: &ChatConfig, metrics: &Metrics) -> Self {
        let limit = match config.limits.connection_conversations {
            0 => u32::MAX,
            limit => limit,
        };
        let counts = |name: &str| Counts {
            reads: metrics.arrival_reads.with_label_values(&[name]),
            questions: metrics.arrival_questions.with_label_values(&[name]),
        };
        let (store, places) = (|| Arc::clone(store), Arc::new(Semaphore::new(AT_ONCE)));
        let who = WhoComes { store: store(), env: env.clone() };
        Self {
            who: Gather::new(who, env, counts("who"), &places),
            memberships: Gather::new(WhereTo { store: store(), limit }, env, counts("memberships"), &places),
            missed: Gather::new(WhatMissed(store()), env, counts("missed"), &places),
            receipts: Gather::new(WhichMarkers(store()), env, counts("receipts"), &places),
        }
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
    pub(crate) async fn missed(&self, behind: Behind, distance: u64, limit: u32) -> crate::Result<Vec<Missed>> {
        self.missed.ask(Missing { behind, distance, limit }).await
    }

    /// [`Store::receipts`].
    pub(crate) async fn receipts(&self, user: UserId, ids: Vec<ConversationId>) -> crate::Result<Vec<Receipt>> {
        self.receipts.ask((user, ids)).await
    }
}
