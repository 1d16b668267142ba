//! What nodes answer, in words and tables.

use std::fmt::Write as _;

use serde_json::Value;

/// A table; the first row is its head.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

/// A string as it is, anything else as JSON has it; nothing for nothing.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn so_many_connections(count: &Value) -> String {
    format!("{} connection{}", text(count), if *count == 1 { "" } else { "s" })
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn rate(value: &Value) -> String {
    format!("{:.1}", value.as_f64().unwrap_or(0.0))
}

/// Who did not answer.
fn silent(answer: &Value) -> String {
    let mut words = String::new();
    for node in items(answer, "silent") {
        let is_stranger = items(answer, "strangers").any(|stranger| stranger == node);
        let why = if is_stranger { ": it has another STARLING_ADMIN_TOKEN, or none" } else { "" };
        let _ = writeln!(words, "node {} did not answer{why}", text(node));
    }
    if answer["others_asked"] == false {
        words += "Redis is away: no other node was asked\n";
    }
    words
}

pub(super) fn nodes(answer: &Value) -> String {
    let mut rows = vec![row([
        "NODE",
        "ROLE",
        "HOST",
        "ADDRESS",
        "VERSION",
        "STATE",
        "CONNECTIONS",
        "MESSAGES/S",
        "EVENTS/S",
        "FRAMES/S",
        "WAITING",
        "SLOW",
    ])];
    for node in items(answer, "nodes") {
        let waiting: u64 = items(node, "waiting").filter_map(Value::as_u64).sum();
        rows.push(vec![
            text(&node["id"]),
            text(&node["role"]),
            text(&node["host"]),
            text(&node["listen"]),
            text(&node["version"]),
            text(&node["state"]),
            text(&node["gateway"]["connections"]),
            rate(&node["rates"]["messages"]),
            rate(&node["rates"]["events"]),
            rate(&node["rates"]["frames"]),
            waiting.to_string(),
            text(&node["gateway"]["behind"]),
        ]);
    }
    table(&rows) + &silent(answer)
}

pub(super) fn connections(answer: &Value) -> String {
    let mut rows = vec![row(["CONNECTION", "NODE", "OVER", "SINCE", "CONVERSATIONS", "WAITING", "FULL"])];
    for connection in items(answer, "connections") {
        rows.push(vec![
            text(&connection["id"]),
            text(&connection["node"]),
            text(&connection["transport"]),
            text(&connection["opened_at"]),
            text(&connection["following"]),
            text(&connection["waiting_bytes"]),
            format!("{:.0} %", connection["outbox_fill"].as_f64().unwrap_or(0.0) * 100.0),
        ]);
    }
    let user = &answer["user"];
    let who = format!("{} ({})", text(&user["username"]), text(&user["id"]));
    let disabled = if user["disabled_at"].is_null() { String::new() } else { ", disabled".to_owned() };
    let shown = if rows.len() > 1 { table(&rows) } else { "no connections\n".to_owned() };
    format!("{who}{disabled}\n{shown}{}", silent(answer))
}

pub(super) fn disconnected(answer: &Value) -> String {
    format!("{} ended\n{}", so_many_connections(&answer["disconnected"]), silent(answer))
}

pub(super) fn disabled(answer: &Value) -> String {
    let state = if answer["disabled_at"].is_null() { "enabled" } else { "disabled" };
    format!("{} is {state}", text(&answer["username"]))
}

pub(super) fn drained(answer: &Value) -> String {
    let (node, role) = (text(&answer["draining"]), text(&answer["role"]));
    let alone = if answer["others_ready"] == 0 {
        format!("\nno other {role} is ready: its clients have nowhere to go")
    } else {
        String::new()
    };
    let what = match role.as_str() {
        "api" => "takes no new calls; stop it when it got none for a while",
        _ => "lets its connections go; stop it when `nodes` shows none",
    };
    format!("node {node} {what}{alone}")
}

pub(super) fn heads(answer: &Value) -> String {
    let mut rows = vec![row(["NODE", "DELIVERED", "CONNECTIONS", "FILLING"])];
    rows.push(vec!["the store".into(), text(&answer["head"]), String::new(), String::new()]);
    for node in items(answer, "nodes") {
        let filling = if node["filling"] == true { "yes" } else { "" };
        rows.push(vec![text(&node["node"]), text(&node["delivered"]), text(&node["connections"]), filling.into()]);
    }
    table(&rows) + &silent(answer)
}

