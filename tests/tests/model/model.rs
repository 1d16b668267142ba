//! The reference: conversations as plain maps, and the rules in the fewest words. Knows nothing of nodes or time.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{EMOJI, Mentioned, Place};

/// A role, in ascending order of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Member,
    Admin,
    Owner,
}

impl Role {
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "owner" => Self::Owner,
            "admin" => Self::Admin,
            _ => Self::Member,
        }
    }
}

/// A message in its present state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) changed: u64,
    pub(crate) number: u64,
    pub(crate) sender: usize,
    pub(crate) system: bool,
    pub(crate) content: String,
    pub(crate) deleted: bool,
    pub(crate) edited: bool,
    pub(crate) pinned: bool,
    pub(crate) mentions: BTreeSet<Mentioned>,
    /// By first use, each with who reacted, in order.
    pub(crate) reactions: Vec<(&'static str, Vec<usize>)>,
    pub(crate) thread_root: Option<u64>,
    pub(crate) reply_to: Option<u64>,
}

/// Somebody in a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Participant {
    pub(crate) role: Role,
    pub(crate) active: bool,
    pub(crate) read_seq: u64,
    pub(crate) read_number: u64,
    pub(crate) delivered_seq: u64,
    pub(crate) muted: bool,
}

/// A conversation.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    place: Place,
    pub(crate) seq: u64,
    pub(crate) number: u64,
    pub(crate) archived: bool,
    /// By place.
    pub(crate) messages: BTreeMap<u64, Message>,
    pub(crate) people: BTreeMap<usize, Participant>,
}

/// What is done or refused. Refused things change nothing.
pub(crate) type Verdict = Result<(), &'static str>;

impl Conversation {
    /// As the first person makes it.
    pub(crate) fn new(place: Place) -> Self {
        let count = match place {
            Place::Group => 3,
            Place::Room => 1,
            Place::Direct => 2,
        };
        let mut made =
            Self { place, seq: 0, number: 0, archived: false, messages: BTreeMap::new(), people: BTreeMap::new() };
        made.system(0);
        for who in 0..count {
            let owner = who == 0 && place != Place::Direct;
            made.come(who, if owner { Role::Owner } else { Role::Member });
        }
        made
    }

    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn system(&mut self, sender: usize) {
        let seq = self.next();
        let message = Message { changed: seq, number: self.number, sender, system: true, ..Message::default() };
        self.messages.insert(seq, message);
    }

    fn come(&mut self, who: usize, role: Role) {
        let muted = self.people.get(&who).is_some_and(|row| row.muted);
        let (read_seq, read_number) = (self.seq, self.number);
        let row = Participant { role, active: true, read_seq, read_number, delivered_seq: read_seq, muted };
        self.people.insert(who, row);
    }

    pub(crate) fn active(&self, who: usize) -> Option<&Participant> {
        self.people.get(&who).filter(|row| row.active)
    }

