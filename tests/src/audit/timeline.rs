//! What everybody did and saw of the one message or conversation that a violation is about.

use std::time::Duration;

use serde_json::Value;

use super::{Happened, Log, Truth, Violation};

/// Most lines.
const LINES: usize = 60;
/// Around a violation without a message, so much of its conversation on its device is shown.
const AROUND: Duration = Duration::from_secs(3);

pub(super) fn of(log: &Log, truth: &Truth, violation: &Violation) -> Vec<String> {
    let mut lines: Vec<(Duration, String)> = Vec::new();
    let message = violation.message.map(|id| id.to_string());
    let conversation = violation.conversation.map(|id| id.to_string());
    for act in &log.acts {
        let about = match violation.message {
            Some(id) => act.deed.message() == Some(id) || act.acknowledged().is_some_and(|said| said.id == id),
            None => {
                violation.conversation == Some(act.deed.conversation())
                    && violation.at.is_none_or(|at| act.at <= at + AROUND && at <= act.until + AROUND)
            }
        };
        if about {
            let outcome = match act.acknowledged() {
                Some(said) => format!("acknowledged at {} (place {})", said.changed_seq, said.seq),
                None => format!("{:?}", act.outcome),
            };
            let took = act.until.saturating_sub(act.at).as_millis();
            lines.push((act.at, format!("{} did {:?}: {outcome} after {took} ms", act.user, act.deed)));
        }
    }
    for (number, device) in log.devices.iter().enumerate() {
        let own = violation.device == Some(number);
        for entry in &device.entries {
            let near = violation.at.is_none_or(|at| entry.at + AROUND >= at && entry.at <= at + AROUND);
            let line = match &entry.what {
                Happened::Opened if own && near => "a connection began".to_owned(),
                Happened::Closed(code) if own && near => format!("it ended with {code}"),
                Happened::Said(frame) if own && near && frame["type"] == "hello" => format!("said {frame}"),
                Happened::Heard(frame) if about(frame, message.as_deref(), conversation.as_deref(), own && near) => {
                    format!("heard {}", short(frame))
                }
                _ => continue,
            };
            lines.push((entry.at, format!("device {number} of {}: {line}", device.user)));
        }
    }
    lines.sort();
    let mut told: Vec<_> = lines.into_iter().map(|(at, line)| spell(at, &line)).collect();
    if told.len() > LINES {
        // How it began, and how it ended.
        let left_out = told.len() - LINES;
        told.splice(LINES / 2..LINES / 2 + left_out, [format!("… {left_out} lines more …")]);
    }
    if let Some(kept) = violation.message.and_then(|id| truth.message(id)) {
        told.push(format!("the store has it at {}, changed at {}: {:?}", kept.seq, kept.changed_seq, kept.content));
    }
    told
}

fn spell(at: Duration, line: &str) -> String {
    format!("{:9.3} s  {line}", at.as_secs_f64())
}

fn about(frame: &Value, message: Option<&str>, conversation: Option<&str>, near: bool) -> bool {
    // What is not kept tells nothing of what is lost.
    if matches!(frame["type"].as_str(), Some("receipt.updated" | "typing" | "presence.updated")) {
        return false;
    }
    match message {
        Some(id) => {
            let changes = frame["changes"].as_array().or_else(|| frame["data"]["changes"].as_array());
            frame["data"]["id"] == id || changes.into_iter().flatten().any(|change| change["data"]["id"] == id)
        }
        None => {
            near && conversation.is_some_and(|id| {
                [&frame["conversation_id"], &frame["data"]["conversation_id"], &frame["data"]["id"]]
                    .iter()
                    .any(|named| **named == id)
            })
        }
    }
}

fn short(frame: &Value) -> String {
    let mut words = vec![frame["type"].to_string()];
    for name in ["ref", "seq", "user_seq", "from", "to"] {
        if !frame[name].is_null() {
            words.push(format!("{name} {}", frame[name]));
        }
    }
    if let Some(content) = frame["data"]["content"].as_str() {
        words.push(format!("{content:?}"));
    }
    words.join(" ")
}
