//! A TCP proxy that breaks what passes through it: between a node and its Redis or its Postgres.
//!
//! Below the protocols it cuts, refuses, delays, swallows, stalls and throttles, each direction by itself, for all
//! connections or for new ones, and back again at run time. Of Redis it knows messages (dropped, repeated, swapped),
//! of Postgres the COMMIT (its answer lost, or itself). Everything else passes byte by byte. It does no TLS. Ours,
//! because the crates there are do not fit: `noxious` (a Toxiproxy) stops at bytes, `toxiproxy_rust` steers a program
//! in another language, and `turmoil` wants the simulated network of one process, where ours are real processes.

mod commit;
mod faults;
mod link;
mod messages;
mod resp;

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::AbortHandle,
};

pub use self::{
    commit::CommitFault,
    faults::{Direction, Faults, Flow},
    messages::MessageFaults,
};
use self::{commit::Commits, link::Link, messages::Messages};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 256;

/// What the proxy understands of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Bytes,
    Redis,
    Postgres,
}

/// A listener on 127.0.0.1 and the connections through it; both end when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    /// Bound and never listening: the port stays ours while the proxy refuses, and the kernel refuses for us.
    _claim: TcpSocket,
}

struct Shared {
    upstream: SocketAddr,
    protocol: Protocol,
    /// None while the proxy refuses.
    accepting: Mutex<Option<AbortHandle>>,
    /// What a new connection suffers.
    faults: Mutex<Faults>,
    connections: Mutex<HashMap<u64, Connection>>,
    /// To the server: of all connections together.
    published: Mutex<Messages>,
    /// To clients.
    pushed: Mutex<Messages>,
    commits: Mutex<Commits>,
    counters: Counters,
}

struct Connection {
    faults: watch::Sender<Faults>,
    task: AbortHandle,
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    unreachable: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
    swallowed: AtomicU64,
}

/// What passed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Of these, how many are open now.
    pub open: u64,
    /// Of these, how many were closed again because the server could not be reached.
    pub unreachable: u64,
    /// Bytes passed on to the server, filters applied.
    pub to_server: u64,
    /// Bytes passed on to clients, filters applied.
    pub to_client: u64,
    /// Bytes that went nowhere.
    pub swallowed: u64,
    /// Redis: messages that clients published, those of a fault included.
    pub published: u64,
    /// Redis: messages that the server pushed to subscribers, those of a fault included.
    pub pushed: u64,
    /// Redis: messages that a fault dropped, in either direction.
    pub dropped: u64,
    /// Redis: messages that a fault repeated.
    pub duplicated: u64,
    /// Redis: messages that a fault put after the one behind them.
    pub reordered: u64,
    /// Postgres: COMMITs seen.
    pub commits: u64,
    /// Postgres: COMMITs that a fault met.
    pub broken_commits: u64,
}

impl Proxy {
    /// To the Redis at this port of 127.0.0.1.
    pub fn redis(port: u16) -> Result<Self> {
        Self::start(port, Protocol::Redis)
    }

    /// To the Postgres at this port of 127.0.0.1.
    pub fn postgres(port: u16) -> Result<Self> {
        Self::start(port, Protocol::Postgres)
    }

    /// To whatever is at this port of 127.0.0.1.
    pub fn bytes(port: u16) -> Result<Self> {
        Self::start(port, Protocol::Bytes)
    }

