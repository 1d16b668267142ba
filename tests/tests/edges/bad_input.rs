//! Wrong types in every field of every body and command, fields that are missing and fields that are not known: all
//! refused as `invalid`, and nothing stored. What is made wrong comes from `samples`, which must have every field of
//! the server's own document.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use protocol::Command;
use serde_json::{Map, Value, json};
use starling_tests::{client::Socket, cluster::Cluster};

use crate::{
    calls::{ask, operations},
    samples::World,
    unchanged::Snapshot,
};

/// Names of fields that take one of a few words.
const WORDS: &[&str] = &["kind", "posting", "history", "notify", "role", "status", "reason", "for", "state"];

pub(crate) async fn bodies_of_wrong_types_are_refused_by_field(cluster: &Cluster) -> Result<()> {
    let world = World::new(cluster).await?;
    let document = world.http.call(None, "GET /v1/openapi.json", None).await?.body;
    let samples = world.bodies();
    let with_body = operations(&world.http).await?.into_iter().filter(|(_, said)| said["requestBody"].is_object());
    let mut documented: BTreeSet<String> = BTreeSet::new();
    let (before, mut wrong, mut tried) = (Snapshot::take(&world).await?, Vec::new(), 0);
    for (line, said) in with_body {
        let Some((_, sample)) = samples.iter().find(|(known, _)| *known == line) else {
            anyhow::bail!("{line} has a body and no sample");
        };
        let schema = schema(&document, &said).with_context(|| line.clone())?;
        let fields = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<BTreeSet<_>>());
        ensure!(fields(sample) == fields(&schema["properties"]), "the sample of {line} has other fields: {schema}");
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (field, bad) in broken(sample, &required, Unknown::Refused) {
            let answer = world.http.call(Some(&world.ann.token), &world.path(&line), Some(&bad)).await?;
            let named = answer.fields.first().is_some_and(|said| field.starts_with(said) || said.starts_with(&field));
            if answer.word != "invalid" || !named {
                wrong.push(format!("{line}: bad `{field}` in {bad} is answered {}", answer.text));
            }
            tried += 1;
        }
        before.is_still(&world).await.with_context(|| format!("bad bodies of {line}"))?;
        documented.insert(line);
    }
    let gone: Vec<_> = samples.iter().filter(|(line, _)| !documented.contains(*line)).collect();
    ensure!(gone.is_empty(), "samples of no operation: {gone:?}");
    ensure!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(tried > 400, "only {tried} were tried");
    Ok(())
}

pub(crate) async fn commands_of_wrong_types_are_refused(cluster: &Cluster) -> Result<()> {
    let world = World::new(cluster).await?;
    let samples = world.commands();
    let known: BTreeSet<_> = samples.iter().map(|(kind, ..)| *kind).collect();
    ensure!(known == Command::TYPES.iter().copied().collect(), "commands and samples differ: {known:?}");
    let (before, mut wrong) = (Snapshot::take(&world).await?, Vec::new());
    for (kind, sample, required) in &samples {
        let mut socket = Socket::with_token(&world.http.base, &world.ann.token).await?;
        for (field, bad) in broken(sample, required, Unknown::IgnoredAtTop) {
            let answer = ask(&mut socket, kind, &bad).await?;
            if answer.word != "invalid" {
                wrong.push(format!("{kind}: bad `{field}` in {bad} is answered {}", answer.text));
            }
        }
        socket.close().await?;
        before.is_still(&world).await.with_context(|| format!("bad commands {kind}"))?;
    }
    ensure!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// What becomes of fields that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refused,
    /// A newer client can talk to an older node.
    IgnoredAtTop,
}

/// The schema of an operation's body, references followed.
fn schema(document: &Value, operation: &Value) -> Result<Value> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let mut parts = schema["oneOf"].as_array().into_iter().flatten().chain([schema]);
    let name = parts.find_map(|part| part["$ref"].as_str()).context("a body by reference")?;
    let name = name.rsplit('/').next().unwrap_or_default();
    Ok(document["components"]["schemas"][name].clone())
}

/// Every way to break a sample in one place: the place, and what is sent.
fn broken(sample: &Value, required: &[&str], unknown: Unknown) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for field in required {
        let mut without = sample.clone();
        without.as_object_mut().map(|fields| fields.remove(*field));
        all.push(((*field).to_owned(), without));
        let mut null = sample.clone();
        null[field] = Value::Null;
        all.push(((*field).to_owned(), null));
    }
    let mut replace = |path: &[String], bad: Value| {
        let mut whole = sample.clone();
        if let Some(place) = whole.pointer_mut(&format!("/{}", path.join("/"))) {
            *place = bad;
            all.push((path.join("."), whole));
        }
    };
    for (name, value) in sample.as_object().into_iter().flatten() {
        break_value(&mut vec![name.clone()], value, &mut replace);
    }
    if unknown == Unknown::Refused {
        all.push(("no_such_field".into(), with_unknown(sample)));
    }
    all
}

fn break_value(path: &mut Vec<String>, value: &Value, replace: &mut impl FnMut(&[String], Value)) {
    for bad in wrong_values(path.last().map_or("", String::as_str), value) {
        replace(path, bad);
    }
    let inner: Vec<(String, &Value)> = match value {
        // A map of ids, not fields.
        Value::Object(_) if path.last().is_some_and(|name| name == "cursors") => Vec::new(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().take(1).map(|item| ("0".to_owned(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in inner {
        path.push(name);
        break_value(path, value, replace);
        path.pop();
    }
    let open = path.iter().any(|name| name == "resume");
    if value.is_object() && !open {
        replace(path, with_unknown(value));
        // serde alone would take an array for an object.
        let values = value.as_object().map(Map::values).into_iter().flatten().cloned().collect();
        replace(path, Value::Array(values));
    }
}

fn with_unknown(value: &Value) -> Value {
    let mut more = value.clone();
    more["no_such_field"] = json!(1);
    more
}

/// Values of another type than this one, and of its type what can never be right.
fn wrong_values(name: &str, value: &Value) -> Vec<Value> {
    let mut wrong = match value {
        Value::String(text) => {
            let mut wrong = vec![json!(7), json!(true), json!([]), json!({})];
            if text.len() == 36 && text.contains("-7") {
                wrong.extend([json!("x"), json!(""), json!("01900000-0000-7000-8000-00000000000g")]);
            }
            if WORDS.contains(&name) {
                wrong.extend([json!("nonsense"), json!("")]);
            }
            if name == "muted_until" {
                wrong.extend([json!("tomorrow"), json!("")]);
            }
            wrong
        }
        Value::Number(_) => {
            vec![json!("1"), json!(-1), json!(1.5), json!(18_446_744_073_709_551_616.0), json!(true), json!([])]
        }
        Value::Bool(_) => vec![json!("true"), json!(1), json!([]), json!({})],
        Value::Array(_) => vec![json!("x"), json!(7), json!({}), json!([7]), json!([null])],
        Value::Object(_) => vec![json!("x"), json!(7), json!(true)],
        Value::Null => Vec::new(),
    };
    if name == "cursors" {
        wrong.extend([json!({"x": 1}), json!({"01900000-0000-7000-8000-000000000000": -1})]);
    }
    wrong
}
