//! The task behind an [`SseClient`](super::SseClient): one stream after the other, each from the last id on.

use std::{sync::Arc, time::Duration};

use protocol::Changes;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use super::{EventStream, Shared, State};
use crate::{
    audit::Happened,
    client::{Answer, BROKEN, Rest, core::HELLO_REF, view::Load},
};

/// Before it comes back; `EventSource` waits for what the server said, and tests have no time.
const BACK_AFTER: Duration = Duration::from_millis(100);

pub(super) async fn run(shared: Arc<Shared>, rest: Rest) {
    loop {
        shared.wanted().await;
        let (base, pass, id, patient) = {
            let mut state = shared.state.lock();
            (state.busy, state.leave) = (true, false);
            (state.base.clone(), state.pass.clone(), state.id.clone(), state.patient)
        };
        let opened = tokio::select! {
            opened = EventStream::open(&base, &pass, id.as_deref()) => Some(opened),
            () = shared.told_to_leave() => None,
        };
        match opened {
            Some(Ok(Ok(stream))) => read(&shared, &rest, stream).await,
            // What `EventSource` gives up on. A page would try again later where the status says so.
            Some(Ok(Err(status))) if status != 503 && !(patient && (502..=504).contains(&status)) => {
                shared.change(|state| state.refused = Some(status));
                return;
            }
            _ => {}
        }
        shared.change(|state| state.busy = false);
        sleep(BACK_AFTER).await;
    }
}

async fn read(shared: &Arc<Shared>, rest: &Rest, mut stream: EventStream) {
    let mut close = BROKEN;
    // Beside the stream, which must be read; it ends with it.
    let mut loading = JoinSet::new();
    shared.change(State::opened);
    shared.write(Happened::Opened);
    loop {
        let item = tokio::select! {
            item = stream.next() => item,
            () = shared.told_to_leave() => None,
        };
        let Some(item) = item else { break };
        let mut heard = None;
        if item.event == "close" {
            close = item.data["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(close);
        } else if !item.event.is_empty() {
            let mut frame = item.data.clone();
            if item.event == "reply" {
                // The one reply of a stream, to a `hello` that nobody had to say.
                (frame["ref"], frame["stream"]) = (HELLO_REF.into(), true.into());
            }
            heard = Some(Happened::Heard(frame));
        }
        let to_load = {
            let mut state = shared.state.lock();
            if let Some(heard) = heard {
                state.write(shared.start, heard);
            }
            state.take(item);
            state.view.take_to_load()
        };
        shared.changed.notify_waiters();
        for what in to_load {
            shared.write(Happened::Said(what.command()));
            loading.spawn(load(Arc::clone(shared), rest.clone(), what));
        }
    }
    shared.write(Happened::Closed(close));
    shared.change(|state| {
        state.live = false;
        state.closes.push(close);
    });
}

/// Fetches a conversation. One that is not theirs any more answers nothing of use; one that
/// cannot be asked for just now is known from where its events go on.
async fn load(shared: Arc<Shared>, rest: Rest, what: Load) {
    let mut after = 0;
    loop {
        let answer = rest.get(&format!("conversations/{}/changes?after={after}&limit=500", what.id)).await;
        let Ok(page) = answer.and_then(Answer::ok::<Changes>) else { return };
        let (to, more) = (page.to, page.more);
        shared.change(|state| {
            let frame = json!({"type": "reply", "ref": what.to_string(), "ok": true, "data": page});
            state.write(shared.start, Happened::Heard(frame.clone()));
            state.view.take(frame);
        });
        after = to;
        if !more {
            return;
        }
    }
}
