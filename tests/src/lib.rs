//! What the tests are made of: private servers, whole clusters, clients as an app would write them, and the
//! conformance suites of the seams. Everything starts on free ports and ends with the test.

pub mod audit;
pub mod caddy;
pub mod chaos;
pub mod client;
pub mod cluster;
pub mod collector;
pub mod conformance;
pub mod haproxy;
pub mod nginx;
pub mod node;
pub mod plans;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod secrets;
pub mod seed;
pub mod sim;
pub mod stalls;
