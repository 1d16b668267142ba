//! Its stream of events. It knows no ids: a stream that comes back is told everything from the beginning.

use std::{collections::HashMap, convert::Infallible};

use axum::{
    body::Body,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Out, Shared, caller, socket};

pub(super) async fn stream(State(world): State<Shared>, headers: HeaderMap) -> Response {
    let who = match caller(&world, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused.into_response(),
    };
    let again = headers.contains_key("last-event-id");
    let zeros: HashMap<_, _> = world.lock().rooms.keys().map(|id| (id.to_string(), 0)).collect();
    let cursors = if again { json!(zeros) } else { json!({}) };
    let (_, inbox, frames) = socket::hello(&world, who, &json!({"ref": null, "resume": {"cursors": cursors}}));
    let first = [socket::connected(&world, who)].into_iter().chain(frames).map(|frame| item(&frame));
    let live = stream::unfold(inbox, |mut inbox| async {
        match inbox.recv().await {
            Some(Out::Frame(frame)) => Some((item(&frame), inbox)),
            Some(Out::Break | Out::Close(_)) | None => None,
        }
    });
    let all = stream::iter(first.collect::<Vec<_>>()).chain(live).map(Ok::<_, Infallible>);
    ([("content-type", "text/event-stream")], Body::from_stream(all)).into_response()
}

fn item(frame: &Value) -> String {
    format!("event: {}\ndata: {frame}\nid: e.0.0.x\n\n", frame["type"].as_str().unwrap())
}
