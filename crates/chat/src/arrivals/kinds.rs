//! The kinds of questions: each is one call of the store.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use protocol::{ConversationId, Receipt, UserId};
use store::{Arrived, Behind, CATCH_UP_CHANGES, Memberships, Missed, Result, Store, Who};

use super::{CATCH_UP_LIMIT, gather::Kind};
use crate::Env;

type Answers<T> = BoxFuture<'static, Result<Vec<T>>>;

/// Who somebody is, and whether their session counts.
pub(super) struct WhoComes {
    pub(super) store: Arc<dyn Store>,
    pub(super) env: Env,
}

impl Kind for WhoComes {
    type Question = Who;
    type Answer = Arrived;

    fn weight(_: &Arrived) -> usize {
        1
    }

    fn read(&self, who: Vec<Who>) -> Answers<Arrived> {
        let (store, now) = (Arc::clone(&self.store), self.env.now());
        async move { store.arrived(&who, now).await }.boxed()
    }
}

/// Where somebody takes part: at most so many conversations.
pub(super) struct WhereTo {
    pub(super) store: Arc<dyn Store>,
    pub(super) limit: u32,
}

impl Kind for WhereTo {
    type Question = UserId;
    type Answer = Memberships;

    fn weight(memberships: &Memberships) -> usize {
        memberships.items.len()
    }

    fn read(&self, users: Vec<UserId>) -> Answers<Memberships> {
        let (store, limit) = (Arc::clone(&self.store), self.limit);
        async move { store.memberships_of(&users, limit).await }.boxed()
    }
}

/// Cursors, and how many changes are behind them: as far as that is known, and of each conversation at most.
#[derive(Clone)]
pub(super) struct Missing {
    pub(super) behind: Behind,
    pub(super) distance: u64,
    pub(super) limit: u32,
}

/// What somebody missed.
pub(super) struct WhatMissed(pub(super) Arc<dyn Store>);

impl Kind for WhatMissed {
    type Question = Missing;
    type Answer = Vec<Missed>;

    fn expected(Missing { behind: (_, cursors), distance, limit }: &Missing) -> usize {
        let pages = cursors.len() as u64 * u64::from(*limit);
        let changes = pages.min(*distance).min(u64::from(CATCH_UP_CHANGES));
        cursors.len() + changes as usize
    }

    fn weight(missed: &Vec<Missed>) -> usize {
        missed.iter().map(|missed| 1 + missed.page.changes.len()).sum()
    }

    fn read(&self, asked: Vec<Missing>) -> Answers<Vec<Missed>> {
        let store = Arc::clone(&self.0);
        // Whoever wants less would get too much: a page may always hold less.
        let limit = asked.iter().map(|missing| missing.limit).min().unwrap_or(CATCH_UP_LIMIT);
        let behind: Vec<Behind> = asked.into_iter().map(|missing| missing.behind).collect();
        async move { store.catch_up_of(&behind, limit).await }.boxed()
    }
}

/// Which markers somebody is told.
pub(super) struct WhichMarkers(pub(super) Arc<dyn Store>);

impl Kind for WhichMarkers {
    type Question = (UserId, Vec<ConversationId>);
    type Answer = Vec<Receipt>;

    fn expected((_, conversations): &(UserId, Vec<ConversationId>)) -> usize {
        conversations.len().max(1)
    }

    fn weight(receipts: &Vec<Receipt>) -> usize {
        receipts.len()
    }

    fn read(&self, of: Vec<(UserId, Vec<ConversationId>)>) -> Answers<Vec<Receipt>> {
        let store = Arc::clone(&self.0);
        async move { store.receipts_of(&of).await }.boxed()
    }
}
