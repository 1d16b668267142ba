//! Carries a plan out on a cluster and on the model, then compares everything that the server says with the model.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use protocol::{
    Changes, Conversation as Wire, ConversationId, Message as WireMessage, MessageId, MessageKind, Page, Participant,
    Role as WireRole, Unread,
};
use reqwest::Method;
use serde_json::{Value, json};
use starling_tests::{
    client::{Answer, Client, List, Rest, shared},
    cluster::{Cluster, Person},
};
use tokio::{task::JoinSet, time::timeout};

use super::{
    model::{Conversation, Role},
    plan::{Act, EMOJI, Link, Mentioned, PEOPLE, PLACES, Place, Step},
};

/// A plan that takes longer is stuck.
const LIMIT: Duration = Duration::from_mins(2);

/// A device, and the list that it began with.
struct Device {
    client: Client,
    list: List,
}

struct Run<'a> {
    cluster: &'a Cluster,
    people: Vec<Person>,
    ids: BTreeMap<Place, ConversationId>,
    model: BTreeMap<Place, Conversation>,
    messages: BTreeMap<(Place, u64), MessageId>,
    devices: BTreeMap<usize, Device>,
    /// Markers under way: the server may take a second to write one.
    marking: JoinSet<Result<()>>,
}

/// Carries the plan out; fails when the server does what the model does not.
pub(crate) async fn run(cluster: &Cluster, plan: &[Step]) -> Result<()> {
    timeout(LIMIT, async {
        let mut run = Run::start(cluster).await?;
        for (number, step) in plan.iter().enumerate() {
            run.step(number, step).await.with_context(|| format!("step {number}: {step:?}"))?;
        }
        run.compare().await
    })
    .await
    .with_context(|| format!("not done within {LIMIT:?}"))?
}

