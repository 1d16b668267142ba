//! Keys that tokens are checked with.

use std::sync::Arc;

use bus::local::LocalBus;
use chat::{Chat, Env};

use super::{ANSWER, Findings};
use crate::{
    config::{Config, Settings},
    failure::chain,
    parts,
};

/// Reads the keys as a node would, over a store and a bus that are not used.
pub(super) async fn keys(config: &Config, findings: &mut Findings) {
    let wired = async {
        let store = parts::store(config).await?;
        let bus = Arc::new(LocalBus::start());
        let registry = prometheus::Registry::new();
        let chat = Chat::new(store, bus, Env::system(), parts::chat(config)?, &registry);
        chat.map(drop).map_err(|what| parts::key_failure(config, &what))
    };
    match wired.await {
        Ok(()) => findings.ok("sign-in keys", "can be read"),
        Err(failure) => findings.fail("sign-in keys", failure, "see docs/configuration.md"),
    }
}

/// Secrets that sign nothing any more are for a change of the secret, and for as long as that takes.
pub(super) fn previous_secrets(settings: &Settings, findings: &mut Findings) {
    let count = settings.jwt_secrets_previous.len();
    if count > 0 {
        let what = format!("{count} beside STARLING_JWT_SECRET: whoever has one of them can sign in as anybody");
        let mend = "take STARLING_JWT_SECRETS_PREVIOUS out when the last token that one of them signed has ended";
        findings.warn("previous secrets", what, mend);
    }
}

pub(super) async fn key_set(url: &reqwest::Url, findings: &mut Findings) {
    let mend = "check STARLING_JWKS_URL";
    let fetched = async {
        let client = reqwest::Client::builder().timeout(ANSWER).build()?;
        client.get(url.clone()).send().await?.error_for_status()?.bytes().await
    };
    match fetched.await.map(|set| chat::usable_keys(&set)) {
        Ok(Ok(count)) => findings.ok("key set", format_args!("was fetched: {count} that tokens can be checked with")),
        Ok(Err(why)) => findings.fail("key set", format_args!("was fetched, and {why}"), mend),
        Err(error) => {
            findings.fail("key set", format_args!("cannot be fetched: {}", chain(&error.without_url())), mend);
        }
    }
}
