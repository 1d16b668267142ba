//! The users of a run: tokens minted locally, made on the server by their first request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use jsonwebtoken::{EncodingKey, Header};
use protocol::{
    AddParticipants, Conversation, ConversationId, ConversationKind, CreateConversation, History, Posting, User, UserId,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::Target;

/// Requests under way at once while a run is set up.
const CONCURRENCY: usize = 16;
/// Most people named in one request.
const NAMED_MAX: usize = 1_000;
/// Tokens outlive any run.
const TOKEN_LIFE: Duration = Duration::from_hours(12);

/// One user of a run.
#[derive(Clone)]
pub struct Person {
    /// Their id on the server.
    pub id: UserId,
    /// Their bearer token.
    pub token: String,
}

/// Makes users and conversations over REST.
pub struct People {
    http: reqwest::Client,
    api: String,
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims {
    sub: String,
    exp: u64,
}

impl People {
    /// For one cluster.
    pub fn new(target: &Target) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let key = EncodingKey::from_secret(target.secret.as_bytes());
        Ok(Self { http, api: target.api.trim_end_matches('/').to_owned(), key })
    }

    /// Makes (or finds) `count` users named `<run>-<n>`.
    pub async fn make(&self, run: &str, count: usize) -> Result<Vec<Person>> {
        stream::iter(0..count)
            .map(|n| async move {
                let token = self.token(&format!("{run}-{n}"))?;
                let user: User = self.get("/v1/me", &token).await?;
                Ok(Person { id: user.id, token })
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Makes a group of these people; the first one owns it.
    pub async fn group(&self, title: &str, people: &[Person]) -> Result<ConversationId> {
        let (owner, others) = people.split_first().context("a group needs somebody")?;
        let ids: Vec<_> = others.iter().map(|person| person.id).collect();
        let mut chunks = ids.chunks(NAMED_MAX);
        let body = CreateConversation {
            kind: ConversationKind::Group,
            title: Some(title.to_owned()),
            description: None,
            avatar_url: None,
            participant_ids: chunks.next().unwrap_or_default().to_vec(),
            subject: None,
            posting: Posting::default(),
            history: History::default(),
            slow_mode_seconds: 0,
        };
        let made: Conversation = self.post("/v1/conversations", &owner.token, &body).await?;
        for chunk in chunks {
            let path = format!("/v1/conversations/{}/participants", made.id);
            let _: serde_json::Value =
                self.post(&path, &owner.token, &AddParticipants { user_ids: chunk.to_vec() }).await?;
        }
        Ok(made.id)
    }

    fn token(&self, sub: &str) -> Result<String> {
        let exp = (SystemTime::now() + TOKEN_LIFE).duration_since(UNIX_EPOCH)?.as_secs();
        Ok(jsonwebtoken::encode(&Header::default(), &Claims { sub: sub.to_owned(), exp }, &self.key)?)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T> {
        answer(self.http.get(format!("{}{path}", self.api)).bearer_auth(token)).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, token: &str, body: &impl Serialize) -> Result<T> {
        answer(self.http.post(format!("{}{path}", self.api)).bearer_auth(token).json(body)).await
    }
}

async fn answer<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T> {
    let response = request.send().await.context("the server does not answer")?;
    let (status, url) = (response.status(), response.url().path().to_owned());
    let body = response.text().await?;
    ensure!(status.is_success(), "{url} answered {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("{url} answered what no Starling answers"))
}
