//! Each fault alone, while people talk: what they notice of it, what operators read of it, and how soon it is over.
//!
//! A scenario is one function over a whole cluster; [`stage`] holds what they share. Times are printed with
//! `--nocapture`, and asserted with room for a machine that does other things.

// What scenarios of whole clusters share; this binary needs only some of it.
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../cluster/world.rs"]
mod world;

mod alone;
mod commits;
mod logs;
mod messages;
mod postgres;
mod recovery;
mod redis;
mod redis_refuses;
mod stage;
mod store;
