//! What people do outside of conversations: settings, blocks, announcements, sessions. All over REST.

use chat::{Caller, Chat, ChatError};
use futures_util::future::BoxFuture;
use protocol::{
    ConversationId, CreateAnnouncement, LogoutRequest, NotificationPreferencesPatch, Notify, OrgRole, PreferencesPatch,
    SessionId,
};

use super::{
    people::{Call, People},
    plan::What,
};
use crate::audit::{Outcome, OwnDeed};

const NOTIFY: [Notify; 3] = [Notify::All, Notify::Mentions, Notify::None];

impl People {
    /// Does one of these, to its answer.
    pub(super) async fn outside(&self, actor: usize, what: What) {
        match what {
            What::NotifyEverywhere(which) => {
                let notify = NOTIFY[which % NOTIFY.len()];
                let patch = NotificationPreferencesPatch { notify: Some(notify), ..Default::default() };
                self.own(actor, OwnDeed::Notify(None, notify), move |chat, caller| {
                    Box::pin(async move { chat.set_notification_preferences(&caller, patch).await.map(drop) })
                })
                .await;
            }
            What::Block(who, on) => {
                let who = self.users[who % self.users.len()].id;
                self.own(actor, OwnDeed::Block(who, on), move |chat, caller| {
                    Box::pin(async move { chat.set_blocked(&caller, who, on).await })
                })
                .await;
            }
            What::Announce => {
                let title = format!("news {}", self.next());
                let request = CreateAnnouncement { title: title.clone(), content: "Read this.".into(), url: None };
                self.own(actor, OwnDeed::Announce(title.clone()), move |chat, mut caller| {
                    let (request, key) = (request.clone(), title.clone());
                    caller.user.role = OrgRole::Admin;
                    Box::pin(async move { chat.announce(&caller, request, Some(&key)).await.map(drop) })
                })
                .await;
            }
            What::Revoke(nth) => {
                let sessions = self.sessions_of(actor);
                let Some(session) = sessions.get(nth % sessions.len().max(1)).copied() else { return };
                self.own(actor, OwnDeed::Revoke(Some(session)), move |chat, caller| {
                    Box::pin(async move { chat.revoke_session(&caller, session).await })
                })
                .await;
            }
            What::LogOut => {
                self.own(actor, OwnDeed::Revoke(None), move |chat, caller| {
                    let request = LogoutRequest { all: true };
                    Box::pin(async move { chat.logout(&caller, request).await })
                })
                .await;
            }
            _ => {}
        }
    }

    /// Changes one's settings of a conversation.
    pub(super) async fn prefer(&self, actor: usize, conversation: ConversationId, what: What) {
        let (deed, patch) = match what {
            What::Notify(_, which) => {
                let notify = NOTIFY[which % NOTIFY.len()];
                let patch = PreferencesPatch { notify: Some(notify), ..PreferencesPatch::default() };
                (OwnDeed::Notify(Some(conversation), notify), patch)
            }
            What::PinConversation(_, on) => {
                let patch = PreferencesPatch { pinned: Some(on), ..PreferencesPatch::default() };
                (OwnDeed::PinConversation(conversation, on), patch)
            }
            _ => return,
        };
        self.own(actor, deed, move |chat, caller| {
            Box::pin(async move { chat.set_preferences(&caller, conversation, patch).await.map(drop) })
        })
        .await;
    }

    /// Those of one's devices and streams.
    fn sessions_of(&self, actor: usize) -> Vec<SessionId> {
        let user = self.users[actor].id;
        let devices = self.devices.iter().filter(|device| device.user.id == user).map(|device| device.signed_in());
        let listeners = self.listeners.iter().filter(|listener| listener.user.id == user);
        let all = devices.chain(listeners.map(|listener| listener.signed_in()));
        all.flatten().map(|signed_in| signed_in.session).collect()
    }

    async fn own(
        &self,
        actor: usize,
        deed: OwnDeed,
        call: impl Fn(Chat, Caller) -> BoxFuture<'static, Result<(), ChatError>> + Send + Sync + 'static,
    ) {
        let at = self.now();
        let call: Call<()> = Box::new(call);
        let outcome = match self.rest(actor, call).await {
            Some(Ok(())) => Outcome::Done(None),
            Some(Err(code)) => Outcome::Refused(code),
            None => Outcome::Unknown,
        };
        self.note_own(at, actor, deed, outcome);
    }
}
