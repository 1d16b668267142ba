//! One connection through the proxy: two pumps, each of which reads, filters, and writes when it is time.
//!
//! Promises that bytes which pass do so in order, and that each end learns of the other's end, where the direction
//! to it is alive.

use std::{io, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::{Bytes, BytesMut};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Protocol, Shared,
    commit::{Answers, Losing, Requests},
    faults::{Direction, Faults, Flow},
    messages::{Filter as MessageFilter, Side},
};

/// Read at once.
const CHUNK: usize = 16 * 1024;
/// Reads that wait to be written; more stay in the sender's buffers.
const QUEUE: usize = 256;
/// A throttled direction writes so often.
const TICK: Duration = Duration::from_millis(20);

pub(super) struct Link<'a> {
    shared: &'a Shared,
    number: u64,
    faults: watch::Receiver<Faults>,
    losing: Losing,
}

impl<'a> Link<'a> {
    pub(super) fn new(shared: &'a Shared, number: u64, faults: watch::Receiver<Faults>) -> Self {
        Self { shared, number, faults, losing: Losing::default() }
    }

    /// Serves it until both directions ended, or one of them broke.
    pub(super) async fn run(self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        if self.faults.borrow().to_server == Flow::Swallow {
            return self.swallow(client).await;
        }
        let Ok(mut server) = TcpStream::connect(self.shared.upstream).await else {
            self.shared.counters.unreachable.fetch_add(1, Relaxed);
            // Reset, as by a port where nothing listens; an orderly end would look like a server that hangs up.
            return client.set_zero_linger();
        };
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let up = self.pump(Direction::ToServer, from_client, to_server);
        let down = self.pump(Direction::ToClient, from_server, to_client);
        let outcome = tokio::try_join!(up, down).map(drop);
        if self.losing.goes_down() {
            // Before the connection ends, or its client could try again in between.
            self.shared.down(Some(self.number));
        }
        outcome
    }

    /// A connection that never reaches the server.
    async fn swallow(&self, mut client: TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = client.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            self.shared.counters.swallowed.fetch_add(read as u64, Relaxed);
        }
    }

    async fn pump(&self, direction: Direction, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::try_join!(self.read(direction, from, queue), self.write(direction, to, waiting)).map(drop)
    }

    /// Reads to the end of the stream. Ends without passing that on when the direction is dead.
    async fn read(
        &self,
        direction: Direction,
        mut from: ReadHalf<'_>,
        queue: mpsc::Sender<(Instant, Bytes)>,
    ) -> io::Result<()> {
        let mut faults = self.faults.clone();
        let mut filter = self.filter(direction);
        let mut clock = Clock::new(self.number, direction);
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let mut lost = false;
        loop {
            let flow = faults.borrow_and_update().of(direction);
            if flow == Flow::Stall && !lost {
                changed(&mut faults).await;
                continue;
            }
            let (due, holds) = (filter.due(), filter.due().is_some());
            let read = tokio::select! {
                biased;
                () = changed(&mut faults) => continue,
                read = from.read_buf(&mut buffer) => Some(read?),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if holds => None,
            };
            let swallowing = lost || flow == Flow::Swallow;
            let passing = match read {
                Some(read) if swallowing => {
                    self.shared.counters.swallowed.fetch_add(read as u64, Relaxed);
                    buffer.clear();
                    lost |= read > 0;
                    if read == 0 {
                        // The end is swallowed too: who is at the other end learns of nothing.
                        return std::future::pending().await;
                    }
                    continue;
                }
                Some(0) => {
                    let rest = filter.end();
                    // The writer is gone only when writing failed, and then that is the outcome.
                    let _ = queue.send((clock.stamp(flow), rest)).await;
                    return Ok(());
                }
                Some(_) => filter.pass(buffer.split())?,
                None => filter.release(),
            };
            if !passing.is_empty() && queue.send((clock.stamp(flow), passing)).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Writes what waits, each at its time, and then ends the stream.
    async fn write(
        &self,
        direction: Direction,
        mut to: WriteHalf<'_>,
        mut waiting: mpsc::Receiver<(Instant, Bytes)>,
    ) -> io::Result<()> {
        let counters = &self.shared.counters;
        let counter = if direction == Direction::ToServer { &counters.to_server } else { &counters.to_client };
        while let Some((at, mut bytes)) = waiting.recv().await {
            sleep_until(at).await;
            while !bytes.is_empty() {
                let piece = match self.faults.borrow().of(direction) {
                    Flow::Throttle { bytes_per_second } => {
                        let most = bytes_per_second as usize * TICK.as_millis() as usize / 1_000;
                        Some(bytes.split_to(most.clamp(1, bytes.len())))
                    }
                    _ => None,
                };
                let throttled = piece.is_some();
                let piece = piece.unwrap_or_else(|| std::mem::take(&mut bytes));
                to.write_all(&piece).await?;
                counter.fetch_add(piece.len() as u64, Relaxed);
                if throttled {
                    sleep(TICK).await;
                }
            }
        }
        to.shutdown().await
    }

    fn filter(&self, direction: Direction) -> Filter<'_> {
        let Shared { protocol, published, pushed, commits, .. } = self.shared;
        match (protocol, direction) {
            (Protocol::Bytes, _) => Filter::None,
            (Protocol::Redis, Direction::ToServer) => Filter::Messages(MessageFilter::new(Side::Publish, published)),
            (Protocol::Redis, Direction::ToClient) => Filter::Messages(MessageFilter::new(Side::Push, pushed)),
            (Protocol::Postgres, Direction::ToServer) => Filter::Requests(Requests::new(commits, &self.losing)),
            (Protocol::Postgres, Direction::ToClient) => Filter::Answers(Answers::new(&self.losing)),
        }
    }
}

