//! Whoever wants to be connected is, after everything has settled.

use super::{DeviceLog, Happened, Kind, Log, Violation};

/// So many ends of connections are told.
const TOLD: usize = 4;

pub(super) fn check(log: &Log, found: &mut Vec<Violation>) {
    let Some(left_at) = log.left_at else { return };
    for (number, device) in log.devices.iter().enumerate().filter(|(_, device)| device.settled) {
        // What happens from then on is their leaving.
        let stayed = device.entries.partition_point(|entry| entry.at < left_at);
        if let Some(how) = absence(device, stayed) {
            let what = format!("a client that wants to be connected is not, after everything has settled: {how}");
            found.push(Violation::new(Kind::NotBack, what).user(device.user).device(number).at(left_at));
        }
    }
}

/// How its connections ended, when it has none that works after so many entries.
fn absence(device: &DeviceLog, entries: usize) -> Option<String> {
    let (mut open, mut live, mut ends) = (false, false, Vec::new());
    for entry in &device.entries[..entries] {
        match &entry.what {
            Happened::Opened => (open, live) = (true, false),
            Happened::Heard(frame) if frame["ref"] == "hello" => live = frame["ok"] == true,
            Happened::Closed(code) => {
                (open, live) = (false, false);
                ends.push(format!("{code} at {:.3} s", entry.at.as_secs_f64()));
            }
            _ => {}
        }
    }
    let last = ends[ends.len().saturating_sub(TOLD)..].join(", ");
    match (live, open) {
        (true, _) => None,
        (false, true) => Some(format!("its `hello` is not answered; {} before ended, with {last}", ends.len())),
        (false, false) => Some(format!("{} connections ended, the last with {last}", ends.len())),
    }
}
