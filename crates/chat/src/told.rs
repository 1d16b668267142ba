//! A message that is told to many: its JSON is made once, for the event and for the reply to who sent it.

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
};

use protocol::Message;
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

/// A message, and its JSON from when it was first asked for. Serialises as the message does, to JSON alone.
#[derive(Debug)]
pub struct Told {
    message: Message,
    json: OnceLock<Box<RawValue>>,
}

impl Told {
    /// The message alone.
    pub fn into_message(this: Arc<Self>) -> Message {
        Arc::try_unwrap(this).map_or_else(|shared| shared.message.clone(), |alone| alone.message)
    }
}

impl From<Message> for Told {
    fn from(message: Message) -> Self {
        Self { message, json: OnceLock::new() }
    }
}

impl Deref for Told {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(json) = self.json.get() {
            return json.serialize(serializer);
        }
        let json = serde_json::value::to_raw_value(&self.message).map_err(S::Error::custom)?;
        self.json.get_or_init(|| json).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_serialises_as_the_message_does_each_time_and_within_others() {
        let id = protocol::UserId::generate().to_string();
        let message: Message = serde_json::from_value(serde_json::json!({
            "id": id, "conversation_id": id, "seq": 7, "changed_seq": 7, "number": 7, "kind": "text",
            "content": "a \"b\" é", "created_at": "2026-01-01T00:00:00.000000Z", "mentions": [], "attachments": [],
            "reactions": [], "sender": { "id": id, "username": "ada", "display_name": "Ada", "avatar_url": null },
        }))
        .unwrap();
        let told = Arc::new(Told::from(message.clone()));
        let json = serde_json::to_string(&message).unwrap();
        for _ in 0..2 {
            assert_eq!(serde_json::to_string(&told).unwrap(), json);
            assert_eq!(serde_json::to_string(&[&*told]).unwrap(), format!("[{json}]"));
            assert_eq!(serde_json::to_value(&told).unwrap(), serde_json::to_value(&message).unwrap());
        }
        let shared = Arc::clone(&told);
        assert_eq!(Told::into_message(told), message);
        assert_eq!(Told::into_message(shared), message);
    }
}
