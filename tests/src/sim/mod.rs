//! Deterministic simulation: many nodes of the real `chat` and `gateway`, the client's own logic, a simulated bus and
//! the embedded store, in one thread under virtual time, with one seed for every choice.
//!
//! The same plan gives the same log. What is simulated is what lies between the parts: wires, the bus, the way to the
//! store, the scheduler, the process. What is real is every line that decides what is delivered to whom. Afterwards the
//! auditor ([`crate::audit`]) compares what clients saw with what is stored.

mod burst;
mod bus;
mod chance;
mod deeds;
mod device;
mod draw;
mod gate;
mod listener;
mod looks;
mod own;
mod people;
mod plan;
mod run;
mod shrink;
mod store;
mod wire;
mod world;

pub use self::{
    bus::{Broker, BusFaults, SimBus},
    chance::Chance,
    gate::Gate,
    plan::{Fault, Plan, Step, What, Wrong},
    run::{Outcome, run},
    shrink::shrink,
    store::{Backup, Database, SimStore, StoreFaults},
    world::{Setting, World},
};
