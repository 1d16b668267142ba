//! What people may do, in random order.

use proptest::{collection::vec, option, prelude::*};

/// How many people take part in a plan; the first makes everything.
pub(crate) const PEOPLE: usize = 4;
/// Emoji that are used.
pub(crate) const EMOJI: [&str; 3] = ["👍", "🎉", "👩‍🚀"];

/// Where something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The first three people.
    Group,
    /// A public room of the first.
    Room,
    /// Of the first two.
    Direct,
}

/// All places.
pub(crate) const PLACES: [Place; 3] = [Place::Group, Place::Room, Place::Direct];

/// Who is mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mentioned {
    /// One, by name.
    One(usize),
    /// Everybody.
    All,
}

/// To what a message belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Link {
    /// It replies to this one.
    Reply(usize),
    /// It is in this one's thread.
    Thread(usize),
}

/// One thing that somebody does. Messages are numbers: which one it is, is found out when it is done.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send {
        mention: Option<Mentioned>,
        link: Option<Link>,
    },
    Edit {
        message: usize,
        mention: Option<Mentioned>,
    },
    Delete {
        message: usize,
    },
    React {
        message: usize,
        emoji: usize,
        add: bool,
    },
    Pin {
        message: usize,
        pinned: bool,
    },
    /// Up to so far before the head.
    Read {
        before: u64,
    },
    Delivered {
        before: u64,
    },
    Join,
    Leave,
    Add {
        whom: usize,
    },
    Remove {
        whom: usize,
    },
    Role {
        whom: usize,
        role: &'static str,
    },
    Mute {
        muted: bool,
    },
    Archive {
        archived: bool,
    },
    /// On this node; a second time: comes back there.
    Connect {
        node: usize,
    },
    Disconnect,
}

/// Who does what where, and which node is asked.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) who: usize,
    pub(crate) place: Place,
    pub(crate) node: usize,
    pub(crate) act: Act,
}

/// A whole plan.
pub(crate) fn plan() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..40)
}

fn step() -> impl Strategy<Value = Step> {
    let place = prop_oneof![4 => Just(Place::Group), 3 => Just(Place::Room), 2 => Just(Place::Direct)];
    (0..PEOPLE, place, 0..4usize, act()).prop_map(|(who, place, node, act)| Step { who, place, node, act })
}

fn act() -> impl Strategy<Value = Act> {
    let message = 0..32usize;
    prop_oneof![
        10 => (mention(), option::weighted(0.4, link())).prop_map(|(mention, link)| Act::Send { mention, link }),
        4 => (message.clone(), mention()).prop_map(|(message, mention)| Act::Edit { message, mention }),
        3 => message.clone().prop_map(|message| Act::Delete { message }),
        5 => (message.clone(), 0..EMOJI.len(), prop::bool::weighted(0.7))
            .prop_map(|(message, emoji, add)| Act::React { message, emoji, add }),
        2 => (message, any::<bool>()).prop_map(|(message, pinned)| Act::Pin { message, pinned }),
        4 => (0..6u64).prop_map(|before| Act::Read { before }),
        2 => (0..6u64).prop_map(|before| Act::Delivered { before }),
        4 => Just(Act::Join),
        2 => Just(Act::Leave),
        3 => (0..PEOPLE).prop_map(|whom| Act::Add { whom }),
        2 => (0..PEOPLE).prop_map(|whom| Act::Remove { whom }),
        2 => (0..PEOPLE, prop::sample::select(vec!["member", "admin", "owner"]))
            .prop_map(|(whom, role)| Act::Role { whom, role }),
        2 => any::<bool>().prop_map(|muted| Act::Mute { muted }),
        1 => prop::bool::weighted(0.4).prop_map(|archived| Act::Archive { archived }),
        4 => (0..4usize).prop_map(|node| Act::Connect { node }),
        2 => Just(Act::Disconnect),
    ]
}

fn mention() -> impl Strategy<Value = Option<Mentioned>> {
    option::weighted(0.4, prop_oneof![3 => (0..PEOPLE).prop_map(Mentioned::One), 1 => Just(Mentioned::All)])
}

fn link() -> impl Strategy<Value = Link> {
    (0..32usize, any::<bool>())
        .prop_map(|(message, reply)| if reply { Link::Reply(message) } else { Link::Thread(message) })
}
