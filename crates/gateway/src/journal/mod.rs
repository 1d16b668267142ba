//! What the node remembers of its deliveries, so that "why did X not get Y?" has an answer: which changes it handed to
//! its connections, when and to how many ([`Deliveries`]), and how connections ended ([`EndedConnections`]).
//!
//! Bounded, in memory, of this process alone: what is older is forgotten, and [`crate::inspect`] says so instead of
//! guessing. A change costs one entry however many connections get it.

mod deliveries;
mod ended;

pub(crate) use self::{
    deliveries::{Deliveries, Delivery},
    ended::{Ended, EndedConnections, PLACES, Places},
};
