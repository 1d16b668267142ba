//! Whole clusters of real processes behind nginx, and one embedded node: what people in them would notice.
//!
//! A scenario is one function over a [`starling_tests::cluster::Cluster`]; `scenarios!` makes a test of it for each
//! kind of cluster that it is listed under. Every wait has a deadline, and a failure prints what the clients saw and
//! the logs of all nodes. `make soak-test` runs all of it many times.

mod announcements;
mod balancers;
mod bus_input;
mod changes;
mod conversations;
mod crash;
mod deaf;
mod delivery;
mod drain;
mod drain_bounds;
mod ends;
mod epoch;
mod erasing;
mod idempotency;
mod kept;
mod list;
mod lost_events;
mod markers;
mod membership;
mod metrics;
mod moderation;
mod notifications;
mod operators;
mod orgs;
mod postgres_outage;
mod presence;
mod receipts;
mod redis_kinds;
mod redis_outage;
mod rights;
mod rolling;
mod rotation;
mod search;
mod secrets;
mod sign_in;
mod slow;
mod sse;
mod threads_reactions;
mod traces;
mod typing;
mod walk;
mod world;
