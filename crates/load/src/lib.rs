//! The load tester: a client only. It opens sockets by the thousand, sends in an open or a closed loop, and proves
//! every single delivery.
//!
//! [`cli::run`] is `starling-load` and `starling load`; a run goes from [`plan`] through [`engine`], [`stage`] and one
//! of [`scenario`] to a [`Report`]. What was sent and what came is in [`ledger`], what was timed in [`meter`].
//! [`idle`], [`room`], [`pairs`], [`resume`], [`steady`] and [`surge`] are scenarios for benchmarks that look at
//! servers from inside.

#![allow(rustdoc::private_intra_doc_links)]

pub mod cli;
mod clock;
mod content;
mod device;
mod engine;
mod fds;
mod frame;
pub mod idle;
mod last;
mod ledger;
mod live;
mod meter;
mod nodes;
mod pace;
pub mod pairs;
mod people;
mod plan;
mod report;
mod rest;
pub mod resume;
pub mod room;
mod run;
mod scenario;
mod socket;
mod source;
mod stage;
pub mod steady;
pub mod surge;
mod target;
mod watch;

pub use ledger::{Counts, EventFaults, Verdict};
pub use report::Report;
pub use target::Target;
