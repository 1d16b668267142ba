//! The operators' API: what `starling admin` and the page call. docs/admin.md describes it.

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    middleware,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use chat::{ChatError, Result};
use protocol::{ConnectionId, ConversationId, ErrorCode, MessageId, NodeId, ReportStatus, Seq, User, UserId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Admin, token};
use crate::cluster::{Answers, Ask, Said, Which};

/// Where a user is looked for who is not named by id.
const ORG: &str = "default";
/// The role that does all.
const SERVE: &str = "serve";

pub(super) fn routes(admin: &Admin) -> Router<Admin> {
    Router::new()
        .route("/nodes", get(nodes))
        .route("/nodes/{id}/drain", post(drain))
        .route("/users/{user}/connections", get(connections))
        .route("/users/{user}/disconnect", post(disconnect_user))
        .route("/users/{user}/disable", post(disable))
        .route("/users/{user}/enable", post(enable))
        .route("/connections/{id}", delete(disconnect))
        .route("/conversations/{id}/heads", get(heads))
        .route("/trace", get(trace))
        .route("/jobs", get(jobs))
        .route("/orgs", get(orgs))
        .route("/reports", get(reports))
        .fallback(no_such_call)
        .layer(middleware::from_fn_with_state(admin.clone(), token::guard))
}

/// An answer, or a problem document.
struct Answer<T>(Result<T>);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(body) => Json(body).into_response(),
            Err(error) => {
                if error.code == ErrorCode::Internal {
                    tracing::error!(error = &error as &dyn std::error::Error, "an operator's call failed");
                }
                api::refusal(error)
            }
        }
    }
}