impl<'a> Run<'a> {
    async fn start(cluster: &'a Cluster) -> Result<Self> {
        let tag = uuid::Uuid::new_v4().simple().to_string();
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(cluster.person(&format!("p{number}{}", &tag[..20])).await?);
        }
        let others: Vec<_> = people[1..3].iter().collect();
        let ids = BTreeMap::from([
            (Place::Group, people[0].group("a group", &others).await?),
            (Place::Room, people[0].room(&format!("room {tag}")).await?),
            (Place::Direct, people[0].direct(&people[1]).await?),
        ]);
        let model = PLACES.iter().map(|place| (*place, Conversation::new(*place))).collect();
        let (messages, devices) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { cluster, people, ids, model, messages, devices, marking: JoinSet::new() })
    }

    /// Somebody's calls to one node.
    fn rest(&self, who: usize, node: usize) -> Rest {
        let nodes = self.cluster.rest_nodes();
        self.people[who].rest.at(nodes[node % nodes.len()].url())
    }

    async fn step(&mut self, number: usize, step: &Step) -> Result<()> {
        let Step { who, place, node, act } = step;
        let (who, place, here) = (*who, *place, self.ids[&step.place]);
        match act {
            Act::Connect { node } => return self.connect(who, *node).await,
            Act::Disconnect => {
                return match self.devices.get(&who) {
                    Some(device) => device.client.offline().await,
                    None => Ok(()),
                };
            }
            Act::Read { before } => return self.mark(who, place, *node, *before, true),
            Act::Delivered { before } => return self.mark(who, place, *node, *before, false),
            _ => {}
        }
        let rest = self.rest(who, *node);
        let Some((method, path, body)) = self.request(number, who, place, here, act) else { return Ok(()) };
        let answer = rest.call(method, &path, body, &[]).await?;
        let verdict = self.on_model(number, who, place, act, &answer);
        match verdict {
            Ok(()) => ensure!(answer.status.is_success(), "the server refused: {} {}", answer.status, answer.text),
            Err(why) => ensure!(
                answer.status.is_client_error(),
                "the model refuses ({why}), the server said {} {}",
                answer.status,
                answer.text
            ),
        }
        Ok(())
    }

    /// The text of the nth step.
    fn text(&self, number: usize, mention: Option<Mentioned>) -> String {
        match mention {
            None => format!("text {number}"),
            Some(Mentioned::All) => format!("text {number} for @all"),
            Some(Mentioned::One(who)) => format!("text {number} for @{}.", self.people[who].name),
        }
    }

    /// The call; none when there is no message yet that it could be about.
    fn request(
        &self,
        number: usize,
        who: usize,
        place: Place,
        here: ConversationId,
        act: &Act,
    ) -> Option<(Method, String, Option<Value>)> {
        let message = |number: &usize| {
            let at = self.model[&place].place_of(*number)?;
            self.messages.get(&(place, at))
        };
        let user = |who: &usize| self.people[*who].id;
        Some(match act {
            Act::Send { mention, link } => {
                let mut body = json!({"content": self.text(number, *mention)});
                match link {
                    Some(Link::Reply(target)) => body["reply_to_id"] = json!(message(target)?),
                    Some(Link::Thread(target)) => body["thread_root_id"] = json!(message(target)?),
                    None => {}
                }
                (Method::POST, format!("conversations/{here}/messages"), Some(body))
            }
            Act::Edit { message: target, mention } => {
                let body = json!({"content": self.text(number, *mention)});
                (Method::PATCH, format!("messages/{}", message(target)?), Some(body))
            }
            Act::Delete { message: target } => (Method::DELETE, format!("messages/{}", message(target)?), None),
            Act::React { message: target, emoji, add } => {
                let emoji = EMOJI[*emoji].bytes().fold(String::new(), |mut path, byte| {
                    // Writing to a String cannot fail.
                    let _ = write!(path, "%{byte:02X}");
                    path
                });
                let method = if *add { Method::PUT } else { Method::DELETE };
                (method, format!("messages/{}/reactions/{emoji}", message(target)?), None)
            }
            Act::Pin { message: target, pinned } => {
                let method = if *pinned { Method::PUT } else { Method::DELETE };
                (method, format!("messages/{}/pin", message(target)?), None)
            }
            Act::Join => (Method::POST, format!("conversations/{here}/join"), None),
            Act::Leave => (Method::POST, format!("conversations/{here}/leave"), None),
            Act::Add { whom } => {
                (Method::POST, format!("conversations/{here}/participants"), Some(json!({"user_ids": [user(whom)]})))
            }
            Act::Remove { whom } => (Method::DELETE, format!("conversations/{here}/participants/{}", user(whom)), None),
            Act::Role { whom, role } => (
                Method::PATCH,
                format!("conversations/{here}/participants/{}", user(whom)),
                Some(json!({"role": role})),
            ),
            Act::Mute { muted } => {
                let until = muted.then_some("2100-01-01T00:00:00.000Z");
                let body = json!({"muted_until": until});
                (Method::PATCH, format!("conversations/{here}/preferences"), Some(body))
            }
            Act::Archive { archived } => {
                (Method::PATCH, format!("conversations/{here}"), Some(json!({"archived": archived})))
            }
            Act::Read { .. } | Act::Delivered { .. } | Act::Connect { .. } | Act::Disconnect => {
                let _ = who;
                return None;
            }
        })
    }

    fn on_model(
        &mut self,
        number: usize,
        who: usize,
        place: Place,
        act: &Act,
        answer: &Answer,
    ) -> super::model::Verdict {
        let text = match act {
            Act::Send { mention, .. } | Act::Edit { mention, .. } => self.text(number, *mention),
            _ => String::new(),
        };
        let Some(model) = self.model.get_mut(&place) else { return Err("no such place") };
        let at = |model: &Conversation, number: usize| model.place_of(number).ok_or("no text yet");
        match act {
            Act::Send { mention, link } => {
                let reply = link.and_then(|link| if let Link::Reply(n) = link { model.place_of(n) } else { None });
                let thread = link.and_then(|link| if let Link::Thread(n) = link { model.place_of(n) } else { None });
                model.send(who, &text, *mention, reply, thread)?;
                let id = serde_json::from_value(answer.body["id"].clone()).map_err(|_| "an answer without an id")?;
                self.messages.insert((place, model.seq), id);
                Ok(())
            }
            Act::Edit { message, mention } => model.edit(who, at(model, *message)?, &text, *mention),
            Act::Delete { message } => model.delete(who, at(model, *message)?),
            Act::React { message, emoji, add } => model.react(who, at(model, *message)?, *emoji, *add),
            Act::Pin { message, pinned } => model.pin(who, at(model, *message)?, *pinned),
            Act::Join => model.join(who),
            Act::Leave => model.leave(who),
            Act::Add { whom } => model.add(who, *whom),
            Act::Remove { whom } => model.remove(who, *whom),
            Act::Role { whom, role } => model.set_role(who, *whom, Role::of(role)),
            Act::Mute { muted } => model.mute(who, *muted),
            Act::Archive { archived } => model.archive(who, *archived),
            Act::Read { .. } | Act::Delivered { .. } | Act::Connect { .. } | Act::Disconnect => Ok(()),
        }
    }

    fn mark(&mut self, who: usize, place: Place, node: usize, before: u64, read: bool) -> Result<()> {
        let Some(model) = self.model.get_mut(&place) else { bail!("no such place") };
        let seq = model.seq.saturating_sub(before);
        if model.mark(who, seq, read).is_err() {
            return Ok(());
        }
        let path = format!("conversations/{}/{}", self.ids[&place], if read { "read" } else { "delivered" });
        let rest = self.rest(who, node);
        self.marking.spawn(async move {
            let answer = rest.post(&path, json!({"seq": seq})).await?;
            // They may have left while it was on its way.
            let gone = matches!(answer.status.as_u16(), 403 | 404);
            ensure!(answer.status.is_success() || gone, "{path}: {} {}", answer.status, answer.text);
            Ok(())
        });
        Ok(())
    }

    async fn connect(&mut self, who: usize, node: usize) -> Result<()> {
        let node = &self.cluster.gateways[node % self.cluster.gateways.len()];
        if let Some(device) = self.devices.get(&who) {
            device.client.next_node(node.url());
            return device.client.online().await;
        }
        let client = self.people[who].connect_to(node).await?;
        let items: Page<Wire> = self.people[who].rest.get("conversations?limit=100").await?.ok()?;
        for item in &items.items {
            client.load(item.id).await?;
        }
        let list = List::new(self.people[who].id, items.items);
        self.devices.insert(who, Device { client, list });
        Ok(())
    }

    // ---- what the server says in the end

    async fn compare(&mut self) -> Result<()> {
        while let Some(marked) = self.marking.join_next().await {
            marked??;
        }
        for device in self.devices.values() {
            device.client.online().await?;
        }
        for who in 0..PEOPLE {
            self.compare_list(who).await.with_context(|| format!("the list of person {who}"))?;
            for place in PLACES {
                if self.model[&place].active(who).is_some() {
                    self.compare_conversation(who, place)
                        .await
                        .with_context(|| format!("{place:?} of person {who}"))?;
                }
            }
        }
        for (who, device) in &self.devices {
            self.compare_device(*who, device).await.with_context(|| format!("the device of person {who}"))?;
        }
        Ok(())
    }

    async fn compare_list(&self, who: usize) -> Result<()> {
        let page: Page<Wire> = self.rest(who, who).get("conversations?limit=100").await?.ok()?;
        let mut expected = Unread::default();
        let listed = page.items.iter().map(|item| item.id).collect::<Vec<_>>();
        let mine: Vec<_> = PLACES.into_iter().filter(|place| self.model[place].active(who).is_some()).collect();
        ensure!(listed.len() == mine.len(), "{listed:?} instead of {mine:?}");
        ensure!(
            page.items.windows(2).all(|pair| pair[0].last_activity_at >= pair[1].last_activity_at),
            "not by last activity"
        );
        for place in mine {
            let (id, model) = (self.ids[&place], &self.model[&place]);
            let item = page.items.iter().find(|item| item.id == id).with_context(|| format!("{place:?} is missing"))?;
            let row = model.active(who).context("takes part")?;
            let mentions = model.mentions(who);
            let last = model.messages.keys().next_back().copied();
            let said = (
                (item.last_seq, item.last_number, item.unread_count, item.mention_count, item.mention_seqs.clone()),
                (item.read_seq, item.read_number, item.role, item.archived_at.is_some(), item.muted_until.is_some()),
                (item.last_message.as_ref().map(|message| message.seq), item.participant_count),
            );
            let people = model.people.values().filter(|row| row.active).count() as u64;
            let meant = (
                (model.seq, model.number, model.unread(who), mentions.len() as u64, mentions.clone()),
                (row.read_seq, row.read_number, Some(wire_role(row.role)), model.archived, row.muted),
                (last, people),
            );
            ensure!(said == meant, "{place:?}: the server says {said:?}, the model {meant:?}");
            if let Some(other) =
                [1, 0].get(who).and_then(|other| model.active(*other)).filter(|_| place == Place::Direct)
            {
                let said = (item.other_read_seq, item.other_delivered_seq);
                let meant = (Some(other.read_seq), Some(other.delivered_seq));
                ensure!(said == meant, "the other's markers: the server says {said:?}, the model {meant:?}");
            }
            if !row.muted {
                expected.unread_count += model.unread(who);
                expected.conversation_count += u64::from(model.unread(who) > 0);
            }
            expected.mention_count += mentions.len() as u64;
        }
        let said: Unread = self.rest(who, who + 1).get("unread").await?.ok()?;
        let said = (said.unread_count, said.conversation_count, said.mention_count);
        let meant = (expected.unread_count, expected.conversation_count, expected.mention_count);
        ensure!(said == meant, "the badges: the server says {said:?}, the model {meant:?}");
        Ok(())
    }

    async fn compare_conversation(&self, who: usize, place: Place) -> Result<()> {
        let (id, model) = (self.ids[&place], &self.model[&place]);
        let rest = self.rest(who, who);
        let participants: Page<Participant> =
            rest.get(&format!("conversations/{id}/participants?limit=100")).await?.ok()?;
        for (number, person) in self.people.iter().enumerate() {
            let said = participants.items.iter().find(|participant| participant.user.id == person.id);
            let said = said.map(|row| (row.role, row.read_seq, row.delivered_seq));
            let meant = model.active(number).map(|row| (wire_role(row.role), row.read_seq, row.delivered_seq));
            ensure!(said == meant, "person {number}: the server says {said:?}, the model {meant:?}");
        }
        let page: Changes = rest.get(&format!("conversations/{id}/changes?after=0&limit=500")).await?.ok()?;
        ensure!(page.to == model.seq && !page.more, "changes lead to {} instead of {}", page.to, model.seq);
        ensure!(page.changes.windows(2).all(|pair| pair[0].seq < pair[1].seq), "changes are not ascending");
        let said: BTreeMap<_, _> = page.changes.into_iter().map(|change| (change.data.seq, change.data)).collect();
        ensure!(said.keys().eq(model.messages.keys()), "messages at {:?}", said.keys());
        for (seq, message) in &said {
            self.compare_message(who, place, *seq, message).with_context(|| format!("message {seq}: {message:?}"))?;
        }
        Ok(())
    }

    fn compare_message(&self, who: usize, place: Place, seq: u64, said: &WireMessage) -> Result<()> {
        let model = &self.model[&place];
        let meant = &model.messages[&seq];
        let system = said.kind == MessageKind::System;
        ensure!(
            (said.changed_seq, said.number, said.sender.id, system, &said.content)
                == (meant.changed, meant.number, self.people[meant.sender].id, meant.system, &meant.content),
            "the model has {meant:?}"
        );
        ensure!(
            (said.deleted_at.is_some(), said.edited_at.is_some(), said.pinned_at.is_some())
                == (meant.deleted, meant.edited, meant.pinned),
            "the model has {meant:?}"
        );
        let index = |id| self.people.iter().position(|person| person.id == id).context("a stranger");
        let mut mentions = Vec::new();
        for mention in &said.mentions {
            mentions.push(match &mention.user {
                Some(user) => Mentioned::One(index(user.id)?),
                None => Mentioned::All,
            });
        }
        ensure!(meant.mentions.iter().eq(&mentions), "mentions {mentions:?} instead of {:?}", meant.mentions);
        let mut reactions = Vec::new();
        for reaction in &said.reactions {
            let people = reaction.user_ids.iter().map(|id| index(*id)).collect::<Result<Vec<_>>>()?;
            ensure!(reaction.mine == Some(people.contains(&who)), "mine is {:?}", reaction.mine);
            reactions.push((reaction.emoji.as_str(), people));
        }
        // Two first uses within one millisecond may come in either order.
        reactions.sort_unstable();
        let mut expected: Vec<_> = meant.reactions.iter().map(|(emoji, people)| (*emoji, people.clone())).collect();
        expected.sort_unstable();
        for (_, people) in reactions.iter_mut().chain(&mut expected) {
            people.sort_unstable();
        }
        ensure!(reactions == expected, "reactions {reactions:?} instead of {expected:?}");
        let replies = said.thread.as_ref().map_or(0, |thread| thread.reply_count);
        ensure!(replies == model.replies(seq), "{replies} replies instead of {}", model.replies(seq));
        let root = meant.thread_root.and_then(|at| self.messages.get(&(place, at)).copied());
        ensure!(said.thread_root_id == root, "another thread than {root:?}");
        if let Some(at) = meant.reply_to {
            let quote = said.reply_to.as_ref().context("a reply without a quote")?;
            let quoted = &model.messages[&at];
            ensure!(
                (quote.seq, &quote.content, quote.deleted_at.is_some()) == (at, &quoted.content, quoted.deleted),
                "the quote is not {quoted:?}"
            );
        }
        Ok(())
    }

    async fn compare_device(&self, who: usize, device: &Device) -> Result<()> {
        let rest = &self.people[who].rest;
        for place in PLACES.into_iter().filter(|place| self.model[place].active(who).is_some()) {
            let (id, head) = (self.ids[&place], self.model[&place].seq);
            device.client.reaches(id, head).await?;
            let page: Changes = rest.get(&format!("conversations/{id}/changes?after=0&limit=500")).await?.ok()?;
            let truth: BTreeMap<_, _> =
                page.changes.into_iter().map(|change| (change.data.seq, shared(change.data))).collect();
            let shows = device.client.until("the device shows what is committed", |view| {
                (view.timelines.get(&id)?.messages == truth).then_some(())
            });
            shows
                .await
                .with_context(|| format!("{place:?}: {truth:#?}\n{:#?}", device.client.view().timelines.get(&id)))?;
        }
        let fresh: Page<Wire> = rest.get("conversations?limit=100").await?.ok()?;
        let mut differences = Vec::new();
        let right = device.client.until("the device's list is right from events alone", |view| {
            let mut list = device.list.clone();
            let applied = view.events.iter().try_for_each(|frame| list.apply(frame));
            differences = match applied {
                Ok(()) => list.differences(fresh.items.clone()),
                Err(error) => vec![format!("{error:#}")],
            };
            differences.is_empty().then_some(())
        });
        if let Err(error) = right.await {
            bail!("{error:#}\n{}", differences.join("\n"));
        }
        device.client.check()
    }
}

fn wire_role(role: Role) -> WireRole {
    match role {
        Role::Member => WireRole::Member,
        Role::Admin => WireRole::Admin,
        Role::Owner => WireRole::Owner,
    }
}
