//! What people do in a run, and what they were answered: acts for the auditor.

use std::{sync::Arc, time::Duration};

use chat::{Caller, Chat, ChatError, Spawn};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use protocol::{
    ConversationId, ConversationKind, CreateConversation, ErrorCode, History, Message, MessageId, Posting, User,
};
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use super::{
    chance::Chance,
    device::Device,
    listener::Listener,
    plan::{Step, What},
    world::{World, caller},
};
use crate::{
    audit::{Act, Deed, Outcome, OwnAct, OwnDeed, token},
    client::is_passing,
};

/// An answer that takes longer is not waited for.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// One try over REST.
const TRY: Duration = Duration::from_secs(12);

/// Everybody, what they know of each other, and what they did.
pub(super) struct People {
    world: Arc<World>,
    /// Everybody.
    pub(super) users: Vec<User>,
    /// Everybody's devices.
    pub(super) devices: Vec<Arc<Device>>,
    /// And their event streams.
    pub(super) listeners: Vec<Arc<Listener>>,
    began: Instant,
    chance: Chance,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    conversations: Vec<ConversationId>,
    /// Messages that were acknowledged, whose they are, and their first word.
    messages: Vec<(ConversationId, MessageId, usize, String)>,
    since_join: Vec<ConversationId>,
    acts: Vec<Act>,
    own: Vec<OwnAct>,
    next: u64,
}

/// A use case, called as REST would.
pub(super) type Call<T> = Box<dyn Fn(Chat, Caller) -> BoxFuture<'static, Result<T, ChatError>> + Send + Sync>;

impl People {
    /// Nobody has done anything yet.
    pub(super) fn new(
        world: Arc<World>,
        users: Vec<User>,
        devices: Vec<Arc<Device>>,
        listeners: Vec<Arc<Listener>>,
        began: Instant,
    ) -> Arc<Self> {
        let chance = Chance::new(world.setting.seed, "people");
        Arc::new(Self { world, users, devices, listeners, began, chance, known: Mutex::default() })
    }

    /// What they did.
    pub(super) fn acts(&self) -> Vec<Act> {
        self.known.lock().acts.clone()
    }

    /// What they did outside of conversations.
    pub(super) fn own_acts(&self) -> Vec<OwnAct> {
        self.known.lock().own.clone()
    }

    /// Conversations where newcomers do not see what was before them.
    pub(super) fn since_join(&self) -> Vec<ConversationId> {
        self.known.lock().since_join.clone()
    }

    /// Makes a conversation; some of its participants.
    pub(super) async fn create(&self, creator: usize, others: &[usize], kind: ConversationKind, history: History) {
        let number = self.next();
        let request = CreateConversation {
            kind,
            title: (kind != ConversationKind::Direct).then(|| format!("room {number}")),
            description: None,
            avatar_url: None,
            participant_ids: others.iter().map(|user| self.users[*user].id).collect(),
            subject: None,
            posting: Posting::Everyone,
            history,
            slow_mode_seconds: 0,
        };
        let key = format!("create-{number}");
        let call: Call<ConversationId> = Box::new(move |chat, caller| {
            let (request, key) = (request.clone(), key.clone());
            Box::pin(async move { Ok(chat.create_conversation(&caller, request, Some(&key)).await?.0.id) })
        });
        if let Some(Ok(id)) = self.rest(creator, call).await {
            let mut known = self.known.lock();
            if !known.conversations.contains(&id) {
                known.conversations.push(id);
            }
            if history == History::SinceJoin {
                known.since_join.push(id);
            }
        }
    }

    /// Does one step, to its answer.
    pub(super) async fn step(self: Arc<Self>, step: Step) {
        let Some(device) = self.devices.get(step.device).cloned() else {
            return self.listen(step).await;
        };
        let Some(actor) = self.users.iter().position(|user| user.id == device.user.id) else { return };
        match step.what {
            What::Break => device.break_off(),
            What::Away(time) => {
                device.want(false);
                sleep(time).await;
                device.want(true);
            }
            What::Stall(time) => device.stall(time),
            What::List => {
                // Who was never told from where its events flow fetches the list after that.
                let (connections, asked) = device.with(|core, now| (core.connections(), now));
                if connections > 0
                    && let Some(conversations) = self.list(actor).await
                {
                    device.with(|core, now| {
                        if core.connections() > 0 {
                            core.listed(now, asked, conversations);
                        }
                    });
                }
            }
            What::Here(here) => {
                let state = if here { "active" } else { "away" };
                device.command(json!({"type": "presence.set", "state": state}), PATIENCE).await;
            }
            What::NotifyEverywhere(_) | What::Block(..) | What::Announce | What::Revoke(_) | What::LogOut => {
                self.outside(actor, step.what).await;
            }
            What::Create(mask) => {
                let others: Vec<_> =
                    (0..self.users.len()).filter(|user| *user != actor && mask & (1 << user) != 0).collect();
                if !others.is_empty() {
                    let history = if mask & 32 == 0 { History::All } else { History::SinceJoin };
                    self.create(actor, &others, ConversationKind::Group, history).await;
                }
            }
            what => self.deed(&device, actor, what).await,
        }
    }

