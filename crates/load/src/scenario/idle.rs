//! Sockets that do nothing: what a connection costs.

use std::sync::Arc;

use anyhow::Result;

use super::rooms::dealt;
use crate::{device::Line, stage::Stage};

/// Members of each conversation.
const MEMBERS: usize = 10;

pub(super) async fn play(stage: &Stage, sockets: usize, conversations: usize) -> Result<()> {
    let people = stage.people(sockets).await?;
    let members = MEMBERS.min(sockets);
    let (rooms, of) = dealt(stage, &people, (sockets * conversations).div_ceil(members), members).await?;
    let mine = |n: usize| of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect();
    let crowd = stage.connect(&people, Line::Socket, mine).await?;
    stage.run.load_begins("idle");
    stage.wait(stage.plan.time).await;
    stage.run.load_ends();
    drop(crowd);
    Ok(())
}
