//! Nobody who is gone is told to be there, and nobody who is there to be gone.

use super::{Kind, Log, Violation};

pub(super) fn check(log: &Log, found: &mut Vec<Violation>) {
    for seen in log.presence.iter().filter(|seen| seen.online != seen.expected) {
        let (told, is) = if seen.online { ("online", "gone") } else { ("offline", "connected") };
        let what = format!("{} tells them {told}, and they are {is} for longer than any lease", seen.by);
        found.push(Violation::new(Kind::GhostPresence, what).user(seen.user).at(seen.at));
    }
}
