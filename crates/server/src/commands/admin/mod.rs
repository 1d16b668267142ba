//! `starling admin`: what an operator does and asks. [`epoch`] works on the store; all else calls a running node.

mod call;
mod epoch;
mod show;

use std::process::ExitCode;

use self::call::Client;
use super::say;
use crate::{
    Failure,
    cli::{Admin, Call, Named},
    config::Config,
};

pub(super) async fn run(config: &Config, task: Admin) -> Result<ExitCode, Failure> {
    let named = |named: &Named| (named.user.clone(), named.org.clone());
    match task {
        Admin::NewEpoch => return epoch::run(config).await,
        Admin::Nodes(call) => show(config, &call, Client::get("nodes"), show::nodes).await?,
        Admin::Connections { user, call } => {
            let (user, org) = named(&user);
            let request = Client::get("users").part(&user).part("connections").query("org", org);
            show(config, &call, request, show::connections).await?;
        }
        Admin::Disconnect { user, org, connection, call } => {
            let request = match (user, connection) {
                (Some(user), _) => Client::post("users").part(&user).part("disconnect").query("org", org),
                (None, connection) => Client::delete("connections").part(&connection.unwrap_or_default()),
            };
            show(config, &call, request, show::disconnected).await?;
        }
        Admin::Disable { user, call } => {
            let (user, org) = named(&user);
            let request = Client::post("users").part(&user).part("disable").query("org", org);
            show(config, &call, request, show::disabled).await?;
        }
        Admin::Enable { user, call } => {
            let (user, org) = named(&user);
            let request = Client::post("users").part(&user).part("enable").query("org", org);
            show(config, &call, request, show::disabled).await?;
        }
        Admin::Drain { node, call } => {
            let request = Client::post("nodes").part(&node).part("drain");
            show(config, &call, request, show::drained).await?;
        }
        Admin::Heads { conversation, call } => {
            let request = Client::get("conversations").part(&conversation).part("heads");
            show(config, &call, request, show::heads).await?;
        }
        Admin::Trace { user, message, conversation, seq, call } => {
            let (user, org) = named(&user);
            let request = Client::get("trace").query("user", Some(user)).query("org", org).query("message", message);
            let request = request.query("conversation", conversation).query("seq", seq.map(|seq| seq.to_string()));
            show(config, &call, request, show::trace).await?;
        }
        Admin::Jobs(call) => show(config, &call, Client::get("jobs"), show::jobs).await?,
        Admin::Orgs { after, call } => {
            show(config, &call, Client::get("orgs").query("after", after), show::orgs).await?;
        }
        Admin::Reports { org, status, cursor, call } => {
            let request = Client::get("reports").query("org", Some(org)).query("status", status);
            let request = request.query("cursor", cursor);
            show(config, &call, request, show::reports).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Calls a node and prints what it says: for programs as it is, for people in words.
async fn show(
    config: &Config,
    call: &Call,
    request: call::Request,
    words: fn(&serde_json::Value) -> String,
) -> Result<(), Failure> {
    let answer = Client::of(config, call)?.send(request).await?;
    if call.json {
        say(answer);
    } else {
        say(words(&answer).trim_end());
    }
    Ok(())
}
