//! Listening sockets and HTTP/1.1 on them. HTTP/2 is for the load balancer in front; WebSockets need 1.1.
//!
//! Promises that a peer which takes nothing of what was sent to it, dead or alive, costs the kernel a socket for
//! [`Patience`] and no longer, whoever closes.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    task::yield_now,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{Failure, config::Address};

/// Connections that wait to be accepted: everybody comes back at once when another node dies.
const BACKLOG: u32 = 4_096;

/// How long a connection may take to send a request's head, and how long it may rest between requests. Longer than
/// a proxy keeps its idle connections (60 s in nginx): the proxy must be the one that closes, or a request
/// that it sends at that moment is lost.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// So many connections are accepted in a row; then it is others' turn: each brings a handshake's work, and the events
/// of those who are connected wait behind it.
const IN_A_ROW: u32 = 8;

/// A connection that was kept open is served for so long after the listener was closed. A proxy may just have sent a call
/// on it: closed at once, that call would be lost, and a POST is not sent again by who cannot know whether it was
/// done. Each answer says meanwhile that it is the connection's last, so that those in use run dry; what crosses the end
/// of one that stayed idle for all of this time is still lost. Within the time that the node gives last requests.
const LINGER: Duration = Duration::from_secs(1);

/// After a failure to accept (no file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on an address; `key` is the setting that a failure names.
pub async fn bind(key: &str, address: &Address) -> Result<TcpListener, Failure> {
    let mend = "choose another address; port 0 picks a free one";
    let shown = format!("{}:{}", address.host, address.port);
    let found = lookup_host((address.host.as_str(), address.port)).await;
    let all: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    let mut failure = Failure::configuration(key, format_args!("{:?} is no host here", address.host), mend);
    for candidate in all {
        match listen(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let what = format!("{shown} is in use by another process");
                failure = Failure::configuration(key, what, format_args!("stop it, or {mend}"));
            }
            Err(error) => {
                failure = Failure::configuration(key, format_args!("cannot listen on {shown}: {error}"), mend);
            }
        }
    }
    Err(failure)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the kernel to forget the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How long what was sent may lie in the kernel without the peer taking any of it, before the connection is broken off.
/// Counts for a socket that was closed here as well: without it the kernel keeps the rest of what a slow reader was
/// sent, and the socket, for minutes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience(Duration);

impl Patience {
    /// For clients with these heartbeats: who takes no two of them is gone.
    pub(super) fn of(heartbeat: Duration) -> Self {
        Self(heartbeat * 2)
    }

    /// Where the system cannot bound it, its own bound stays.
    #[cfg(target_os = "linux")]
    fn apply(self, stream: &TcpStream) {
        use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
        let millis = u32::try_from(self.0.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = setsockopt(stream, TcpUserTimeout, &millis) {
            tracing::debug!(%error, "this system does not bound what nobody takes");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn apply(self, _: &TcpStream) {}
}

/// Accepts until `stop`; then closes the listener and lets each connection finish the request it is in, or one more that
/// comes within a second ([`LINGER`]). The connections' tasks are in `tracker`; sockets that were upgraded are not.
pub(super) async fn accept(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    stop: CancellationToken,
    tracker: TaskTracker,
) {
    let mut in_a_row = 0;
    loop {
        if in_a_row == IN_A_ROW {
            in_a_row = 0;
            yield_now().await;
        }
        in_a_row += 1;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let stream = prepared(stream, patience);
                tracker.spawn(connection(stream, peer, router.clone(), stop.clone()));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Those that the kernel accepted already: closing the listener would reset them.
    while let Poll::Ready(Ok((stream, peer))) = listener.poll_accept(&mut Context::from_waker(Waker::noop())) {
        let stream = prepared(stream, patience);
        tracker.spawn(connection(stream, peer, router.clone(), stop.clone()));
    }
}

fn prepared(stream: TcpStream, patience: Patience) -> TcpStream {
    patience.apply(&stream);
    // Without it, small events wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    stream
}

async fn connection<S>(stream: S, peer: SocketAddr, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ending = stop.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answering, ending) = (router.clone().oneshot(request), ending.clone());
        async move {
            let mut answer = answering.await?;
            if ending.is_cancelled() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(serving);
    let lingered = async {
        stop.cancelled().await;
        sleep(LINGER).await;
    };
    let ended = tokio::select! {
        biased;
        ended = serving.as_mut() => ended,
        () = lingered => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection failed");
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    const CALL: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// A connection of a node, which ends when it is told to.
    fn open(stop: &CancellationToken) -> DuplexStream {
        let (client, server) = duplex(64 * 1024);
        let router = Router::new().route("/", get(async || "here"));
        tokio::spawn(connection(server, SocketAddr::from(([127, 0, 0, 1], 1)), router, stop.clone()));
        client
    }

    async fn ask(client: &mut DuplexStream) -> String {
        client.write_all(CALL).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("here") {
            let mut part = [0; 1024];
            let read = client.read(&mut part).await.unwrap();
            assert!(read > 0, "closed without an answer: {answer:?}");
            answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        answer.to_lowercase()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_on_a_kept_connection_just_after_the_end_is_answered_and_is_its_last() {
        let stop = CancellationToken::new();
        let mut client = open(&stop);
        for _ in 0..2 {
            assert!(!ask(&mut client).await.contains("connection: close"));
        }
        stop.cancel();
        sleep(LINGER / 2).await;
        let answer = ask(&mut client).await;
        assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{answer}");
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it was its last");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_a_moment_after_the_end_and_not_before() {
        let stop = CancellationToken::new();
        let (mut used, mut fresh) = (open(&stop), open(&stop));
        ask(&mut used).await;
        sleep(LINGER * 5).await;
        let told = Instant::now();
        stop.cancel();
        for client in [&mut used, &mut fresh] {
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(told.elapsed().as_secs(), LINGER.as_secs());
        }
    }
}
