//! One suite per seam, run on every implementation: what the rest of Starling relies on, and nothing else.

pub mod bus;
pub mod store;
