//! The users of a run: tokens minted with the cluster's secret or read from a file; made on the server by their first
//! request, and put into conversations over REST.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use jsonwebtoken::{EncodingKey, Header};
use protocol::{
    AddParticipants, Conversation, ConversationId, ConversationKind, CreateConversation, History, Posting, Seq, User,
    UserId,
};
use serde::Serialize;

use crate::rest::{Refused, Rest};

/// Requests under way at once while a run is set up.
const CONCURRENCY: usize = 64;
/// Most people named in one request.
const NAMED_MAX: usize = 1_000;
/// Tokens outlive any run.
const TOKEN_LIFE: Duration = Duration::from_hours(12);
/// A server that starts, or sheds load, is given so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// One user of a run.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// Which one of the run.
    pub(crate) index: u32,
    /// Their id on the server.
    pub(crate) id: UserId,
    /// Their bearer token.
    pub(crate) token: Arc<str>,
}

/// Where tokens come from.
#[derive(Clone)]
pub(crate) enum Tokens {
    /// Signed here.
    Minted(Arc<EncodingKey>),
    /// Read from a file.
    Listed(Arc<Vec<String>>),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
}

impl Tokens {
    /// Signed with the cluster's HS256 secret.
    pub(crate) fn minted(secret: &str) -> Self {
        Self::Minted(Arc::new(EncodingKey::from_secret(secret.as_bytes())))
    }

    /// One a line, `TOKEN` or `NAME TOKEN`; empty lines and those that begin with `#` are passed over. There must be so
    /// many.
    pub(crate) fn listed(file: &Path, needed: usize) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let tokens: Vec<_> = lines.filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
        ensure!(!tokens.is_empty(), "{} holds no token: write one a line", file.display());
        if let Some(bad) = tokens.iter().position(|token| token.split('.').count() != 3) {
            bail!("{}: token {} is no JWT (three parts with dots between)", file.display(), bad + 1);
        }
        let (name, given) = (file.display(), tokens.len());
        ensure!(given >= needed, "{needed} users are needed and {name} has {given} tokens: one of each user");
        Ok(Self::Listed(Arc::new(tokens)))
    }

    /// The token of the `n`-th user of this run.
    fn of(&self, run: &str, n: usize) -> Result<String> {
        match self {
            Self::Minted(key) => {
                let exp = (SystemTime::now() + TOKEN_LIFE).duration_since(UNIX_EPOCH)?.as_secs();
                let sub = format!("{run}-{n}");
                Ok(jsonwebtoken::encode(&Header::default(), &Claims { sub: &sub, exp }, key)?)
            }
            Self::Listed(tokens) => tokens.get(n).cloned().context("more users than tokens"),
        }
    }
}

/// Makes users and conversations over REST.
#[derive(Clone)]
pub(crate) struct People {
    rest: Rest,
    tokens: Tokens,
    run: String,
}

impl People {
    /// Of one run.
    pub(crate) fn new(rest: Rest, tokens: Tokens, run: &str) -> Self {
        Self { rest, tokens, run: run.to_owned() }
    }

    /// Makes (or finds) the first user alone: whether the server is there, is a Starling and takes our tokens.
    pub(crate) async fn try_one(&self) -> Result<(), Refused> {
        let token = self.tokens.of(&self.run, 0).unwrap_or_default();
        self.rest.get::<User>("/v1/me", &token).await.map(drop)
    }

    /// Makes (or finds) `count` users. `made` is told how many there are.
    pub(crate) async fn make(&self, count: usize, made: impl Fn(usize)) -> Result<Vec<Person>> {
        let mut everybody = Vec::with_capacity(count);
        let mut coming = stream::iter(0..count).map(|n| self.one(n)).buffered(CONCURRENCY);
        while let Some(person) = coming.try_next().await? {
            everybody.push(person);
            made(everybody.len());
        }
        // One user on two devices would get what the tester sends to the other one.
        let mut first = HashMap::with_capacity(count);
        for (n, person) in everybody.iter().enumerate() {
            if let Some(same) = first.insert(person.id, n) {
                bail!("tokens {} and {} are of the same user: each needs one of their own", same + 1, n + 1);
            }
        }
        Ok(everybody)
    }

    async fn one(&self, n: usize) -> Result<Person> {
        let token = self.tokens.of(&self.run, n)?;
        let user = Rest::patiently(PATIENCE, || self.rest.get::<User>("/v1/me", &token)).await?;
        Ok(Person { index: n as u32, id: user.id, token: token.into() })
    }

    /// Makes groups of these people, many at once; the first of each owns it. Of each, its id and its last place.
    pub(crate) async fn groups(
        &self,
        groups: &[Vec<Person>],
        made: impl Fn(usize),
    ) -> Result<Vec<(ConversationId, Seq)>> {
        let mut all = Vec::with_capacity(groups.len());
        let mut coming = stream::iter(groups.iter().enumerate())
            .map(|(n, people)| self.group(n, ConversationKind::Group, people))
            .buffered(CONCURRENCY / 4);
        while let Some(id) = coming.try_next().await? {
            all.push(id);
            made(all.len());
        }
        Ok(all)
    }

    /// Makes (or finds) the direct conversations of these pairs.
    pub(crate) async fn pairs(
        &self,
        pairs: &[[Person; 2]],
        made: impl Fn(usize),
    ) -> Result<Vec<(ConversationId, Seq)>> {
        let mut all = Vec::with_capacity(pairs.len());
        let mut coming = stream::iter(pairs)
            .map(|[one, other]| async move {
                let body = CreateConversation { title: None, ..new(ConversationKind::Direct, "", vec![other.id]) };
                self.create(one, &body).await
            })
            .buffered(CONCURRENCY);
        while let Some(id) = coming.try_next().await? {
            all.push(id);
            made(all.len());
        }
        Ok(all)
    }

    /// Makes one conversation of these people; the first one owns it. More than a thousand come in several calls.
    pub(crate) async fn group(
        &self,
        n: usize,
        kind: ConversationKind,
        people: &[Person],
    ) -> Result<(ConversationId, Seq)> {
        let (owner, others) = people.split_first().context("a conversation needs somebody")?;
        let ids: Vec<_> = others.iter().map(|person| person.id).collect();
        let mut chunks = ids.chunks(NAMED_MAX);
        let title = format!("{} {n}", self.run);
        let (id, head) = self.create(owner, &new(kind, &title, chunks.next().unwrap_or_default().to_vec())).await?;
        for chunk in chunks {
            let path = format!("/v1/conversations/{id}/participants");
            let body = AddParticipants { user_ids: chunk.to_vec() };
            let call = || self.rest.post::<serde_json::Value>(&path, &owner.token, &body);
            Rest::patiently(PATIENCE, call).await?;
        }
        Ok((id, head))
    }

    async fn create(&self, owner: &Person, body: &CreateConversation) -> Result<(ConversationId, Seq)> {
        let call = || self.rest.post::<Conversation>("/v1/conversations", &owner.token, body);
        let made = Rest::patiently(PATIENCE, call).await?;
        Ok((made.id, made.last_seq))
    }
}

fn new(kind: ConversationKind, title: &str, participant_ids: Vec<UserId>) -> CreateConversation {
    CreateConversation {
        kind,
        title: Some(title.to_owned()),
        description: None,
        avatar_url: None,
        participant_ids,
        subject: None,
        posting: Posting::default(),
        history: History::default(),
        slow_mode_seconds: 0,
    }
}
