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

/// What somebody missed: at most so many changes of each conversation.
pub(super) struct WhatMissed(pub(super) Arc<dyn Store>);

impl Kind for WhatMissed {
    type Question = (Behind, u32);
    type Answer = Vec<Missed>;

    fn expected(((_, cursors), _): &(Behind, u32)) -> usize {
        cursors.len().max(1)
    }

    fn weight(missed: &Vec<Missed>) -> usize {
        missed.iter().map(|missed| 1 + missed.page.changes.len()).sum()
    }

    fn read(&self, asked: Vec<(Behind, u32)>) -> Answers<Vec<Missed>> {
        let store = Arc::clone(&self.0);
        // Whoever wants less would get too much: a page may always hold less.
        let limit = asked.iter().map(|(_, limit)| *limit).min().unwrap_or(CATCH_UP_LIMIT).min(CATCH_UP_CHANGES);
        let behind: Vec<Behind> = asked.into_iter().map(|(behind, _)| behind).collect();
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
