//! Frames that are no commands: answered with a stable code where that is possible, closed with one where it is not.

use anyhow::{Result, bail, ensure};
use serde_json::json;
use starling_tests::{
    client::{Frame, Socket},
    cluster::Cluster,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame as RawFrame,
        coding::{Data, OpCode},
    },
};

use crate::{samples::World, unchanged::Snapshot};

pub(crate) async fn frames_that_are_no_commands_are_answered_or_closed(cluster: &Cluster) -> Result<()> {
    let world = World::new(cluster).await?;
    let before = Snapshot::take(&world).await?;
    let long = format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(65));
    let mut socket = Socket::with_token(&world.http.base, &world.ann.token).await?;
    for (frame, code) in [
        ("", "bad_json"),
        ("nonsense", "bad_json"),
        ("{", "bad_json"),
        ("[]", "bad_json"),
        (r#"["ping"]"#, "bad_json"),
        ("null", "bad_json"),
        ("7", "bad_json"),
        (r#""ping""#, "bad_json"),
        ("{}", "bad_json"),
        (r#"{"ref":"1"}"#, "bad_json"),
        (r#"{"type":7}"#, "bad_json"),
        (r#"{"type":null}"#, "bad_json"),
        (r#"{"type":"ping","ref":7}"#, "bad_json"),
        (r#"{"type":"ping"}{"type":"ping"}"#, "bad_json"),
        (r#"{"type":"ping","type":"ping"}"#, "bad_json"),
        (r#"{"type":"\ud800"}"#, "bad_json"),
        ("{\"type\":\"pi\u{0}ng\"}", "bad_json"),
        (&long, "invalid"),
        (r#"{"type":"","ref":"1"}"#, "unknown_command"),
        (r#"{"type":"Ping","ref":"1"}"#, "unknown_command"),
        (r#"{"type":"message.sent","ref":"1"}"#, "unknown_command"),
        (r#"{"type":"connected","ref":"1"}"#, "unknown_command"),
        (r#"{"type":"ping\u0000","ref":"1"}"#, "unknown_command"),
    ] {
        socket.send_raw(Message::text(frame)).await?;
        let reply = socket.until("reply").await?;
        let shown = &frame[..frame.len().min(80)];
        ensure!(reply["ok"] == false && reply["error"]["code"] == code, "{shown}: not {code} but {reply}");
    }
    // After all of that the socket is as good as before.
    socket.send(&json!({"type": "ping", "ref": "last"})).await?;
    ensure!(socket.until("reply").await?["ok"] == true, "a socket that was sent nonsense answers no more");
    socket.close().await?;

    let text = |payload: &[u8]| RawFrame::message(payload.to_vec(), OpCode::Data(Data::Text), true);
    for (what, frame, code) in [
        ("bytes that are no UTF-8", Message::Frame(text(b"{\"type\":\"ping\",\"ref\":\"\xff\xfe\"}")), 4502),
        ("a binary frame", Message::binary(b"{\"type\":\"ping\"}".to_vec()), 4502),
        ("a frame over the limit", Message::text(format!("{{\"x\":\"{}\"}}", "x".repeat(70_000))), 1009),
    ] {
        let mut socket = Socket::with_token(&world.http.base, &world.ann.token).await?;
        socket.until("connected").await?;
        socket.send_raw(frame).await?;
        let closed = loop {
            match socket.recv().await? {
                Frame::Json(_) => {}
                Frame::Closed(code) => break code,
                Frame::Broken => bail!("{what}: the connection broke without a close"),
            }
        };
        ensure!(closed == code, "{what}: closed with {closed}, not {code}");
    }
    before.is_still(&world).await
}
