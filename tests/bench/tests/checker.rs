//! The driver's checks, checked: a server that does one thing wrong is found, and what it did is named.

#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bench::limit::{Dialect, Faults, Load, Pace, run};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, broadcast},
};
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::{ErrorResponse, Request, Response},
};

/// What the server does to one delivery: the tenth message of room 0, at one of its members.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrong {
    Nothing,
    Drop,
    Double,
    /// Sends it behind the next one.
    Swap,
    /// Changes one letter.
    Alter,
    /// Under the number of another.
    Renumber,
    /// A copy to a member of another room.
    Misroute,
    /// Closes the member's socket after it.
    Close,
}

const TENTH: u64 = 10;

/// A room: how many messages it had, and who listens for their numbers and texts.
type Room = Mutex<(u64, broadcast::Sender<(u64, String)>)>;

/// Two of them.
struct Rooms(Vec<Room>);

/// A server that is right but for that: with tasks and channels, as far from the limit server as can be.
async fn server(wrong: Wrong) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let room = || Mutex::new((0, broadcast::channel(100_000).0));
    let rooms = Arc::new(Rooms(vec![room(), room()]));
    tokio::spawn(async move {
        // Sockets open in any order: the first one of each room is the one that is wronged.
        let wronged = Arc::new(Mutex::new([true; 2]));
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(client(stream, Arc::clone(&rooms), Arc::clone(&wronged), wrong));
        }
    });
    address
}

async fn client(stream: TcpStream, rooms: Arc<Rooms>, wronged: Arc<Mutex<[bool; 2]>>, wrong: Wrong) {
    let mut room = 0;
    #[allow(clippy::result_large_err)] // The library's own type.
    let path = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        room = request.uri().path().strip_prefix("/rooms/").unwrap().parse().unwrap();
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, path).await.unwrap();
    let is_wronged = std::mem::take(&mut wronged.lock().await[room]);
    let mut news = rooms.0[room].lock().await.1.subscribe();
    // A member of room 1 may be wronged by what room 0 says.
    let mut elsewhere = rooms.0[0].lock().await.1.subscribe();
    let mut kept = None;
    loop {
        tokio::select! {
            said = socket.next() => match said {
                Some(Ok(Message::Text(said))) => {
                    let (_, text) = said.split_once(' ').unwrap();
                    let mut room = rooms.0[room].lock().await;
                    room.0 += 1;
                    let _ = room.1.send((room.0, text.to_owned()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            Ok((number, text)) = elsewhere.recv(), if room == 1 => {
                if is_wronged && wrong == Wrong::Misroute && number == TENTH {
                    let _ = socket.send(Message::text(format!("0 {number} {text}"))).await;
                }
            }
            Ok((number, text)) = news.recv() => {
                let mut frames = vec![format!("{room} {number} {text}")];
                if is_wronged && room == 0 && number == TENTH {
                    match wrong {
                        Wrong::Nothing | Wrong::Misroute | Wrong::Close => {}
                        Wrong::Drop => frames.clear(),
                        Wrong::Double => frames.push(frames[0].clone()),
                        Wrong::Swap => kept = frames.pop(),
                        Wrong::Alter => frames[0].push('y'),
                        Wrong::Renumber => frames[0] = format!("{room} {} {text}", number - 1),
                    }
                } else {
                    frames.extend(kept.take());
                }
                for frame in frames {
                    let _ = socket.send(Message::text(frame)).await;
                }
                if is_wronged && room == 0 && number == TENTH && wrong == Wrong::Close {
                    return;
                }
            }
        }
    }
}

/// What the driver finds; the tenth message of room 0 is not the last.
async fn found(wrong: Wrong) -> Faults {
    let pace = Pace::Open { rate: 500.0 };
    let load = Load {
        rooms: 2,
        first: 0,
        dialect: Dialect::Plain,
        members: 3,
        pace,
        size: 64,
        time: Duration::from_millis(400),
        patience: Duration::from_secs(2),
    };
    let outcome = run(server(wrong).await, &load, || Ok(0.0)).await.unwrap();
    assert!(outcome.sent > 60, "{outcome:?}");
    let missing = outcome.expected - outcome.delivered;
    assert_eq!(missing, outcome.faults.lost, "{outcome:?}");
    outcome.faults
}

#[tokio::test]
async fn a_server_that_is_right_is_found_right() {
    assert_eq!(found(Wrong::Nothing).await, Faults::default());
}

#[tokio::test]
async fn one_dropped_delivery_is_found() {
    assert_eq!(found(Wrong::Drop).await, Faults { lost: 1, ..Faults::default() });
}

#[tokio::test]
async fn one_doubled_delivery_is_found() {
    assert_eq!(found(Wrong::Double).await, Faults { doubled: 1, ..Faults::default() });
}

#[tokio::test]
async fn one_delivery_out_of_order_is_found() {
    assert_eq!(found(Wrong::Swap).await, Faults { reordered: 1, ..Faults::default() });
}

#[tokio::test]
async fn one_altered_delivery_is_found() {
    assert_eq!(found(Wrong::Alter).await, Faults { altered: 1, lost: 1, ..Faults::default() });
}

#[tokio::test]
async fn one_delivery_under_another_number_is_found() {
    assert_eq!(found(Wrong::Renumber).await, Faults { diverged: 1, lost: 1, ..Faults::default() });
}

#[tokio::test]
async fn one_delivery_in_another_room_is_found() {
    assert_eq!(found(Wrong::Misroute).await, Faults { misrouted: 1, ..Faults::default() });
}

#[tokio::test]
async fn a_closed_socket_is_found_with_what_it_missed() {
    let pace = Pace::Closed { senders: 3, in_flight: 2 };
    let load = Load {
        rooms: 2,
        first: 0,
        dialect: Dialect::Plain,
        members: 3,
        pace,
        size: 64,
        time: Duration::from_millis(400),
        patience: Duration::from_secs(2),
    };
    let outcome = run(server(Wrong::Close).await, &load, || Ok(0.0)).await.unwrap();
    assert_eq!((outcome.faults.closed, outcome.faults.lost > 0), (1, true), "{outcome:?}");
}