/// A query, which may be wrong.
type Asked<T> = std::result::Result<Query<T>, QueryRejection>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct InOrg {
    org: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Traced {
    user: Option<String>,
    org: Option<String>,
    message: Option<String>,
    conversation: Option<String>,
    seq: Option<Seq>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct After {
    after: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reported {
    org: Option<String>,
    status: Option<ReportStatus>,
    cursor: Option<String>,
    limit: Option<u32>,
}

async fn nodes(State(admin): State<Admin>) -> Answer<Value> {
    let answers = admin.cluster.ask(Ask::Node).await;
    let nodes = answers.said.iter().filter_map(|(_, said)| match said {
        Said::Node(node) => Some(node),
        _ => None,
    });
    Answer(Ok(with_silent(json!({ "nodes": nodes.collect::<Vec<_>>() }), &answers)))
}

/// What is done behind the calls of people, by whichever node comes to it.
async fn jobs(State(admin): State<Admin>) -> Answer<Value> {
    let erasures = admin.chat.erasures().await.map(|erasures| {
        json!({ "jobs": [{
            "kind": "erase_conversation",
            "waiting": erasures.due,
            "later": erasures.conversations - erasures.due,
            "oldest_at": erasures.oldest,
        }] })
    });
    Answer(erasures)
}

async fn drain(State(admin): State<Admin>, Path(id): Path<String>) -> Answer<Value> {
    let work = async {
        let node: NodeId = parse("node", &id)?;
        let nodes = admin.cluster.ask(Ask::Node).await;
        let views = || {
            nodes.said.iter().filter_map(|(_, said)| match said {
                Said::Node(view) => Some(view),
                _ => None,
            })
        };
        let role = views().find(|view| view.id == node).map(|view| view.role.clone()).unwrap_or_default();
        // Who can do all that it does.
        let others =
            views().filter(|other| other.id != node && other.ready && (other.role == role || other.role == SERVE));
        let others = others.count();
        match count(&admin.cluster.ask(Ask::Drain { node }).await) {
            0 => Err(ChatError::not_found("node")),
            _ => Ok(json!({ "draining": node, "role": role, "others_ready": others })),
        }
    };
    Answer(work.await)
}

async fn connections(State(admin): State<Admin>, Path(who): Path<String>, query: Asked<InOrg>) -> Answer<Value> {
    let work = async {
        let user = user(&admin, &who, read(query)?.org.as_deref()).await?;
        let answers = admin.cluster.ask(Ask::Connections { user: user.id }).await;
        let mut all = Vec::new();
        for (node, said) in &answers.said {
            if let Said::Connections { connections } = said {
                all.extend(connections.iter().map(|connection| on(*node, connection)));
            }
        }
        let user = json!({ "id": user.id, "username": user.username, "disabled_at": user.disabled_at });
        Ok(with_silent(json!({ "user": user, "connections": all }), &answers))
    };
    Answer(work.await)
}

async fn disconnect_user(State(admin): State<Admin>, Path(who): Path<String>, query: Asked<InOrg>) -> Answer<Value> {
    let work = async {
        let user = user(&admin, &who, read(query)?.org.as_deref()).await?;
        let answers = admin.cluster.ask(Ask::DisconnectUser { user: user.id }).await;
        Ok(with_silent(json!({ "disconnected": count(&answers) }), &answers))
    };
    Answer(work.await)
}

async fn disconnect(State(admin): State<Admin>, Path(id): Path<String>) -> Answer<Value> {
    let work = async {
        let connection: ConnectionId = parse("connection", &id)?;
        match count(&admin.cluster.ask(Ask::Disconnect { connection }).await) {
            0 => Err(ChatError::not_found("connection")),
            ended => Ok(json!({ "disconnected": ended })),
        }
    };
    Answer(work.await)
}

async fn disable(State(admin): State<Admin>, Path(who): Path<String>, query: Asked<InOrg>) -> Answer<Value> {
    Answer(set_disabled(&admin, &who, query, true).await)
}

async fn enable(State(admin): State<Admin>, Path(who): Path<String>, query: Asked<InOrg>) -> Answer<Value> {
    Answer(set_disabled(&admin, &who, query, false).await)
}

async fn set_disabled(admin: &Admin, who: &str, query: Asked<InOrg>, disabled: bool) -> Result<Value> {
    let user = user(admin, who, read(query)?.org.as_deref()).await?;
    let user = admin.chat.set_disabled(user.id, disabled).await?;
    Ok(json!({ "id": user.id, "username": user.username, "disabled_at": user.disabled_at }))
}

async fn heads(State(admin): State<Admin>, Path(id): Path<String>) -> Answer<Value> {
    let work = async {
        let conversation: ConversationId = parse("conversation", &id)?;
        let head = admin.chat.head(conversation).await?;
        let answers = admin.cluster.ask(Ask::Head { conversation }).await;
        let nodes = answers.said.iter().filter_map(|(node, said)| match said {
            Said::Head { head: Some(head) } => Some(on(*node, head)),
            _ => None,
        });
        let body = json!({ "conversation_id": conversation, "head": head, "nodes": nodes.collect::<Vec<_>>() });
        Ok(with_silent(body, &answers))
    };
    Answer(work.await)
}

async fn trace(State(admin): State<Admin>, query: Asked<Traced>) -> Answer<impl Serialize> {
    let work = async {
        let asked = read(query)?;
        let which = match (&asked.message, &asked.conversation, asked.seq) {
            (Some(id), None, None) => Which::Id(parse::<MessageId>("message", id)?),
            (None, Some(id), Some(seq)) => Which::At(parse("conversation", id)?, seq),
            _ => return Err(ChatError::field("message", "or conversation and seq must be named, and not both")),
        };
        let who = asked.user.as_deref().ok_or_else(|| ChatError::field("user", "must be named"))?;
        let user = user(&admin, who, asked.org.as_deref()).await?;
        admin.cluster.trace(which, user).await
    };
    Answer(work.await)
}

async fn orgs(State(admin): State<Admin>, query: Asked<After>) -> Answer<Value> {
    let work = async {
        let orgs = admin.chat.orgs(&read(query)?.after).await?;
        let org = |org: store::Org| json!({ "id": org.id, "slug": org.slug, "open_reports": org.open_reports });
        Ok(json!({ "orgs": orgs.into_iter().map(org).collect::<Vec<_>>() }))
    };
    Answer(work.await)
}

async fn reports(State(admin): State<Admin>, query: Asked<Reported>) -> Answer<impl Serialize> {
    let work = async {
        let asked = read(query)?;
        let slug = asked.org.as_deref().unwrap_or(ORG);
        admin.chat.reports_in(slug, asked.status, asked.cursor.as_deref(), asked.limit).await
    };
    Answer(work.await)
}

async fn no_such_call() -> Response {
    api::refusal(ChatError::new(ErrorCode::NoSuchRoute, "there is no such call; docs/admin.md lists them"))
}

/// By id, or by the username in an org.
async fn user(admin: &Admin, who: &str, org: Option<&str>) -> Result<User> {
    match who.parse::<UserId>() {
        Ok(id) if org.is_none() => admin.chat.any_user(id).await,
        _ => admin.chat.any_user_named(org.unwrap_or(ORG), who).await,
    }
}

fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| ChatError::field(field, "is not an id, which is a UUID"))
}

fn read<T: DeserializeOwned>(query: Asked<T>) -> Result<T> {
    query.map(|Query(query)| query).map_err(|error| ChatError::field("query", error.body_text()))
}

/// A view with the node that gave it.
fn on(node: NodeId, view: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(view).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("node".into(), json!(node));
    }
    value
}

/// With who did not answer, who of them cannot, and whether anybody else was asked.
fn with_silent(mut body: Value, answers: &Answers) -> Value {
    let unknown = answers.said.iter().filter(|(_, said)| *said == Said::Unknown).map(|(node, _)| *node);
    let silent: Vec<_> = answers.silent.iter().copied().chain(unknown).collect();
    if let Value::Object(fields) = &mut body {
        fields.insert("silent".into(), json!(silent));
        fields.insert("strangers".into(), json!(answers.strangers));
        fields.insert("others_asked".into(), json!(answers.asked));
    }
    body
}

fn count(answers: &Answers) -> u64 {
    let counts = answers.said.iter().map(|(_, said)| if let Said::Done { count } = said { *count } else { 0 });
    counts.sum()
}
