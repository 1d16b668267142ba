//! A session that was revoked hears nothing more, and only such a session is sent away for it.

use std::time::Duration;

use serde_json::Value;

use super::{DeviceLog, Happened, Kind, Log, Outcome, Violation, own::OwnAct, own::OwnDeed, own::SignedIn};

/// "Session revoked".
const REVOKED: u16 = 4501;

pub(super) fn check(log: &Log, found: &mut Vec<Violation>) {
    for (number, signed_in) in &log.own.sessions {
        let Some(device) = log.devices.get(*number) else { continue };
        let acts = || log.own.acts.iter().filter(|act| ends(act, device, signed_in));
        let done = |act: &&OwnAct| act.outcome == Outcome::Done(None) && act.at >= signed_in.at;
        let over = acts().filter(done).map(|act| act.until).min();
        let tell = |kind: Kind, at: Duration, what: String| {
            Violation::new(kind, what).user(device.user).device(*number).at(at)
        };
        let mut opened = Duration::ZERO;
        let mut told = false;
        for entry in &device.entries {
            match &entry.what {
                Happened::Opened => (opened, told) = (entry.at, false),
                Happened::Closed(REVOKED) if !acts().any(|act| act.at <= entry.at) => {
                    found.push(tell(Kind::Protocol, entry.at, "their session was over, and nobody ended it".into()));
                }
                Happened::Heard(frame) => {
                    let late = over.is_some_and(|over| opened > over);
                    if late || told && frame["user_seq"].is_null() {
                        let what = format!("`{}` came to a session that was revoked", frame["type"]);
                        found.push(tell(Kind::Leaked, entry.at, what));
                        break;
                    }
                    told |= is_end(frame, signed_in);
                }
                _ => {}
            }
        }
        let settled = log.quiet_since.filter(|quiet| over.is_some_and(|over| over < *quiet));
        if let Some(quiet) = settled
            && device.entries.iter().any(|entry| entry.at > quiet && matches!(entry.what, Happened::Heard(_)))
        {
            found.push(tell(Kind::Leaked, quiet, "a session that was revoked still hears".into()));
        }
    }
}

/// Whether this may have ended that session.
fn ends(act: &OwnAct, device: &DeviceLog, signed_in: &SignedIn) -> bool {
    act.user == device.user
        && act.until >= signed_in.at
        && matches!(act.deed, OwnDeed::Revoke(which) if which.is_none_or(|which| which == signed_in.session))
}

fn is_end(frame: &Value, signed_in: &SignedIn) -> bool {
    frame["type"] == "session.revoked" && frame["data"]["session_id"] == signed_in.session.to_string()
}
