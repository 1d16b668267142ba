//! What a node tells systemd, on a socket as systemd has it.

use std::os::unix::net::UnixDatagram;

use starling_tests::process::{eventually, temp_dir};

use crate::support::{SOON, Server};

#[tokio::test]
async fn systemd_hears_that_a_node_listens_how_it_is_and_that_it_ends() {
    let dir = temp_dir("notify").unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let heard = parking_lot::Mutex::new(String::new());
    let hears = async |what: &str| {
        eventually(what, SOON, async || {
            let (mut told, mut message) = (heard.lock(), [0; 1024]);
            while let Ok(bytes) = socket.recv(&mut message) {
                told.push_str(std::str::from_utf8(&message[..bytes]).unwrap());
            }
            anyhow::ensure!(told.contains(what), "heard so far: {told}");
            anyhow::Ok(())
        })
        .await;
    };
    // Every 200 ms, so that the test need not wait for long.
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let server = Server::start(&["serve"], &env, false).await;
    hears("READY=1\n").await;
    hears("WATCHDOG=1\nSTATUS=ready\n").await;
    server.ends_well().await;
    hears("STOPPING=1\n").await;
}