    /// What can be done with an event stream.
    async fn listen(&self, step: Step) {
        let Some(listener) = self.listeners.get(step.device - self.devices.len()) else { return };
        match step.what {
            What::Away(time) => {
                listener.want(false);
                sleep(time).await;
                listener.want(true);
            }
            What::Stall(time) => listener.stall(time),
            What::List => {
                let actor = self.users.iter().position(|user| user.id == listener.user.id).unwrap_or_default();
                listener.lists(self.list(actor)).await;
            }
            // They say nothing: what a device would say breaks them, so that they come back often.
            _ => listener.break_off(),
        }
    }

    /// A new text, and the command that sends it.
    pub(super) fn text(&self, conversation: ConversationId) -> (Deed, Value) {
        let number = self.next();
        let (client_id, content) = (format!("c-{number}"), format!("m{number} says something"));
        let frame = json!({
            "type": "message.send", "conversation_id": conversation, "content": content, "client_id": client_id,
        });
        (Deed::Send { conversation, client_id, content }, frame)
    }

    /// Over the socket.
    pub(super) async fn say(&self, device: &Device, actor: usize, deed: Deed, frame: Value) {
        let at = self.began.elapsed();
        let outcome = match device.command(frame, PATIENCE).await {
            Some(reply) => match (reply.ok, reply.error) {
                (true, _) => {
                    let message = reply.data.and_then(|data| serde_json::from_value::<Message>(data).ok());
                    Outcome::Done(message.map(Box::new))
                }
                (false, Some(error)) => Outcome::Refused(error.code),
                (false, None) => Outcome::Unknown,
            },
            None => Outcome::Unknown,
        };
        self.note(at, actor, deed, outcome);
    }

    /// Over REST.
    pub(super) async fn act(
        &self,
        actor: usize,
        deed: Deed,
        call: impl Fn(Chat, Caller) -> BoxFuture<'static, Result<Option<Message>, ChatError>> + Send + Sync + 'static,
    ) {
        let at = self.began.elapsed();
        let outcome = match self.rest(actor, Box::new(call)).await {
            Some(Ok(message)) => Outcome::Done(message.map(Box::new)),
            Some(Err(code)) => Outcome::Refused(code),
            None => Outcome::Unknown,
        };
        self.note(at, actor, deed, outcome);
    }

    /// Calls a use case on any node, again while that may help. None: nobody knows what came of it.
    pub(super) async fn rest<T: Send + 'static>(&self, actor: usize, call: Call<T>) -> Option<Result<T, ErrorCode>> {
        let deadline = Instant::now() + PATIENCE;
        let call = Arc::new(call);
        while Instant::now() < deadline {
            if let Some(node) = self.world.any_node(&self.chance) {
                let (sender, answer) = oneshot::channel();
                let (call, chat, caller) = (Arc::clone(&call), node.chat.clone(), caller(&self.users[actor]));
                node.gate.spawn(Box::pin(async move {
                    let _ = sender.send(call(chat, caller).await);
                }));
                match timeout(TRY, answer).await {
                    Ok(Ok(Ok(done))) => return Some(Ok(done)),
                    Ok(Ok(Err(error))) if !is_passing(error.code) => return Some(Err(error.code)),
                    _ => {}
                }
            }
            sleep(self.chance.time(Duration::from_millis(50)..Duration::from_millis(800))).await;
        }
        None
    }

    fn note(&self, at: Duration, actor: usize, deed: Deed, outcome: Outcome) {
        let mut known = self.known.lock();
        if let (Deed::Send { conversation, content, .. }, Outcome::Done(Some(message))) = (&deed, &outcome) {
            known.messages.push((*conversation, message.id, actor, token(content).to_owned()));
        }
        let (until, user) = (self.began.elapsed(), self.users[actor].id);
        known.acts.push(Act { at, until, user, deed, outcome });
    }

    /// Notes what somebody did outside of conversations.
    pub(super) fn note_own(&self, at: Duration, actor: usize, deed: OwnDeed, outcome: Outcome) {
        let act = OwnAct { at, until: self.began.elapsed(), user: self.users[actor].id, deed, outcome };
        self.known.lock().own.push(act);
    }

    /// Since the run began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn next(&self) -> u64 {
        let mut known = self.known.lock();
        known.next += 1;
        known.next
    }

    pub(super) fn conversation(&self, what: What) -> Option<ConversationId> {
        let (What::Send(number)
        | What::Post(number)
        | What::Edit(number, _)
        | What::Delete(number, _)
        | What::React(number, ..)
        | What::Pin(number, ..)
        | What::Read(number)
        | What::Type(number)
        | What::Add(number, _)
        | What::Remove(number, _)
        | What::Leave(number)
        | What::Join(number)
        | What::Rename(number)
        | What::Close(number)
        | What::Archive(number, _)
        | What::Notify(number, _)
        | What::PinConversation(number, _)) = what
        else {
            return None;
        };
        let known = self.known.lock();
        let count = known.conversations.len();
        (count > 0).then(|| known.conversations[number % count])
    }

    /// A message that is known, and its first word; of one's own, where that is wanted.
    pub(super) fn message(
        &self,
        conversation: ConversationId,
        nth: usize,
        of: Option<usize>,
    ) -> Option<(MessageId, String)> {
        let known = self.known.lock();
        let here: Vec<_> = known
            .messages
            .iter()
            .filter(|(id, _, sender, _)| *id == conversation && of.is_none_or(|of| of == *sender))
            .collect();
        let (_, id, _, first) = here.get(nth % here.len().max(1))?;
        Some((*id, first.clone()))
    }
}
