//! A key set of another system, read from a file or fetched from a URL, and kept fresh in the background.
//!
//! Promises: starting does not wait for a URL; a set that cannot be read leaves the keys as they were; a `kid` that
//! nobody knows costs at most one request per 30 s; a change of state (works, fails) is logged once.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use jsonwebtoken::{Algorithm, jwk::Jwk};
use parking_lot::RwLock;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use super::{JwksSource, keys::Key};

/// One fetch takes no longer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Two fetches are at least so far apart.
const FETCH_GAP: Duration = Duration::from_secs(30);
/// A good set is fetched again after this.
const FETCH_INTERVAL: Duration = Duration::from_mins(10);
/// How often a file's time and size are looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(2);
/// Largest document that is read, bytes.
const DOCUMENT_MAX: usize = 1024 * 1024;

pub(super) struct Jwks {
    source: Source,
    /// Replaced as a whole, never edited.
    keys: RwLock<Arc<Vec<Key>>>,
    /// Held by whoever fetches, so that those who wait for the same new key share one request.
    progress: Mutex<Progress>,
}

enum Source {
    Url { client: Client, url: Url },
    File(std::path::PathBuf),
}

#[derive(Default)]
struct Progress {
    last: Option<Instant>,
    failing: bool,
    /// Time and size of the file as last read.
    version: Option<(SystemTime, u64)>,
}

impl Jwks {
    /// Reads a file at once (a bad one is a failure), and starts the task that keeps the set fresh until the last
    /// reference to it is gone.
    pub(super) fn start(source: &JwksSource) -> Result<Arc<Self>, String> {
        let (source, keys, version) = match source {
            JwksSource::File(path) => {
                let version = version(path);
                let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
                let keys = parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
                (Source::File(path.clone()), keys, version)
            }
            JwksSource::Url(url) => {
                let url = Url::parse(url).map_err(|e| format!("the JWKS URL is not a URL: {e}"))?;
                if !matches!(url.scheme(), "http" | "https") {
                    return Err("the JWKS URL must begin with https:// or http://".into());
                }
                let client = Client::builder()
                    .timeout(FETCH_TIMEOUT)
                    .build()
                    .map_err(|e| format!("the HTTP client for the JWKS URL cannot be made: {e}"))?;
                (Source::Url { client, url }, Vec::new(), None)
            }
        };
        let jwks = Arc::new(Self {
            source,
            keys: RwLock::new(Arc::new(keys)),
            progress: Mutex::new(Progress { version, ..Progress::default() }),
        });
        let handle =
            tokio::runtime::Handle::try_current().map_err(|e| format!("keys are kept fresh by a task: {e}"))?;
        handle.spawn(keep_fresh(Arc::downgrade(&jwks)));
        Ok(jwks)
    }

    /// Keys that may have signed a token with this header. When there is none the set is fetched again, if that was
    /// not done a moment ago.
    pub(super) async fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<Key> {
        let found = self.find(algorithm, kid);
        if !found.is_empty() || matches!(self.source, Source::File(_)) {
            return found;
        }
        let mut progress = self.progress.lock().await;
        // Whoever held the lock may have fetched the very key.
        let found = self.find(algorithm, kid);
        if !found.is_empty() || progress.last.is_some_and(|last| last.elapsed() < FETCH_GAP) {
            return found;
        }
        self.refresh(&mut progress).await;
        self.find(algorithm, kid)
    }

    fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<Key> {
        let keys = Arc::clone(&self.keys.read());
        keys.iter().filter(|key| key.fits(algorithm, kid)).cloned().collect()
    }

    async fn refresh(&self, progress: &mut Progress) {
        progress.last = Some(Instant::now());
        let read = match &self.source {
            Source::Url { client, url } => fetch(client, url.clone()).await,
            Source::File(path) => tokio::fs::read(path).await.map_err(|e| e.to_string()),
        };
        let (name, was_failing) = (self.name(), progress.failing);
        match read.and_then(|document| parse(&document)) {
            Ok(keys) => {
                progress.failing = false;
                if was_failing {
                    tracing::info!(jwks = name, keys = keys.len(), "the key set can be read again");
                }
                *self.keys.write() = Arc::new(keys);
            }
            Err(error) => {
                progress.failing = true;
                if !was_failing {
                    tracing::warn!(jwks = name, error, "the key set cannot be read; the keys stay as they were");
                }
            }
        }
    }

    /// What the log calls it: never a URL's user, password or query.
    fn name(&self) -> String {
        match &self.source {
            Source::Url { url, .. } => url.host_str().unwrap_or_default().to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }
}

async fn keep_fresh(jwks: Weak<Jwks>) {
    loop {
        let pause = {
            let Some(jwks) = jwks.upgrade() else { return };
            let mut progress = jwks.progress.lock().await;
            match &jwks.source {
                Source::Url { .. } => {
                    let due = if progress.failing { FETCH_GAP } else { FETCH_INTERVAL };
                    if progress.last.is_none_or(|last| last.elapsed() >= due) {
                        jwks.refresh(&mut progress).await;
                    }
                    FETCH_GAP
                }
                Source::File(path) => {
                    let now = version(path);
                    if now != progress.version {
                        progress.version = now;
                        jwks.refresh(&mut progress).await;
                    }
                    FILE_INTERVAL
                }
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn version(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

async fn fetch(client: &Client, url: Url) -> Result<Vec<u8>, String> {
    // reqwest's errors repeat the URL, which may hold a password.
    let plain = |e: reqwest::Error| {
        let error = e.without_url();
        std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
    };
    let mut response = client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(plain)?;
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(plain)? {
        if document.len() + chunk.len() > DOCUMENT_MAX {
            return Err(format!("the document has more than {DOCUMENT_MAX} bytes"));
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// How many keys of a key set tokens can be checked with: at least one, or why there is none.
pub fn usable_keys(document: &[u8]) -> Result<usize, String> {
    Ok(parse(document)?.len())
}

/// Reads a set. Entries of kinds that we do not know are passed over; a set without one usable key is refused, so
/// that a half-written document does not lock everybody out.
fn parse(document: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(document).map_err(|e| format!("not a JSON Web Key Set: {e}"))?;
    let keys: Vec<Key> = set
        .keys
        .into_iter()
        .filter_map(|entry| serde_json::from_value::<Jwk>(entry).ok())
        .filter_map(|jwk| Key::from_jwk(&jwk))
        .collect();
    if keys.is_empty() { Err("the set has no RS256, ES256 or EdDSA key".into()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_a_usable_key_is_refused() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"new"},5]}"#,
            r#"{"keys":[{"kty":"RSA","alg":"PS256","n":"AQAB","e":"AQAB"}]}"#,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_bad_source_is_told_at_start() {
        let missing = Jwks::start(&JwksSource::File("/nonexistent/jwks.json".into())).err().unwrap();
        assert!(missing.contains("/nonexistent/jwks.json"));
        assert!(Jwks::start(&JwksSource::Url("nonsense".into())).is_err());
        assert!(Jwks::start(&JwksSource::Url("ftp://localhost/keys".into())).is_err());
    }
}
