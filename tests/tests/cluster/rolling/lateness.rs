//! How late each message is on each device, beside what the device itself accounts for: the time in which it had no
//! connection, or one that was still catching up.
//!
//! Late counts from the moment at which the first device has the message.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use protocol::{ConversationId, Message, Seq};
use starling_tests::{
    audit::{Entry, Happened},
    client::Client,
    stalls,
};

/// What a message may take beyond that, on a machine that does other things.
const ALLOWANCE: Duration = Duration::from_secs(1);
/// A reconnect that takes longer was kept waiting by somebody: clients of ours try again after 1.6 s at most.
const RECONNECT: Duration = Duration::from_secs(8);
/// Upper bounds of the histogram's rows, milliseconds.
const ROWS: [u128; 8] = [5, 20, 50, 100, 250, 500, 1_000, u128::MAX];

/// When what came to one device, and when it was not connected.
#[derive(Default)]
struct Device {
    /// Each step of the cursor: up to which seq, when.
    reached: Vec<(Seq, Duration)>,
    /// From the end of one connection to the end of the catching up of the next.
    away: Vec<(Duration, Duration)>,
}

impl Device {
    fn of(id: ConversationId, entries: &[Entry]) -> Self {
        let (mut device, mut gone) = (Self::default(), None);
        let id = id.to_string();
        for Entry { at, what } in entries {
            match what {
                Happened::Closed(_) => {
                    gone.get_or_insert(*at);
                }
                Happened::Heard(frame) => {
                    // The first reply of a connection is that to `hello`: everything before it has come.
                    if frame["type"] == "reply" {
                        device.away.extend(gone.take().map(|gone| (gone, *at)));
                    }
                    let seq = if frame["type"] == "changes" { &frame["to"] } else { &frame["seq"] };
                    if let (true, Some(seq)) = (frame["conversation_id"] == id, seq.as_u64()) {
                        device.reached.push((seq, *at));
                    }
                }
                Happened::Opened | Happened::Said(_) | Happened::Listed { .. } => {}
            }
        }
        device
    }

    fn has(&self, seq: Seq) -> Option<Duration> {
        self.reached.iter().find(|(reached, _)| *reached >= seq).map(|(_, at)| *at)
    }

    /// Of this time, how much it was away.
    fn away(&self, from: Duration, to: Duration) -> Duration {
        self.away.iter().map(|(gone, back)| (*back).min(to).saturating_sub((*gone).max(from))).sum()
    }
}

/// Prints how late messages were, and fails where that is more than a device's own absence and a little.
/// `start` is where the devices' logs begin. What this program stood still is nobody's absence, and no lateness either.
pub(super) fn ensure_none(
    id: ConversationId,
    truth: &BTreeMap<Seq, Message>,
    all: &[Client],
    start: Instant,
) -> Result<()> {
    let devices: Vec<_> = all.iter().map(|device| Device::of(id, &device.take_log())).collect();
    let (mut connected, mut moved, mut longest) = (Vec::new(), Vec::new(), Duration::ZERO);
    // Seq 1 is the beginning, which devices learn of in other ways.
    for seq in truth.keys().copied().filter(|seq| *seq > 1) {
        let came: Option<Vec<_>> = devices.iter().map(|device| device.has(seq)).collect();
        let came = came.with_context(|| format!("{seq} did not come to every device"))?;
        let first = came.iter().min().copied().context("no devices")?;
        for (number, (device, at)) in devices.iter().zip(came).enumerate() {
            let (late, away) = (at.saturating_sub(first), device.away(first, at));
            let stood = stalls::within(start + first, start + at);
            ensure!(
                late <= away + stood + ALLOWANCE,
                "{seq} was {late:?} late on device {number}, which was away for {away:?}; all stood still for {stood:?}"
            );
            if away.is_zero() {
                connected.push(late);
            } else {
                moved.push((late, away));
            }
            longest = longest.max(late.saturating_sub(stood));
        }
    }
    ensure!(!moved.is_empty(), "no message came while a device moved, so this proves nothing");
    println!("  how late messages were on devices that were connected ({}):", connected.len());
    histogram(&connected);
    let own: Vec<_> = moved.iter().map(|(late, away)| late.saturating_sub(*away)).collect();
    println!("  on devices that were moving ({}), beyond the time that this took them:", own.len());
    histogram(&own);
    ensure!(longest <= RECONNECT, "a device was without a connection for so long that a message was {longest:?} late");
    println!("  the latest of all came {longest:.0?} after the first device had it, to one that was moving");
    Ok(())
}

fn histogram(times: &[Duration]) {
    let mut from = 0;
    for to in ROWS {
        let count = times.iter().filter(|time| (from..to).contains(&time.as_millis())).count();
        if count > 0 {
            let share = count * 100 / times.len();
            let to = if to == u128::MAX { "…".to_owned() } else { format!("{to}") };
            println!("  {from:>5}–{to:<4} ms {count:>6} {}", "#".repeat(share.div_ceil(2).max(1)));
        }
        from = to;
    }
}
