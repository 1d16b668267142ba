//! Frames as an event stream (HTML standard, "Server-sent events"). Pure: bytes out, nothing kept.
//!
//! `event:` is the frame's `type`, `data:` the frame itself. The `heartbeat` that only says that the server is there is
//! a comment, which `EventSource` swallows; so is a ping. A new `id:` goes out with the last frame, or alone: an event
//! without data moves a client's last event id and calls nobody.

use std::{fmt::Write, time::Duration};

use protocol::CloseCode;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// What a stream's lines are made of besides the frames.
const PER_FRAME: usize = 64;
/// A frame of which no type can be told.
const UNTYPED: &str = "message";
const HEARTBEAT: &str = ": heartbeat\n\n";

/// The lines of a batch: frames, a comment where a ping was asked for, an id where there is a new one.
pub(super) fn batch(frames: &[Utf8Bytes], ping: bool, id: Option<&str>) -> String {
    let size = frames.iter().map(|frame| frame.len() + PER_FRAME).sum::<usize>();
    let mut lines = String::with_capacity(size + PER_FRAME + id.map_or(0, str::len));
    let mut comment = ping;
    let last = frames.iter().rposition(|frame| !is_sign_of_life(frame));
    for (at, frame) in frames.iter().enumerate() {
        if is_sign_of_life(frame) {
            comment = true;
            continue;
        }
        if let Some(id) = id.filter(|_| Some(at) == last) {
            field(&mut lines, "id", id);
        }
        field(&mut lines, "event", kind(frame));
        // JSON of ours has no line breaks; that of another program on the bus may.
        for line in frame.split(['\n', '\r']) {
            field(&mut lines, "data", line);
        }
        lines.push('\n');
    }
    if let Some(id) = id.filter(|_| last.is_none()) {
        field(&mut lines, "id", id);
        lines.push('\n');
    }
    if comment {
        lines.push_str(HEARTBEAT);
    }
    lines
}

/// The beginning of a stream: how long `EventSource` waits before it comes back.
pub(super) fn retry(after: Duration) -> String {
    format!("retry: {}\n\n", after.as_millis())
}

/// The last event of a stream: why it ends.
pub(super) fn close(code: CloseCode) -> String {
    let mut lines = String::new();
    field(&mut lines, "event", "close");
    // Reasons are plain words.
    let _ = write!(lines, "data: {{\"code\":{},\"reason\":\"{}\"}}\n\n", code.code(), code.reason());
    lines
}

fn field(lines: &mut String, name: &str, value: &str) {
    lines.push_str(name);
    lines.push_str(": ");
    lines.push_str(value);
    lines.push('\n');
}

/// A `heartbeat` that moves no cursor.
fn is_sign_of_life(frame: &str) -> bool {
    frame == r#"{"type":"heartbeat","data":{}}"#
}

/// The frame's `type`. Ours begin with it.
fn kind(frame: &str) -> &str {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
    }
    let first = frame.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split_once('"')).map(|(kind, _)| kind);
    let kind = first.or_else(|| serde_json::from_str::<Typed<'_>>(frame).ok().map(|typed| typed.kind));
    let plain = |kind: &&str| !kind.is_empty() && kind.bytes().all(|c| matches!(c, b'a'..=b'z' | b'.' | b'_'));
    kind.filter(plain).unwrap_or(UNTYPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(frames: &[&str], ping: bool, id: Option<&str>) -> String {
        let frames: Vec<Utf8Bytes> = frames.iter().map(|frame| (*frame).into()).collect();
        super::batch(&frames, ping, id)
    }

    const HEARTBEAT_FRAME: &str = r#"{"type":"heartbeat","data":{}}"#;

    #[test]
    fn a_frame_is_an_event_and_the_id_comes_with_the_last_one() {
        let frames = [r#"{"type":"typing","data":{}}"#, r#"{"type":"message.created","seq":2}"#];
        assert_eq!(
            batch(&frames, false, Some("e.1.0.5")),
            "event: typing\ndata: {\"type\":\"typing\",\"data\":{}}\n\n\
             id: e.1.0.5\nevent: message.created\ndata: {\"type\":\"message.created\",\"seq\":2}\n\n"
        );
        assert!(!batch(&frames, false, None).contains("id:"));
    }

    #[test]
    fn heartbeats_are_comments_and_an_id_without_a_frame_goes_alone() {
        assert_eq!(batch(&[HEARTBEAT_FRAME], true, None), ": heartbeat\n\n");
        assert_eq!(batch(&[HEARTBEAT_FRAME], true, Some("e.1.0.5")), "id: e.1.0.5\n\n: heartbeat\n\n");
        assert_eq!(batch(&[], false, Some("e.1.0.5")), "id: e.1.0.5\n\n");
        assert_eq!(batch(&[], false, None), "");
        let moved = r#"{"type":"heartbeat","user_seq":9,"data":{}}"#;
        assert_eq!(batch(&[moved], false, None), format!("event: heartbeat\ndata: {moved}\n\n"), "it moves a cursor");
        let mixed = batch(&[r#"{"type":"typing"}"#, HEARTBEAT_FRAME], true, Some("e.1.0.5"));
        assert_eq!(mixed, "id: e.1.0.5\nevent: typing\ndata: {\"type\":\"typing\"}\n\n: heartbeat\n\n");
    }

    #[test]
    fn line_breaks_do_not_break_out_of_the_data() {
        let frame = "{\"data\":1,\n\"type\":\"typing\",\r\"x\":\r\n2}";
        let lines = batch(&[frame], false, None);
        assert_eq!(
            lines,
            "event: typing\ndata: {\"data\":1,\ndata: \"type\":\"typing\",\ndata: \"x\":\ndata: \ndata: 2}\n\n"
        );
        for strange in [r#"{"type":"a\nid: 1"}"#, r#"{"type":"Bad Type"}"#, "{}", "not json", ""] {
            assert!(batch(&[strange], false, None).starts_with("event: message\ndata: "), "{strange}");
        }
    }

    #[test]
    fn an_end_says_its_code() {
        assert_eq!(
            close(CloseCode::SessionRevoked),
            "event: close\ndata: {\"code\":4501,\"reason\":\"session revoked\"}\n\n"
        );
        assert_eq!(retry(Duration::from_millis(1_500)), "retry: 1500\n\n");
    }
}
