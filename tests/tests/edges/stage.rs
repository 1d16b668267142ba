//! A stage for one cell of the table: people of every role, and a conversation of their own with a message in it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use starling_tests::cluster::Cluster;
use uuid::Uuid;

use crate::calls::Http;

/// What everybody outside must never read.
pub(crate) const SECRET: &str = "the secret of those inside";
/// 👍
const EMOJI: &str = "%F0%9F%91%8D";

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Owner,
    Admin,
    Member,
    /// Took part, and was removed.
    Former,
    /// Of the same org, never took part.
    Outsider,
    /// An admin of another org.
    Foreign,
    /// Has a direct conversation with the owner, who has blocked them; in a room: a member whom the owner blocked.
    Blocked,
    /// An admin of the org, who does not take part.
    Boss,
    /// Took part, and was disabled by the boss.
    Disabled,
    /// Without a token.
    Anonymous,
}

impl Who {
    /// In the order of the table's columns.
    pub(crate) const ALL: [Self; 10] = [
        Self::Owner,
        Self::Admin,
        Self::Member,
        Self::Former,
        Self::Outsider,
        Self::Foreign,
        Self::Blocked,
        Self::Boss,
        Self::Disabled,
        Self::Anonymous,
    ];

    /// Whether they take part, so that they may read.
    pub(crate) fn inside(self) -> bool {
        matches!(self, Self::Owner | Self::Admin | Self::Member | Self::Blocked)
    }
}

/// What kind of conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A group; for who is blocked the direct conversation. The message is the member's, or the blocked one's.
    Group,
    /// The same, and the message is the owner's.
    OwnersMessage,
    /// A public room.
    Room,
}

/// What was done to the message before, so that there is something to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    /// Who acts has reacted, if they may.
    Reacted,
    /// The owner has pinned it.
    Pinned,
}

impl Before {
    /// What an operation takes back.
    pub(crate) fn of(line: &str) -> Self {
        match line {
            "reaction.remove" | "DELETE /v1/messages/{id}/reactions/{emoji}" => Self::Reacted,
            "message.unpin" | "DELETE /v1/messages/{id}/pin" => Self::Pinned,
            _ => Self::Nothing,
        }
    }
}

/// Somebody.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// One person of each role; a row of the table has its own.
#[derive(Debug)]
pub(crate) struct People {
    actors: Vec<Actor>,
    /// A further member.
    target: Actor,
    /// Of the same org, in no conversation, and never the one who acts.
    stranger: Actor,
}

/// Somebody new.
pub(crate) async fn somebody(cluster: &Cluster, http: &Http, name: &str, org: &str, role: &str) -> Result<Actor> {
    let exp = (SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_hours(1)).as_secs();
    let subject = Uuid::now_v7().simple().to_string();
    let claims = json!({
        "sub": subject, "preferred_username": format!("{name}-{}", &subject[20..]), "name": name, "exp": exp,
        "org": org, "role": role,
    });
    let token = cluster.sign(&claims)?;
    let id = text(&http.done(&token, "GET /v1/me", Value::Null).await?, "id")?;
    Ok(Actor { id, token })
}

impl People {
    pub(crate) async fn new(cluster: &Cluster, http: &Http) -> Result<Self> {
        let mut actors = Vec::new();
        for who in Who::ALL {
            let (org, role) = match who {
                Who::Foreign => ("elsewhere", "admin"),
                Who::Boss => ("default", "admin"),
                _ => ("default", "member"),
            };
            actors.push(somebody(cluster, http, &format!("{who:?}").to_lowercase(), org, role).await?);
        }
        let target = somebody(cluster, http, "target", "default", "member").await?;
        let stranger = somebody(cluster, http, "stranger", "default", "member").await?;
        Ok(Self { actors, target, stranger })
    }

    pub(crate) fn get(&self, who: Who) -> &Actor {
        &self.actors[who as usize]
    }
}

/// A conversation of one cell.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    http: &'a Http,
    people: &'a People,
    who: Who,
    conversation: String,
    message: String,
    target: String,
}

impl<'a> Stage<'a> {
    pub(crate) async fn set(
        http: &'a Http,
        people: &'a People,
        place: Place,
        who: Who,
        before: Before,
    ) -> Result<Self> {
        let (owner, blocked) = (people.get(Who::Owner), people.get(Who::Blocked));
        let direct = who == Who::Blocked && place != Place::Room;
        let conversation = if direct {
            let body = json!({"kind": "direct", "participant_ids": [blocked.id]});
            text(&http.done(&owner.token, "POST /v1/conversations", body).await?, "id")?
        } else {
            populated(http, people, place, who).await?
        };
        let author = match (place, direct) {
            (Place::OwnersMessage, _) => owner,
            (_, true) => blocked,
            (_, false) => people.get(Who::Member),
        };
        let send = format!("POST /v1/conversations/{conversation}/messages");
        let message = text(&http.done(&author.token, &send, json!({"content": SECRET})).await?, "id")?;
        match before {
            Before::Nothing => {}
            Before::Reacted => {
                let reactor = if who.inside() { people.get(who) } else { owner };
                let react = format!("PUT /v1/messages/{message}/reactions/{EMOJI}");
                http.done(&reactor.token, &react, Value::Null).await?;
            }
            Before::Pinned => {
                http.done(&owner.token, &format!("PUT /v1/messages/{message}/pin"), Value::Null).await?;
            }
        }
        match who {
            Who::Former => {
                let remove = format!("DELETE /v1/conversations/{conversation}/participants/{}", people.get(who).id);
                http.done(&owner.token, &remove, Value::Null).await?;
            }
            Who::Blocked => {
                http.done(&owner.token, &format!("PUT /v1/users/{}/block", blocked.id), Value::Null).await?;
            }
            Who::Disabled => {
                let boss = &people.get(Who::Boss).token;
                let disable = format!("PATCH /v1/org/users/{}", people.get(who).id);
                http.done(boss, &disable, json!({"disabled": true})).await?;
            }
            _ => {}
        }
        let target = if direct { &owner.id } else { &people.target.id }.clone();
        Ok(Self { http, people, who, conversation, message, target })
    }

