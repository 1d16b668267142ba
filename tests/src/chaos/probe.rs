//! How long a cluster takes to be whole again: a message is sent as soon as a fault is over, and everybody hears it.

use std::{sync::Arc, time::Duration};

use protocol::{ConversationId, MessageId};
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{device::Device, people::People};
use crate::client::Rest;

/// One attempt to send; the next one is the same message.
const ATTEMPT: Duration = Duration::from_millis(1_500);
const LOOK: Duration = Duration::from_millis(10);

/// Sends one and waits until every device that is not turned off has it. `None`: not within `most`.
pub(super) async fn recovered(people: &People, most: Duration) -> Option<Duration> {
    let start = Instant::now();
    let someone = Arc::clone(people.all.first()?);
    let heard = async {
        let id = send(&someone.rest, people.probes).await;
        loop {
            if people.present().iter().all(|device| knows(device, people.probes, id)) {
                return start.elapsed();
            }
            sleep(LOOK).await;
        }
    };
    timeout(most, heard).await.ok()
}

async fn send(rest: &Rest, to: ConversationId) -> MessageId {
    let body = json!({"content": "is anybody there?", "client_id": uuid::Uuid::new_v4()});
    loop {
        let path = format!("conversations/{to}/messages");
        let attempt = rest.call(Method::POST, &path, Some(body.clone()), &[]);
        if let Ok(Ok(answer)) = timeout(ATTEMPT, attempt).await
            && answer.status.is_success()
            && let Ok(id) = serde_json::from_value(answer.body["id"].clone())
        {
            return id;
        }
        sleep(LOOK).await;
    }
}

fn knows(device: &Device, conversation: ConversationId, id: MessageId) -> bool {
    device.look(|view| {
        let messages = view.timelines.get(&conversation).into_iter().flat_map(|timeline| timeline.messages.values());
        messages.rev().take(20).any(|message| message.id == id)
    })
}
