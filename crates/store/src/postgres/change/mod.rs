//! Durable changes: one transaction for many changes of many conversations.
//!
//! Lock the conversations in id order; **then** read, in statements that start after the locks are held (under
//! READ COMMITTED each sees what was committed before it, so nothing that another batch just did is missed);
//! decide; write in a handful of statements however many messages; commit. Users, whose feeds move, are locked
//! after conversations and in id order, so that two batches never wait for each other in a circle.

mod feeds;
mod members;
mod mentions;
mod messages;
mod notifications;
mod reactions;
mod read;
mod threads;
mod updates;

use protocol::ConversationId;
use sqlx::{PgConnection, PgPool};

use super::fault::{Fault, Outcome};
use crate::{Committed, Decide, IdSet, Locked, Scope, Writes};

pub(super) use feeds::Feeds;
pub(super) use notifications::write as write_notifications;

/// Runs a batch: once; the caller runs it again where the database asks for it.
pub(super) async fn change(pool: &PgPool, scope: &Scope, decide: Decide<'_>) -> Outcome<Committed> {
    let mut tx = pool.begin().await?;
    let locked = read::locked(&mut tx, scope).await?;
    let writes = decide(&locked);
    if writes.is_empty() {
        // Nothing to undo; ending it properly gives the connection back at once.
        tx.rollback().await?;
        return Ok(Committed::default());
    }
    check_scope(&locked, &writes)?;
    let committed = write(&mut tx, &locked, &writes).await?;
    tx.commit().await?;
    Ok(committed)
}

async fn write(tx: &mut PgConnection, locked: &Locked, writes: &Writes) -> Outcome<Committed> {
    let before = members::read(tx, &writes.participants).await?;
    let moving = writes.participants.iter().filter(|write| members::moves_feed(write)).map(|write| write.user_id);
    let told = writes.notifications.iter().map(|notification| notification.user_id);
    let mut feeds = Feeds::lock(tx, &moving.chain(told).collect::<Vec<_>>()).await?;
    let mut moved = members::write(tx, locked, writes, &before, &mut feeds).await?;
    for (new, user_seq) in notifications::write(tx, &mut feeds, &writes.notifications).await? {
        moved.push((new.conversation_id, new.user_id, user_seq));
    }
    feeds.save(tx).await?;
    messages::insert(tx, writes).await?;
    threads::count(tx, &writes.inserts).await?;
    let mentioned: Vec<_> = writes.inserts.iter().map(|insert| (insert.id, insert.mentions.as_slice())).collect();
    mentions::note(tx, &mentioned).await?;
    updates::update(tx, locked, &writes.updates).await?;
    messages::patch_conversations(tx, writes).await?;
    let messages = messages::present(tx, locked, writes).await?;
    Ok(Committed { messages, feeds: moved })
}

/// A decision may write only where it holds the lock: there are no foreign keys that would notice.
fn check_scope(locked: &Locked, writes: &Writes) -> Outcome<()> {
    let named: IdSet<ConversationId> = writes
        .inserts
        .iter()
        .map(|insert| insert.conversation_id)
        .chain(writes.updates.iter().map(|update| update.conversation_id))
        .chain(writes.participants.iter().map(|participant| participant.conversation_id))
        .chain(writes.conversations.keys().copied())
        .chain(writes.notifications.iter().map(|notification| notification.conversation_id))
        .collect();
    if named.iter().all(|id| locked.conversations.contains_key(id)) {
        Ok(())
    } else {
        Err(Fault::internal("a decision wrote to a conversation that it had not locked"))
    }
}
