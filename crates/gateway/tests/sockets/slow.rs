//! Clients that ask and do not read: what they hold up is their own.

use std::time::Duration;

use gateway::GatewayConfig;
use protocol::{AddParticipants, Limits, LogoutRequest};
use serde_json::json;
use tokio::time::timeout;

use crate::{ends::guest, harness::World};

#[tokio::test]
async fn sockets_that_ask_for_much_and_read_nothing_take_the_database_from_nobody() {
    let world = World::start().await;
    let (ada, ben) = (world.user("ada").await, world.user("ben").await);
    let big = world.room(&ada, &[]).await.id;
    let other = world.room(&ben, &[]).await.id;
    let text = "x".repeat(3_900);
    for _ in 0..300 {
        world.say(&ada, big, &text).await;
    }
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut socket = world.narrow(&ada).await;
        for n in 0..32 {
            socket.command(json!({"type": "changes.get", "conversation_id": big, "after": 0, "limit": 500})).await;
            socket.command(json!({"type": "receipt.read", "conversation_id": big, "seq": n})).await;
        }
        stuck.push(socket);
    }
    // Longer than any honest answer takes, shorter than any time limit that would free what is stuck.
    for _ in 0..20 {
        timeout(Duration::from_secs(3), async {
            world.say(&ben, other, "unmoved").await;
            world.chat.conversations(&ben.caller, &protocol::ConversationFilter::default(), None, None).await.unwrap();
        })
        .await
        .expect("another user's send and read wait for a socket that does not read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_device_that_is_stuck_holds_up_no_news_of_the_users_other_devices() {
    // Wide enough that the stuck device is never cut off: it stays, with more than half of its outbox full.
    let config = GatewayConfig { outbox_bytes: 8 * 1024 * 1024, ..GatewayConfig::default() };
    let world = World::with(config, Limits { command_rate: 0, ..Limits::default() }).await;
    let (ben, caller) = guest(&world, "ben").await;
    let ada = world.user("ada").await;
    let busy = world.room(&ada, &[&ben]).await.id;
    let _stuck = world.narrow(&ben).await;
    let mut healthy = world.live(&ben).await;
    let text = "x".repeat(4_000);
    for _ in 0..1_400 {
        let seq = world.say(&ada, busy, &text).await.seq;
        healthy.until(|frame| frame["seq"] == seq || frame["to"] == seq).await;
    }
    for _ in 0..4 {
        let room = world.room(&ada, &[]).await.id;
        let talking = async {
            for _ in 0..40 {
                world.say(&ada, room, &text).await;
            }
        };
        let adding = async {
            let user_ids = vec![ben.caller.user.id];
            world.chat.add_participants(&ada.caller, room, AddParticipants { user_ids }).await.unwrap();
        };
        let ((), (), _) = tokio::join!(
            talking,
            adding,
            healthy.until(|frame| frame["type"] == "conversation.created" && frame["conversation_id"] == json!(room)),
        );
        let last = world.say(&ada, room, "done").await.seq;
        healthy.until(|frame| frame["data"]["content"] == "done" || frame["to"] == last).await;
    }
    world.chat.logout(&caller, LogoutRequest { all: false }).await.unwrap();
    assert_eq!(healthy.close_code().await, Some(4501));
}