pub(super) fn jobs(answer: &Value) -> String {
    let mut rows = vec![row(["JOB", "WAITING", "LATER", "OLDEST"])];
    rows.extend(
        items(answer, "jobs")
            .map(|job| vec![text(&job["kind"]), text(&job["waiting"]), text(&job["later"]), text(&job["oldest_at"])]),
    );
    table(&rows)
}

pub(super) fn orgs(answer: &Value) -> String {
    let mut rows = vec![row(["ORG", "OPEN REPORTS", "ID"])];
    rows.extend(
        items(answer, "orgs").map(|org| vec![text(&org["slug"]), text(&org["open_reports"]), text(&org["id"])]),
    );
    table(&rows)
}

pub(super) fn reports(answer: &Value) -> String {
    let mut rows = vec![row(["REPORT", "WHEN", "STATUS", "REASON", "OF", "BY", "MESSAGE"])];
    for report in items(answer, "items") {
        rows.push(vec![
            text(&report["id"]),
            text(&report["created_at"]),
            text(&report["status"]),
            text(&report["reason"]),
            text(&report["user"]["username"]),
            text(&report["reporter"]["username"]),
            text(&report["message_id"]),
        ]);
    }
    let more = match answer["next_cursor"].as_str() {
        Some(cursor) => format!("there are more: --cursor {cursor}\n"),
        None => String::new(),
    };
    table(&rows) + &more
}

pub(super) fn trace(answer: &Value) -> String {
    let mut words = format!("{} ({})\n\n", text(&answer["verdict"]["says"]), text(&answer["verdict"]["code"]));
    let message = &answer["message"];
    let _ = writeln!(
        words,
        "message    {} of {}, place {}, committed {}",
        text(&message["id"]),
        text(&message["conversation_id"]),
        text(&message["traced_seq"]),
        text(&message["committed_at"])
    );
    participant(&mut words, answer);
    for node in items(answer, "nodes") {
        node_words(&mut words, node);
    }
    for note in items(answer, "notes") {
        let _ = writeln!(words, "note       {}", text(note));
    }
    words
}

fn participant(words: &mut String, answer: &Value) {
    let (user, part) = (&answer["user"], &answer["participant"]);
    let _ = write!(words, "user       {} ({})", text(&user["username"]), text(&user["id"]));
    if part.is_null() {
        let _ = writeln!(words, ", never took part");
        return;
    }
    let left = if part["left_at"].is_null() { String::new() } else { format!(", left {}", text(&part["left_at"])) };
    let _ = writeln!(
        words,
        ", joined {}{left}; delivered up to {}, read up to {} of {}",
        text(&part["joined_at"]),
        text(&part["delivered_seq"]),
        text(&part["read_seq"]),
        text(&part["last_seq"])
    );
}

fn node_words(words: &mut String, node: &Value) {
    let _ = writeln!(words, "node       {}", text(&node["node"]));
    for commit in items(&node["commits"], "commits") {
        let event = &commit["event"];
        let _ = writeln!(
            words,
            "  committed {} in batch {} (lane {}, {} changes), taken {}; event {} {}",
            text(&commit["committed_at"]),
            text(&commit["batch"]),
            text(&commit["lane"]),
            text(&commit["changes"]),
            text(&commit["accepted_at"]),
            text(&event["is"]),
            text(&event["at"])
        );
    }
    let delivery = &node["delivery"];
    if delivery.is_null() {
        return;
    }
    let handed_on = &delivery["handed_on"];
    if !handed_on.is_null() {
        let _ = writeln!(
            words,
            "  handed on {} to {} ({})",
            text(&handed_on["at"]),
            so_many_connections(&handed_on["connections"]),
            text(&handed_on["way"])
        );
    } else if !delivery["delivered"].is_null() {
        let _ = writeln!(words, "  did not hand it on, or forgot; is at {}", text(&delivery["delivered"]));
    }
    for connection in items(delivery, "connections") {
        let end = match connection["end"].as_str() {
            Some(end) => format!(" to {} ({end})", text(&connection["ended_at"])),
            None => String::new(),
        };
        let _ = writeln!(
            words,
            "  {} {} from {}{end}: {}",
            text(&connection["transport"]),
            text(&connection["id"]),
            text(&connection["opened_at"]),
            text(&connection["fate"]["is"])
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [row(["A", "BB"]), row(["äöü", "1"])];
        assert_eq!(table(&rows), "A    BB\näöü  1\n");
    }
}
