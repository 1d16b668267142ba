//! What happens in one run: a setting, what people do when, and what goes wrong when. Drawn from one seed; plain data,
//! so that a failing plan can be made smaller piece by piece.

use std::time::Duration;

use chat::Protections;
use serde::{Deserialize, Serialize};

use super::{bus::BusFaults, store::StoreFaults, world::Setting};

/// Everything that a run does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How the world is.
    pub setting: Setting,
    /// Whose each device is, by number.
    pub devices: Vec<usize>,
    /// Whose each event stream is; steps count them after the devices.
    #[serde(default)]
    pub streams: Vec<usize>,
    /// How many people.
    pub people: usize,
    /// What they do, by time.
    pub steps: Vec<Step>,
    /// What goes wrong, by time.
    pub faults: Vec<Fault>,
    /// When the last fault is over and everything may settle.
    pub length: Duration,
}

/// One thing that somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// On which device, by number.
    pub device: usize,
    /// What. Conversations and messages are numbers too: of those that are known then, counted round.
    pub what: What,
}

/// What people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A text, over the socket.
    Send(usize),
    /// A text, over REST.
    Post(usize),
    /// An edit of one's own message.
    Edit(usize, usize),
    /// A deletion of one's own message.
    Delete(usize, usize),
    /// A reaction, given or taken back.
    React(usize, usize, bool),
    /// A pin, or none.
    Pin(usize, usize, bool),
    /// The read marker moves to the head that is known.
    Read(usize),
    /// Typing.
    Type(usize),
    /// A group with some of the others (a bit for each).
    Create(usize),
    /// Somebody is added.
    Add(usize, usize),
    /// Somebody is removed.
    Remove(usize, usize),
    /// One leaves.
    Leave(usize),
    /// A public room is joined.
    Join(usize),
    /// The title changes.
    Rename(usize),
    /// It is deleted, for everybody.
    Close(usize),
    /// It is archived, or not any more.
    Archive(usize, bool),
    /// What one wants to be told of in a conversation.
    Notify(usize, usize),
    /// And everywhere.
    NotifyEverywhere(usize),
    /// A conversation goes to the top of one's list, or back.
    PinConversation(usize, bool),
    /// Somebody is blocked, or not any more.
    Block(usize, bool),
    /// An announcement to the org.
    Announce,
    /// One's list of conversations is fetched, to be kept from events.
    List,
    /// The device says whether its person is there.
    Here(bool),
    /// One of one's sessions ends.
    Revoke(usize),
    /// All of one's sessions end.
    LogOut,
    /// The connection breaks.
    Break,
    /// The device is away for a while.
    Away(Duration),
    /// The device does not read for a while.
    Stall(Duration),
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// What.
    pub what: Wrong,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// kill -9 of a node; then it is started again.
    Kill(usize),
    /// SIGSTOP of a node.
    Pause(usize),
    /// SIGTERM of a node; then it is started again.
    Drain(usize),
    /// A node's connection to the bus breaks.
    CutBus(usize),
    /// Something on a node's way to the bus.
    Bus(usize, BusFaults),
    /// The bus's server ends and forgets.
    CrashBus,
    /// Something on a node's way to the store.
    Store(usize, StoreFaults),
    /// The store is away for all.
    CrashStore,
    /// A node's wall clock is off, milliseconds.
    Clock(usize, i64),
    /// A backup is made, and at the end of the fault the database is put back to it and has another epoch; for the last
    /// quarter of that time it is away. At most one in a plan.
    Restore,
}

impl Wrong {
    /// For tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill -9",
            Self::Pause(_) => "pause",
            Self::Drain(_) => "drain",
            Self::CutBus(_) => "bus connection cut",
            Self::Bus(_, faults) if faults.blackhole => "bus blackhole",
            Self::Bus(..) => "bus noise",
            Self::CrashBus => "bus crash",
            Self::Store(_, faults) if faults.down => "store out of reach",
            Self::Store(..) => "store noise",
            Self::CrashStore => "store crash",
            Self::Clock(..) => "clock step",
            Self::Restore => "restore from a backup",
        }
    }
}

impl Plan {
    /// The same with other protections.
    #[must_use]
    pub fn with_protections(mut self, protections: Protections) -> Self {
        self.setting.protections = protections;
        self
    }
}
