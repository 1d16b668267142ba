//! Whole clusters of real processes behind nginx, and one embedded node: what people in them would notice.
//!
//! A scenario is one function over a [`starling_tests::cluster::Cluster`]; `scenarios!` makes a test of it for each
//! kind of cluster that it is listed under. Every wait has a deadline, and a failure prints what the clients saw and
//! the logs of all nodes. `make soak-test` runs all of it many times.

mod changes;
mod crash;
mod delivery;
mod drain;
mod idempotency;
mod lost_events;
mod markers;
mod membership;
mod postgres_outage;
mod redis_outage;
mod sign_in;
mod world;
