//! Seeds of the deterministic simulation (`tests/src/sim`).
//!
//! `SEEDS` says how many (`make simulate SEEDS=1000000`), `FROM` where they begin, `WITHIN` after how many seconds no
//! other begins. A seed that breaks a promise is made smaller, told as a timeline, and written to `target/simulation`;
//! from there its plan goes into `corpus`, which every run repeats.

#![allow(clippy::unwrap_used)]

mod corpus;
mod protections;
mod seeds;