    fn row(&mut self, who: usize) -> Result<&mut Participant, &'static str> {
        self.people.get_mut(&who).filter(|row| row.active).ok_or("does not take part")
    }

    fn count(&self) -> usize {
        self.people.values().filter(|row| row.active).count()
    }

    fn owners(&self) -> usize {
        self.people.values().filter(|row| row.active && row.role == Role::Owner).count()
    }

    /// Which text a number of a plan means: its place. None when there is no text yet.
    pub(crate) fn place_of(&self, number: usize) -> Option<u64> {
        let texts: Vec<_> = self.messages.iter().filter(|(_, message)| !message.system).map(|(seq, _)| *seq).collect();
        texts.get(number % texts.len().max(1)).copied()
    }

    fn found(&self, who: usize, mention: Option<Mentioned>) -> BTreeSet<Mentioned> {
        let admin = self.active(who).is_some_and(|row| row.role >= Role::Admin);
        let counts = |mention: &Mentioned| match mention {
            Mentioned::One(other) => self.active(*other).is_some(),
            Mentioned::All => admin && self.place != Place::Direct,
        };
        mention.into_iter().filter(counts).collect()
    }

    pub(crate) fn send(
        &mut self,
        who: usize,
        content: &str,
        mention: Option<Mentioned>,
        reply_to: Option<u64>,
        thread_root: Option<u64>,
    ) -> Verdict {
        self.row(who)?;
        if self.archived {
            return Err("archived");
        }
        if let Some(target) = reply_to.or(thread_root) {
            let target = &self.messages[&target];
            if target.system || target.deleted || (thread_root.is_some() && target.thread_root.is_some()) {
                return Err("not a message that one can answer");
            }
        }
        let mentions = self.found(who, mention);
        let seq = self.next();
        self.number += 1;
        let number = self.number;
        let content = content.to_owned();
        let message = Message {
            changed: seq,
            number,
            sender: who,
            content,
            mentions,
            reply_to,
            thread_root,
            ..Message::default()
        };
        self.messages.insert(seq, message);
        let row = self.row(who)?;
        (row.read_seq, row.read_number, row.delivered_seq) = (seq, number, seq);
        Ok(())
    }

    pub(crate) fn edit(&mut self, who: usize, at: u64, content: &str, mention: Option<Mentioned>) -> Verdict {
        self.row(who)?;
        let mut mentions = self.found(who, mention);
        let message = &self.messages[&at];
        // Who was mentioned and has left stays mentioned where the text still names them.
        let stays = |mention: &Mentioned| matches!(mention, Mentioned::One(_)) && message.mentions.contains(mention);
        mentions.extend(mention.filter(stays));
        if message.system || message.sender != who || message.deleted || self.archived {
            return Err("not one's own text, or too late");
        }
        let seq = self.next();
        if let Some(message) = self.messages.get_mut(&at) {
            content.clone_into(&mut message.content);
            (message.changed, message.edited, message.mentions) = (seq, true, mentions);
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, who: usize, at: u64) -> Verdict {
        let moderates = self.row(who)?.role >= Role::Admin && self.place != Place::Direct;
        let message = &self.messages[&at];
        if message.system || (message.sender != who && !moderates) {
            return Err("not one's own text");
        }
        if message.deleted {
            return Ok(());
        }
        let seq = self.next();
        if let Some(message) = self.messages.get_mut(&at) {
            *message = Message {
                changed: seq,
                content: String::new(),
                deleted: true,
                pinned: false,
                mentions: BTreeSet::new(),
                reactions: Vec::new(),
                ..message.clone()
            };
        }
        Ok(())
    }

    pub(crate) fn react(&mut self, who: usize, at: u64, emoji: usize, add: bool) -> Verdict {
        self.row(who)?;
        let message = &self.messages[&at];
        if message.system || message.deleted || self.archived {
            return Err("not a message that one can react to");
        }
        let emoji = EMOJI[emoji];
        let there = message.reactions.iter().any(|(other, people)| *other == emoji && people.contains(&who));
        if there == add {
            return Ok(());
        }
        let seq = self.next();
        let Some(message) = self.messages.get_mut(&at) else { return Ok(()) };
        message.changed = seq;
        match message.reactions.iter_mut().find(|(other, _)| *other == emoji) {
            Some((_, people)) if add => people.push(who),
            Some((_, people)) => people.retain(|other| *other != who),
            None => message.reactions.push((emoji, vec![who])),
        }
        message.reactions.retain(|(_, people)| !people.is_empty());
        Ok(())
    }

    pub(crate) fn pin(&mut self, who: usize, at: u64, pinned: bool) -> Verdict {
        let admin = self.row(who)?.role >= Role::Admin || self.place == Place::Direct;
        let message = &self.messages[&at];
        if message.system || message.deleted || self.archived || !admin {
            return Err("not a message that one can pin");
        }
        if message.pinned == pinned {
            return Ok(());
        }
        let seq = self.next();
        if let Some(message) = self.messages.get_mut(&at) {
            (message.changed, message.pinned) = (seq, pinned);
        }
        Ok(())
    }

    pub(crate) fn mark(&mut self, who: usize, seq: u64, read: bool) -> Verdict {
        let seq = seq.min(self.seq);
        let number = self.messages.range(..=seq).next_back().map_or(0, |(_, message)| message.number);
        let row = self.row(who)?;
        row.delivered_seq = row.delivered_seq.max(seq);
        if read && seq > row.read_seq {
            row.read_seq = seq;
            row.read_number = row.read_number.max(number);
        }
        Ok(())
    }

    pub(crate) fn join(&mut self, who: usize) -> Verdict {
        if self.place != Place::Room {
            return Err("not a room");
        }
        if self.active(who).is_none() {
            let role = if self.count() == 0 { Role::Owner } else { Role::Member };
            self.come(who, role);
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self, who: usize) -> Verdict {
        let owner = self.row(who)?.role == Role::Owner;
        if self.place == Place::Direct || (owner && self.owners() == 1 && self.count() > 1) {
            return Err("cannot leave");
        }
        self.row(who)?.active = false;
        if self.place == Place::Group {
            self.system(who);
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, who: usize, whom: usize) -> Verdict {
        let admin = self.row(who)?.role >= Role::Admin;
        if self.place != Place::Group || !admin {
            return Err("may not add");
        }
        if self.active(whom).is_none() {
            self.system(who);
            self.come(whom, Role::Member);
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, who: usize, whom: usize) -> Verdict {
        if who == whom {
            return self.leave(who);
        }
        let role = self.row(who)?.role;
        let target = self.people.get(&whom);
        let wanted = if target.is_some_and(|row| row.role > Role::Member) { Role::Owner } else { Role::Admin };
        if self.place == Place::Direct || role < wanted || target.is_none() {
            return Err("may not remove");
        }
        if self.active(whom).is_some() {
            self.row(whom)?.active = false;
            self.system(who);
        }
        Ok(())
    }

    pub(crate) fn set_role(&mut self, who: usize, whom: usize, role: Role) -> Verdict {
        let owner = self.row(who)?.role == Role::Owner;
        if self.place == Place::Direct || !owner {
            return Err("may not");
        }
        let before = self.row(whom)?.role;
        if before == Role::Owner && role != Role::Owner && self.owners() == 1 {
            return Err("the last owner");
        }
        if before != role {
            self.row(whom)?.role = role;
            self.system(who);
        }
        Ok(())
    }

    pub(crate) fn mute(&mut self, who: usize, muted: bool) -> Verdict {
        self.row(who)?.muted = muted;
        Ok(())
    }

    pub(crate) fn archive(&mut self, who: usize, archived: bool) -> Verdict {
        let admin = self.row(who)?.role >= Role::Admin;
        if self.place == Place::Direct || !admin {
            return Err("may not archive");
        }
        if self.archived != archived {
            self.archived = archived;
            self.system(who);
        }
        Ok(())
    }

    /// Messages after the read marker.
    pub(crate) fn unread(&self, who: usize) -> u64 {
        self.active(who).map_or(0, |row| self.number - row.read_number)
    }

    /// Mentions after the read marker.
    pub(crate) fn mentions(&self, who: usize) -> Vec<u64> {
        let Some(row) = self.active(who) else { return Vec::new() };
        let after = self.messages.range(row.read_seq + 1..);
        let mine = after.filter(|(_, message)| {
            let named = message.mentions.contains(&Mentioned::One(who)) || message.mentions.contains(&Mentioned::All);
            message.sender != who && named
        });
        mine.map(|(seq, _)| *seq).collect()
    }

    /// Replies of a thread, deleted ones included.
    pub(crate) fn replies(&self, root: u64) -> u64 {
        self.messages.values().filter(|message| message.thread_root == Some(root)).count() as u64
    }
}