/// Waits until the faults change; for ever when they cannot any more, as the connection is about to be cut then.
async fn changed(faults: &mut watch::Receiver<Faults>) {
    if faults.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What is done to the bytes of a direction that passes.
enum Filter<'a> {
    None,
    Messages(MessageFilter<'a>),
    Requests(Requests<'a>),
    Answers(Answers<'a>),
}

impl Filter<'_> {
    /// What passes of these bytes, and of what was held; an error cuts the connection.
    fn pass(&mut self, bytes: BytesMut) -> io::Result<Bytes> {
        match self {
            Self::None => Ok(bytes.freeze()),
            Self::Messages(filter) => Ok(filter.pass(&bytes)),
            Self::Requests(filter) => filter.pass(&bytes),
            Self::Answers(filter) => filter.pass(bytes),
        }
    }

    /// When [`Filter::release`] should be asked.
    fn due(&self) -> Option<Instant> {
        match self {
            Self::Messages(filter) => filter.due(),
            _ => None,
        }
    }

    /// What was held back long enough.
    fn release(&mut self) -> Bytes {
        match self {
            Self::Messages(filter) => filter.release(),
            _ => Bytes::new(),
        }
    }

    /// What is left at the end of the stream.
    fn end(&mut self) -> Bytes {
        match self {
            Self::Messages(filter) => filter.end(),
            Self::Requests(filter) => filter.end(),
            Self::None | Self::Answers(_) => Bytes::new(),
        }
    }
}

/// When what was read may be written: never before what was read earlier.
struct Clock {
    /// Of the seed it was made from.
    draws: Option<(u64, StdRng)>,
    salt: u64,
    last: Instant,
}

impl Clock {
    fn new(number: u64, direction: Direction) -> Self {
        let salt = number * 2 + u64::from(direction == Direction::ToClient);
        Self { draws: None, salt, last: Instant::now() }
    }

    fn stamp(&mut self, flow: Flow) -> Instant {
        let mut at = Instant::now();
        if let Flow::Delay { base, jitter, seed } = flow {
            if self.draws.as_ref().is_none_or(|(of, _)| *of != seed) {
                self.draws = Some((seed, StdRng::seed_from_u64(seed ^ self.salt.rotate_left(32))));
            }
            if let Some((_, draws)) = &mut self.draws {
                at += base + draws.random_range(Duration::ZERO..=jitter);
            }
        }
        self.last = self.last.max(at);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_drawn_from_the_seed_and_never_change_the_order() {
        let flow = Flow::Delay { base: Duration::from_secs(1), jitter: Duration::from_secs(5), seed: 7 };
        let draw = |number, seed| {
            let mut clock = Clock::new(number, Direction::ToServer);
            clock.stamp(Flow::Delay { base: Duration::ZERO, jitter: Duration::ZERO, seed });
            clock.draws.unwrap().1.random::<u64>()
        };
        assert_eq!(draw(1, 7), draw(1, 7));
        assert_ne!(draw(1, 7), draw(2, 7));
        assert_ne!(draw(1, 7), draw(1, 8));
        let mut clock = Clock::new(1, Direction::ToClient);
        let start = Instant::now();
        let mut times: Vec<_> = (0..50).map(|_| clock.stamp(flow)).collect();
        times.push(clock.stamp(Flow::Pass));
        assert!(times.is_sorted() && times[0] >= start + Duration::from_secs(1), "{times:?}");
    }
}