    /// Whoever acted, the further member is there for the next one: nobody is put in a group while they are disabled.
    pub(crate) async fn enable_target(&self) -> Result<()> {
        let enable = format!("PATCH /v1/org/users/{}", self.people.target.id);
        self.http.done(&self.people.get(Who::Boss).token, &enable, json!({"disabled": false})).await?;
        Ok(())
    }

    /// The token of who acts.
    pub(crate) fn token(&self) -> Option<&'a str> {
        (self.who != Who::Anonymous).then_some(&*self.people.get(self.who).token)
    }

    /// How far the conversation has come.
    pub(crate) async fn head(&self) -> Result<u64> {
        let line = format!("GET /v1/conversations/{}", self.conversation);
        let conversation = self.http.done(&self.people.get(Who::Owner).token, &line, Value::Null).await?;
        conversation["last_seq"].as_u64().context("last_seq")
    }

    /// The path of an operation with this stage's ids in place of its parameters.
    pub(crate) async fn path(&self, path: &str) -> Result<String> {
        let id = match path.trim_start_matches("/v1/").split('/').next() {
            Some("messages") => "$message",
            Some("auth") => "$session",
            Some("org") if path.contains("reports") => "$report",
            Some("org" | "users") => "$target",
            _ => "$conversation",
        };
        let path = path.replace("{id}", id).replace("{user_id}", "$target").replace("{emoji}", EMOJI);
        self.fill(&path).await
    }

    /// A text with this stage's ids, names and secrets in place of `$words`. What has to be made first is made now.
    pub(crate) async fn fill(&self, template: &str) -> Result<String> {
        let mut filled = template
            .replace("$conversation", &self.conversation)
            .replace("$message", &self.message)
            .replace("$target", &self.target)
            .replace("$stranger", &self.people.stranger.id)
            .replace("$fresh", &format!("n{}", Uuid::now_v7().simple())[..32])
            .replace("$token", self.token().unwrap_or_default());
        if ["$login", "$session", "$refresh"].iter().any(|word| filled.contains(word)) {
            let name = format!("n{}", Uuid::now_v7().simple())[..32].to_owned();
            let body = json!({"username": name, "password": "correct horse"});
            let signed = self.http.call(None, "POST /v1/auth/register", Some(&body)).await?;
            ensure!(signed.word == "ok", "registering: {}", signed.text);
            let token = text(&signed.body, "access_token")?;
            let sessions = self.http.done(&token, "GET /v1/auth/sessions", Value::Null).await?;
            filled = filled
                .replace("$login", &name)
                .replace("$session", &text(&sessions["items"][0], "id")?)
                .replace("$refresh", &text(&signed.body, "refresh_token")?);
        }
        if filled.contains("$report") {
            let body = json!({"user_id": self.target, "reason": "spam"});
            let reporter = &self.people.stranger.token;
            let report = self.http.done(reporter, "POST /v1/reports", body).await?;
            filled = filled.replace("$report", &text(&report, "id")?);
        }
        ensure!(!filled.contains('$'), "an unknown word in {filled}");
        Ok(filled)
    }
}

/// A group or room of an owner, an admin, two members, and of who acts if they are to have been in it.
async fn populated(http: &Http, people: &People, place: Place, who: Who) -> Result<String> {
    let owner = &people.get(Who::Owner).token;
    let mut others = vec![people.get(Who::Admin), people.get(Who::Member), &people.target];
    if matches!(who, Who::Former | Who::Blocked | Who::Disabled) {
        others.push(people.get(who));
    }
    let room = place == Place::Room;
    let ids: Vec<_> = others.iter().filter(|_| !room).map(|other| &other.id).collect();
    let kind = if room { "public" } else { "group" };
    let body = json!({"kind": kind, "title": "A stage", "participant_ids": ids});
    let id = text(&http.done(owner, "POST /v1/conversations", body).await?, "id")?;
    if room {
        for other in others {
            http.done(&other.token, &format!("POST /v1/conversations/{id}/join"), Value::Null).await?;
        }
    }
    let admin = format!("PATCH /v1/conversations/{id}/participants/{}", people.get(Who::Admin).id);
    http.done(owner, &admin, json!({"role": "admin"})).await?;
    Ok(id)
}

/// A field that is a text.
pub(crate) fn text(value: &Value, field: &str) -> Result<String> {
    Ok(value[field].as_str().with_context(|| format!("no {field} in {value}"))?.to_owned())
}
