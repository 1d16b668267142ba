//! The edges of what may be done: who may do it (a table of every REST operation and every command), and what input is
//! refused (every body, query and command). The tables are compared with the running server's own OpenAPI document and
//! with the list of commands: what is missing in a table fails, and so does what is there no more.

mod bad_frames;
mod bad_input;
mod bad_values;
mod calls;
mod permissions;
mod samples;
mod stage;
mod table;
mod unchanged;

use anyhow::Result;
use starling_tests::cluster::{Cluster, ClusterConfig};

/// Tables are run faster than people are.
const ENV: &[(&str, &str)] = &[
    ("STARLING_COMMAND_RATE", "0"),
    ("STARLING_USER_CONNECTIONS", "0"),
    ("STARLING_GUEST_SIGN_IN", "true"),
    ("STARLING_PASSWORD_SIGN_IN", "true"),
];

async fn run(starting: impl Future<Output = Result<Cluster>>, scenario: impl AsyncFnOnce(&Cluster) -> Result<()>) {
    let cluster = starting.await.unwrap_or_else(|error| panic!("the cluster did not start: {error:#}"));
    if let Err(error) = scenario(&cluster).await.and_then(|()| calls::nobody_is_called(&cluster)) {
        panic!("{error:#}");
    }
}

fn one_node() -> impl Future<Output = Result<Cluster>> {
    Cluster::embedded_with(ENV)
}

fn a_cluster() -> impl Future<Output = Result<Cluster>> {
    let env = ENV.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Cluster::start_with(ClusterConfig { env, ..ClusterConfig::default() })
}

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+;)+) => {
        mod on_one_node {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::run(super::one_node(), super::$module::$name).await;
                }
            )+)+
        }
        mod on_a_cluster {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::run(super::a_cluster(), super::$module::$name).await;
                }
            )+)+
        }
    };
}

scenarios! {
    permissions: everybody_may_do_what_the_table_says;
    bad_input: bodies_of_wrong_types_are_refused_by_field, commands_of_wrong_types_are_refused;
    bad_values: values_that_no_type_forbids_are_refused_and_store_nothing;
    bad_frames: frames_that_are_no_commands_are_answered_or_closed;
}
