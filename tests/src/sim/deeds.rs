//! What people do in conversations, over their sockets and over REST.

use protocol::{AddParticipants, ConversationId, ConversationPatch, SendMessage};
use serde_json::json;

use super::{
    device::Device,
    people::{Call, PATIENCE, People},
    plan::What,
};
use crate::audit::Deed;

impl People {
    /// Does one of these, to its answer.
    pub(super) async fn deed(&self, device: &Device, actor: usize, what: What) {
        let Some(conversation) = self.conversation(what) else { return };
        match what {
            What::Notify(..) | What::PinConversation(..) => self.prefer(actor, conversation, what).await,
            What::Send(_) => {
                let (deed, frame) = self.text(conversation);
                self.say(device, actor, deed, frame).await;
            }
            What::Post(_) => {
                let (deed, frame) = self.text(conversation);
                let field = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
                let (content, client_id) = (field("content"), field("client_id"));
                self.act(actor, deed, move |chat, caller| {
                    let client_id = Some(client_id.clone());
                    let request = SendMessage { content: content.clone(), client_id, ..SendMessage::default() };
                    Box::pin(async move {
                        Ok(Some(chat::Told::into_message(chat.send(&caller, conversation, request).await?.0)))
                    })
                })
                .await;
            }
            What::Edit(_, nth) => {
                let Some((message, first)) = self.message(conversation, nth, Some(actor)) else { return };
                let content = format!("{first} e{}", self.next());
                let frame = json!({"type": "message.edit", "message_id": message, "content": content});
                self.say(device, actor, Deed::Edit { conversation, message, content }, frame).await;
            }
            What::Delete(_, nth) => {
                let Some((message, _)) = self.message(conversation, nth, Some(actor)) else { return };
                let frame = json!({"type": "message.delete", "message_id": message});
                self.say(device, actor, Deed::Delete { conversation, message }, frame).await;
            }
            What::React(_, nth, on) => {
                let Some((message, _)) = self.message(conversation, nth, None) else { return };
                let kind = if on { "reaction.add" } else { "reaction.remove" };
                let emoji = ["👍", "❤️", "🎉"][nth % 3].to_owned();
                let frame = json!({"type": kind, "message_id": message, "emoji": emoji});
                self.say(device, actor, Deed::React { conversation, message, emoji, on }, frame).await;
            }
            What::Pin(_, nth, on) => {
                let Some((message, _)) = self.message(conversation, nth, None) else { return };
                let kind = if on { "message.pin" } else { "message.unpin" };
                let frame = json!({"type": kind, "message_id": message});
                self.say(device, actor, Deed::Pin { conversation, message, on }, frame).await;
            }
            What::Read(_) => {
                let Some(seq) = device.with(|core, _| core.view.cursor(conversation)) else { return };
                let frame = json!({"type": "receipt.read", "conversation_id": conversation, "seq": seq});
                self.say(device, actor, Deed::Read { conversation, seq }, frame).await;
            }
            What::Type(_) => {
                let frame = json!({"type": "typing.start", "conversation_id": conversation});
                device.command(frame, PATIENCE).await;
            }
            What::Add(_, who) => {
                let who = self.users[who % self.users.len()].id;
                self.act(actor, Deed::Member { conversation, who, on: true }, move |chat, caller| {
                    let request = AddParticipants { user_ids: vec![who] };
                    Box::pin(async move { chat.add_participants(&caller, conversation, request).await.map(|_| None) })
                })
                .await;
            }
            What::Remove(_, who) => {
                let who = self.users[who % self.users.len()].id;
                self.act(actor, Deed::Member { conversation, who, on: false }, move |chat, caller| {
                    Box::pin(async move { chat.remove_participant(&caller, conversation, who).await.map(|()| None) })
                })
                .await;
            }
            What::Leave(_) => {
                let who = self.users[actor].id;
                self.act(actor, Deed::Member { conversation, who, on: false }, move |chat, caller| {
                    Box::pin(async move { chat.leave(&caller, conversation).await.map(|()| None) })
                })
                .await;
            }
            What::Join(_) => {
                let who = self.users[actor].id;
                self.act(actor, Deed::Member { conversation, who, on: true }, move |chat, caller| {
                    Box::pin(async move { chat.join(&caller, conversation).await.map(|_| None) })
                })
                .await;
            }
            What::Rename(_) => {
                let title = format!("title {}", self.next());
                self.change(
                    actor,
                    conversation,
                    ConversationPatch { title: Some(title), ..ConversationPatch::default() },
                )
                .await;
            }
            What::Close(_) => {
                let call: Call<()> = Box::new(move |chat, caller| {
                    Box::pin(async move { chat.delete_conversation(&caller, conversation).await })
                });
                self.rest(actor, call).await;
            }
            What::Archive(_, on) => {
                let archived = Some(on);
                self.change(actor, conversation, ConversationPatch { archived, ..ConversationPatch::default() }).await;
            }
            _ => {}
        }
    }

    async fn change(&self, actor: usize, conversation: ConversationId, patch: ConversationPatch) {
        let call: Call<()> = Box::new(move |chat, caller| {
            let patch = patch.clone();
            Box::pin(async move { chat.update_conversation(&caller, conversation, patch).await.map(drop) })
        });
        self.rest(actor, call).await;
    }
}
