//! The scenarios: who takes part in what, and what they do. Each returns when its time is over and all has settled.

mod events;
mod idle;
mod joins;
mod mixed;
mod rest;
mod rooms;
mod storm;

use anyhow::Result;

pub(crate) use self::rooms::dealt;
use crate::{cli::Scenario, stage::Stage};

/// Plays what the plan says.
pub(crate) async fn play(stage: &Stage) -> Result<()> {
    match stage.plan.scenario {
        Scenario::Idle { sockets, conversations } => idle::play(stage, sockets, conversations).await,
        Scenario::Pairs { pairs } => rooms::pairs(stage, pairs).await,
        Scenario::Room { members, senders } => rooms::one(stage, members, senders).await,
        Scenario::Rooms { rooms, members, users } => {
            rooms::many(stage, rooms, members, users.unwrap_or(rooms * members)).await
        }
        Scenario::Mixed { users, .. } => mixed::play(stage, users).await,
        Scenario::Storm { sockets, share, waves, within } => storm::play(stage, sockets, share, waves, within).await,
        Scenario::Joins { joiners, members, within } => joins::play(stage, joiners, members, within).await,
        Scenario::Rest { users, members } => rest::play(stage, users, members).await,
        Scenario::Events { streams, members } => events::play(stage, streams, members).await,
    }
}
