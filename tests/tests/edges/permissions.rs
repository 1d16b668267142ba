//! Plays every cell of `table` on a stage of its own: the outcome is the one that stands there, a refusal moves
//! nothing, and nobody outside ever reads what was said inside.
//!
//! The columns are `stage::Who`. The words: `ok`; `401` not authenticated, `off` disabled; `404` not to be known of;
//! `403` forbidden; `join` not a participant of a public room; `block` blocked; `kind` not in a conversation of this
//! kind; `last` the last owner; `inval` a body that names somebody who is not there.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, stream};
use protocol::Command;
use serde_json::Value;
use starling_tests::cluster::Cluster;

use crate::{
    calls::{Http, operations},
    stage::{Before, People, Place, SECRET, Stage, Who},
    table,
};

/// Rows that are played at once.
const AT_ONCE: usize = 6;

struct Row {
    place: Place,
    /// `METHOD /path?query`, or a command.
    line: String,
    body: Option<String>,
    words: Vec<&'static str>,
}

pub(crate) async fn everybody_may_do_what_the_table_says(cluster: &Cluster) -> Result<()> {
    let http = Http::new(cluster)?;
    let (rest, commands) = (rows(table::REST)?, rows(table::COMMANDS)?);
    let documented = operations(&http).await?.into_iter().map(|(line, _)| line).collect();
    same("operations", &documented, &rest)?;
    same("commands", &Command::TYPES.iter().map(|kind| (*kind).to_owned()).collect(), &commands)?;
    let wrong: Vec<String> = stream::iter(rest.iter().chain(&commands))
        .map(|row| play(cluster, &http, row))
        .buffer_unordered(AT_ONCE)
        .map(|wrong| wrong.unwrap_or_else(|error| vec![format!("{error:#}")]))
        .concat()
        .await;
    ensure!(wrong.is_empty(), "{} cells differ:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// Each of them has a row, and each row is of one of them.
fn same(what: &str, there: &BTreeSet<String>, rows: &[Row]) -> Result<()> {
    let listed: BTreeSet<_> =
        rows.iter().map(|row| row.line.split('?').next().unwrap_or_default().to_owned()).collect();
    let missing: Vec<_> = there.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(there).collect();
    ensure!(missing.is_empty() && gone.is_empty(), "{what} without a row: {missing:?}; rows without one: {gone:?}");
    Ok(())
}

fn rows(text: &'static str) -> Result<Vec<Row>> {
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut rows = Vec::new();
    while let Some(head) = lines.next() {
        let words: Vec<_> = lines.next().context("words")?.split_whitespace().collect();
        ensure!(words.len() == Who::ALL.len(), "{head} has {} words", words.len());
        let words = words.into_iter().map(code).collect::<Result<_>>().with_context(|| head.to_owned())?;
        let (place, rest) = match head.split_once(": ") {
            Some(("in a room", rest)) => (Place::Room, rest),
            Some(("of the owner", rest)) => (Place::OwnersMessage, rest),
            _ => (Place::Group, head),
        };
        let (line, body) = match rest.find(" {") {
            Some(at) => (&rest[..at], Some(rest[at + 1..].to_owned())),
            None => (rest, None),
        };
        rows.push(Row { place, line: line.to_owned(), body, words });
    }
    Ok(rows)
}

/// What a word of the table stands for.
fn code(word: &'static str) -> Result<&'static str> {
    Ok(match word {
        "ok" => "ok",
        "401" => "not_authenticated",
        "off" => "user_disabled",
        "404" => "not_found",
        "403" => "forbidden",
        "join" => "not_a_participant",
        "block" => "blocked",
        "kind" => "wrong_kind",
        "last" => "last_owner",
        "inval" => "invalid",
        other => bail!("`{other}` is no word of the table"),
    })
}

/// Plays a row; the cells that came out otherwise.
async fn play(cluster: &Cluster, http: &Http, row: &Row) -> Result<Vec<String>> {
    let people = People::new(cluster, http).await?;
    let mut wrong = Vec::new();
    for (who, expected) in Who::ALL.into_iter().zip(&row.words) {
        let cell = || format!("{:?}: {} {} as {who:?}", row.place, row.line, row.body.as_deref().unwrap_or_default());
        if let Err(error) = cell_is(http, &people, row, who, expected).await.with_context(cell) {
            wrong.push(format!("{error:#}"));
        }
    }
    Ok(wrong)
}

async fn cell_is(http: &Http, people: &People, row: &Row, who: Who, expected: &str) -> Result<()> {
    let stage = Stage::set(http, people, row.place, who, Before::of(&row.line)).await?;
    let body = match &row.body {
        Some(body) => Some(serde_json::from_str::<Value>(&stage.fill(body).await?)?),
        None => None,
    };
    let before = stage.head().await?;
    let answer = match row.line.split_once(' ') {
        Some((method, path)) => {
            let line = format!("{method} {}", stage.path(path).await?);
            http.call(stage.token(), &line, body.as_ref()).await?
        }
        None => http.command(stage.token(), &row.line, &body.unwrap_or_default()).await?,
    };
    if row.line == "PATCH /v1/org/users/{id}" && answer.word == "ok" {
        stage.enable_target().await?;
    }
    ensure!(answer.word == expected, "is {:?}, not {expected:?}: {}", answer.word, answer.text);
    if expected != "ok" {
        let after = stage.head().await?;
        ensure!(before == after, "a refusal moved the conversation from {before} to {after}");
    }
    ensure!(may_read(row, who) || !answer.text.contains(SECRET), "somebody outside reads {}", answer.text);
    Ok(())
}

/// Those inside, who has just joined a room, and an admin of the org what was reported to them.
fn may_read(row: &Row, who: Who) -> bool {
    let reported = who == Who::Boss && row.line == "GET /v1/org/reports";
    let joined = row.place == Place::Room && row.line.ends_with("/join") && who != Who::Foreign;
    who.inside() || reported || joined
}