    fn start(upstream: u16, protocol: Protocol) -> Result<Self> {
        let claim = socket(0)?;
        let port = claim.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream: local(upstream),
            protocol,
            accepting: Mutex::default(),
            faults: Mutex::default(),
            connections: Mutex::default(),
            published: Mutex::default(),
            pushed: Mutex::default(),
            commits: Mutex::default(),
            counters: Counters::default(),
        });
        let proxy = Self { shared, port, _claim: claim };
        proxy.accept()?;
        Ok(proxy)
    }

    /// Where clients connect to, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    // ---- below the protocols

    /// From now on every connection, old or new, suffers this in both directions.
    pub fn set(&self, flow: Flow) {
        self.set_faults(Faults { to_server: flow, to_client: flow });
    }

    /// From now on every connection, old or new, suffers this in one direction, and the other passes: half-open.
    pub fn set_one(&self, direction: Direction, flow: Flow) {
        self.set_faults(Faults::one(direction, flow));
    }

    /// From now on every connection, old or new, suffers this.
    pub fn set_faults(&self, faults: Faults) {
        // Held while the connections are told: one that is being accepted is told as well, or starts with these.
        let mut default = self.shared.faults.lock();
        *default = faults;
        for connection in self.shared.connections.lock().values() {
            connection.faults.send_replace(faults);
        }
    }

    /// Only connections that are made from now on suffer this.
    pub fn set_for_new(&self, faults: Faults) {
        *self.shared.faults.lock() = faults;
    }

    /// Cuts every connection now. New ones are accepted, unless the proxy refuses.
    pub fn cut(&self) {
        self.shared.cut(None);
    }

    /// Refuses new connections, as a port does where nothing listens. Those that are open go on.
    pub fn refuse(&self) {
        self.shared.refuse();
    }

    /// The server is gone, as far as clients can tell: connections are cut and new ones refused.
    pub fn down(&self) {
        self.shared.down(None);
    }

    /// Ends every fault. A connection that lost bytes stays dead, as it would be: the stream has a hole. Its ends
    /// have to find out.
    pub fn heal(&self) -> Result<()> {
        self.publishes(MessageFaults::default());
        self.pushes(MessageFaults::default());
        self.shared.commits.lock().arm(None);
        self.set_faults(Faults::default());
        self.accept()
    }

    // ---- within the protocols

    /// Redis: faults of what clients publish, each n-th of all connections together.
    pub fn publishes(&self, faults: MessageFaults) {
        self.shared.published.lock().set(faults);
    }

    /// Redis: faults of what the server pushes to subscribers.
    pub fn pushes(&self, faults: MessageFaults) {
        self.shared.pushed.lock().set(faults);
    }

    /// Postgres: breaks the connection at the `nth` COMMIT from now on (1: the next), once.
    pub fn break_commit(&self, nth: u64, fault: CommitFault) {
        self.shared.commits.lock().arm(Some((nth, fault)));
    }

    // ---- looking

    /// What passed so far.
    pub fn counts(&self) -> Counts {
        let Shared { counters, published, pushed, commits, connections, .. } = &*self.shared;
        let open = connections.lock().len() as u64;
        let (published, pushed, commits) = (published.lock().counts(), pushed.lock().counts(), commits.lock().counts());
        Counts {
            accepted: counters.accepted.load(Relaxed),
            open,
            unreachable: counters.unreachable.load(Relaxed),
            to_server: counters.to_server.load(Relaxed),
            to_client: counters.to_client.load(Relaxed),
            swallowed: counters.swallowed.load(Relaxed),
            published: published.seen,
            pushed: pushed.seen,
            dropped: published.dropped + pushed.dropped,
            duplicated: published.duplicated + pushed.duplicated,
            reordered: published.reordered + pushed.reordered,
            commits: commits.seen,
            broken_commits: commits.broken,
        }
    }

    // ---- its listener

    fn accept(&self) -> Result<()> {
        let mut accepting = self.shared.accepting.lock();
        // An aborted task gives its listener back a moment later; the port can be shared that long.
        if accepting.as_ref().is_none_or(AbortHandle::is_finished) {
            let listener = socket(self.port)?.listen(BACKLOG).context("a proxy cannot listen")?;
            *accepting = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))).abort_handle());
        }
        Ok(())
    }
}

impl Shared {
    fn refuse(&self) {
        if let Some(task) = self.accepting.lock().take() {
            task.abort();
        }
    }

    /// Cuts all connections but this one.
    fn cut(&self, but: Option<u64>) {
        let connections = self.connections.lock();
        let others = connections.iter().filter(|(number, _)| but != Some(**number));
        let tasks: Vec<_> = others.map(|(_, connection)| connection.task.clone()).collect();
        drop(connections);
        tasks.iter().for_each(AbortHandle::abort);
    }

    fn down(&self, but: Option<u64>) {
        self.refuse();
        self.cut(but);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.down();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("port", &self.port)
            .field("upstream", &self.shared.upstream)
            .field("faults", &*self.shared.faults.lock())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A bound socket that shares its port with others of ours.
fn socket(port: u16) -> Result<TcpSocket> {
    let bind = || -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(local(port))?;
        Ok(socket)
    };
    bind().with_context(|| format!("a proxy cannot have port {port}"))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // What went wrong with one connection (it was closed at once, say) is not the next one's business.
        let Ok((client, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let number = shared.counters.accepted.fetch_add(1, Relaxed);
        // In this order, as [`Proxy::set_faults`]: a change either comes before, or is told.
        let default = shared.faults.lock();
        let (faults, suffered) = watch::channel(*default);
        let mut connections = shared.connections.lock();
        let entry = Entry { shared: Arc::clone(&shared), number };
        let task = tokio::spawn(serve(entry, client, suffered));
        connections.insert(number, Connection { faults, task: task.abort_handle() });
    }
}

/// Serves one connection to its end.
async fn serve(entry: Entry, client: TcpStream, faults: watch::Receiver<Faults>) {
    let link = Link::new(&entry.shared, entry.number, faults);
    // How it ends is what clients and servers do, not a failure of the proxy.
    let _ = link.run(client).await;
}

/// Takes a connection off the list, however it ends.
struct Entry {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.connections.lock().remove(&self.number);
    }
}
