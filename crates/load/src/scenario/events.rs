//! Streams of Server-Sent Events instead of sockets: rooms in which everybody writes by REST.

use std::sync::Arc;

use anyhow::Result;

use super::rooms::{dealt, everybody};
use crate::{device::Line, stage::Stage};

pub(super) async fn play(stage: &Stage, streams: usize, members: usize) -> Result<()> {
    let people = stage.people(streams).await?;
    let members = members.min(streams);
    let (rooms, of) = dealt(stage, &people, streams.div_ceil(members), members).await?;
    everybody(stage, &people, Line::Events, |n| of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect()).await
}
