//! Every example of the documents is sent to a running server, and every answer, reply and event that comes is what the
//! documents say, field by field. So the documents cannot promise what the server does not do.

mod shapes;
mod world;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use starling_tests::client::{Frame, Socket};

use self::{
    shapes::Shapes,
    world::{Rest, World, rest},
};
use crate::support::Server;

/// HS256 secret of the server, so that the test can sign people of its own orgs in.
pub(crate) const SECRET: &str = "a secret of the examples, 32 bytes";

async fn server() -> Server {
    Server::start(&["serve"], &[("STARLING_JWT_SECRET", SECRET), ("STARLING_USER_CONNECTIONS", "0")], false).await
}

#[tokio::test]
async fn each_example_of_a_rest_call_is_answered_as_documented() {
    let server = server().await;
    let to = Rest::new(&server.url);
    let document: Value = serde_json::from_str(&api::openapi_document()).unwrap();
    let shapes = Shapes::of(&document);
    let sockets: Value = serde_json::from_str(&api::asyncapi_document()).unwrap();
    let events = Shapes::of(&sockets);
    let (mut sent, mut told) = (0, BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (name, body) in bodies(operation) {
                let signs_in = path.starts_with("/v1/auth/");
                let world = World::make(&to, signs_in).await;
                let mut socket = live(&server.url, &world.me).await;
                let line = format!("{} {path} ({name})", method.to_uppercase());
                let token = if signs_in { &world.signed_in } else { &world.me };
                let address = world.put_in(&address(path, operation));
                let body = body.map(|body| serde_json::from_str(&world.put_in(&body.to_string())).unwrap());
                let answer = rest(&to, token, &method.to_uppercase(), &address, body).await;
                let documented = &operation["responses"][answer.status.to_string()];
                assert!(documented.is_object() && answer.status < 300, "{line}: {} {}", answer.status, answer.body);
                match documented["content"].as_object().and_then(|contents| contents.get("application/json")) {
                    Some(content) => shapes.check(&line, &content["schema"], &answer.body),
                    None if documented["content"].is_object() => assert!(answer.body.is_string(), "{line}"),
                    None => assert_eq!(answer.body, Value::Null, "{line}"),
                }
                world.change_preferences(&to).await;
                loop {
                    let came = received(&line, &mut socket).await;
                    check_event(&line, &sockets, &events, &came, &mut told);
                    if World::is_last_of_feed(&came) {
                        break;
                    }
                }
                sent += 1;
            }
        }
    }
    assert!(sent > 80, "{sent}");
    for kind in ["conversation.created", "preferences.updated", "notification.updated", "user.blocked"] {
        assert!(told.contains(kind), "{kind} was not told: {told:?}");
    }
    server.ends_well().await;
}

#[tokio::test]
async fn each_example_of_a_command_is_answered_as_documented() {
    let server = server().await;
    let to = Rest::new(&server.url);
    let document: Value = serde_json::from_str(&api::asyncapi_document()).unwrap();
    let shapes = Shapes::of(&document);
    let mut told = BTreeSet::new();
    for kind in protocol::Command::TYPES {
        let message = &document["components"]["messages"][kind];
        let reply = &document["components"]["messages"][format!("{kind}.reply")]["payload"];
        for example in message["examples"].as_array().unwrap() {
            let world = World::make(&to, false).await;
            let line = format!("{kind} ({})", example["name"]);
            // `hello` is for sockets that were not authenticated at their upgrade.
            let opened = match *kind {
                "hello" => Socket::open(&server.url, "/v1/ws", &[]).await.unwrap().unwrap(),
                _ => live(&server.url, &world.me).await,
            };
            let mut socket = opened;
            let frame: Value = serde_json::from_str(&world.put_in(&example["payload"].to_string())).unwrap();
            socket.send(&frame).await.unwrap();
            loop {
                let came = received(&line, &mut socket).await;
                if came["type"] == "reply" {
                    assert_eq!((&came["ref"], &came["ok"]), (&json!("1"), &json!(true)), "{line}: {came}");
                    shapes.check(&line, reply, &came);
                    break;
                }
                check_event(&line, &document, &shapes, &came, &mut told);
            }
            world.say_something(&to).await;
            loop {
                let came = received(&line, &mut socket).await;
                check_event(&line, &document, &shapes, &came, &mut told);
                if World::is_last_of_conversation(&came) {
                    break;
                }
            }
        }
    }
    for kind in ["changes", "message.updated", "message.deleted", "reaction.added", "typing"] {
        assert!(told.contains(kind), "{kind} was not told: {told:?}");
    }
    server.ends_well().await;
}

/// Bodies to send by name; one call without a body where the operation has none.
fn bodies(operation: &Value) -> Vec<(String, Option<Value>)> {
    match operation["requestBody"]["content"]["application/json"]["examples"].as_object() {
        Some(examples) => {
            examples.iter().map(|(name, example)| (name.clone(), Some(example["value"].clone()))).collect()
        }
        None => vec![("no body".into(), None)],
    }
}

/// The address with the examples of its parameters.
fn address(path: &str, operation: &Value) -> String {
    let (mut path, mut query) = (path.to_owned(), Vec::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let Some(example) = parameter.get("example") else { continue };
        let texts = example.as_array().map_or(vec![example], |items| items.iter().collect());
        let text = texts.iter().map(|text| text.as_str().unwrap()).collect::<Vec<_>>().join(",");
        let encoded: String =
            reqwest::Url::parse_with_params("http://x/", [("x", &text)]).unwrap().query().unwrap()[2..].into();
        match parameter["in"].as_str() {
            Some("path") => path = path.replace(&format!("{{{name}}}"), &encoded),
            _ => query.push(format!("{name}={encoded}")),
        }
    }
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

async fn received(line: &str, socket: &mut Socket) -> Value {
    match socket.recv().await.unwrap() {
        Frame::Json(frame) => frame,
        ended => panic!("{line}: {ended:?}"),
    }
}

/// A socket that gets events from now on.
async fn live(base: &str, token: &str) -> Socket {
    let mut socket = Socket::with_token(base, token).await.unwrap();
    socket.send(&json!({"type": "hello", "ref": "live"})).await.unwrap();
    let reply = socket.until("reply").await.unwrap();
    assert_eq!(reply["ok"], true, "{reply}");
    socket
}

fn check_event(line: &str, document: &Value, shapes: &Shapes, frame: &Value, told: &mut BTreeSet<String>) {
    let kind = frame["type"].as_str().unwrap();
    let message = &document["components"]["messages"][kind];
    assert!(message.is_object(), "{line}: {frame} is not documented");
    shapes.check(&format!("{kind} after {line}"), &message["payload"], frame);
    told.insert(kind.to_owned());
}
