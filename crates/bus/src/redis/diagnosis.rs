//! What an operator should know of the servers before nodes use them.

use std::collections::HashMap;

use redis::Pipeline;

use super::{failure::Failure, keys::ask, server::Server};

/// What one server says of itself; see [`RedisBus::diagnose`](super::RedisBus::diagnose).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// `HOST:PORT`.
    pub server: String,
    /// Its settings; none where this user may not read them, as with many hosted services.
    pub settings: Option<ServerSettings>,
}

/// Settings of a server that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Bytes that its data may take (`maxmemory`); 0: as much as there is.
    pub memory: u64,
    /// What it forgets when that is full (`maxmemory-policy`).
    pub policy: String,
    /// When it closes the connection of a node that does not keep up (`client-output-buffer-limit pubsub`); 0: never.
    pub output_bytes: u64,
}

type Settings = HashMap<String, String>;

pub(super) async fn of(server: &Server) -> Result<Diagnosis, Failure> {
    let mut pipeline = Pipeline::new();
    for name in ["maxmemory", "maxmemory-policy", "client-output-buffer-limit"] {
        pipeline.cmd("CONFIG").arg("GET").arg(name);
    }
    let settings = match ask::<(Settings, Settings, Settings)>(server, &pipeline).await {
        Ok((memory, policy, output)) => read(&memory, &policy, &output),
        // It may not be asked that; whether it works at all, a ping tells.
        Err(failure) if failure.is_refused() => None,
        Err(failure) => return Err(failure),
    };
    Ok(Diagnosis { server: server.name.clone(), settings })
}

fn read(memory: &Settings, policy: &Settings, output: &Settings) -> Option<ServerSettings> {
    Some(ServerSettings {
        memory: memory.get("maxmemory")?.parse().ok()?,
        policy: policy.get("maxmemory-policy")?.clone(),
        output_bytes: hard_limit(output.get("client-output-buffer-limit")?)?,
    })
}

/// The hard limit of the class `pubsub` in `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`.
fn hard_limit(classes: &str) -> Option<u64> {
    let mut words = classes.split_whitespace();
    words.find(|word| *word == "pubsub")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_subscribers_is_found_among_the_others() {
        let classes = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(hard_limit(classes), Some(33_554_432));
        assert_eq!(hard_limit("normal 0 0 0"), None);
        assert_eq!(hard_limit("pubsub"), None);
    }
}
