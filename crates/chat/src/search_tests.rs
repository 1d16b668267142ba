//! Searching messages: who finds what, and what is not a question.

use protocol::{ConversationKind, EditMessage, ErrorCode, SearchOrder};

use crate::{
    Caller, SearchRequest,
    testing::{World, code, field},
};

fn words(query: &str) -> SearchRequest {
    SearchRequest { query: query.into(), ..SearchRequest::default() }
}

async fn found(world: &World, who: &Caller, request: SearchRequest) -> Vec<String> {
    let page = world.chat.search(who, request, None, None).await.unwrap();
    page.items.into_iter().map(|hit| hit.message.content).collect()
}

#[tokio::test]
async fn one_finds_what_one_may_read_in_its_present_state() {
    let world = World::start().await;
    let (ann, ben, eve) = (world.user("ann").await, world.user("ben").await, world.user("eve").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let other = world.room(ConversationKind::Group, &ann, &[]).await;
    world.say(&ann, room, "The quick brown fox").await;
    world.say(&ann, other, "quick, but elsewhere").await;
    assert_eq!(found(&world, &ben, words("BROWN quick")).await, ["The quick brown fox"]);
    assert_eq!(found(&world, &ann, words("qui")).await.len(), 2);
    assert!(found(&world, &eve, words("quick")).await.is_empty());
    let here = SearchRequest { conversation_id: Some(other), ..words("quick") };
    assert_eq!(found(&world, &ann, here.clone()).await, ["quick, but elsewhere"]);
    for stranger in [&ben, &eve] {
        assert_eq!(code(world.chat.search(stranger, here.clone(), None, None).await), ErrorCode::NotFound);
    }

    let message = world.say(&ben, room, "slow turtle").await;
    let edit = EditMessage { content: "fast hare".into(), ..EditMessage::default() };
    world.chat.edit(&ben, message.id, edit).await.unwrap();
    assert!(found(&world, &ann, words("turtle")).await.is_empty());
    let by_ben = SearchRequest { sender_id: Some(ben.user.id), order: SearchOrder::Newest, ..words("hare") };
    assert_eq!(found(&world, &ann, by_ben).await, ["fast hare"]);
    world.chat.delete(&ben, message.id).await.unwrap();
    assert!(found(&world, &ann, words("hare")).await.is_empty());
}

#[tokio::test]
async fn without_words_the_filters_tell_where_they_are_narrow_enough() {
    let world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    world.say(&ann, room, "first").await;
    world.say(&ben, room, &"second ".repeat(60)).await;
    world.say(&ann, room, "third").await;
    let here = SearchRequest { conversation_id: Some(room), ..SearchRequest::default() };
    assert_eq!(found(&world, &ann, here.clone()).await.len(), 3);
    let by_ann = SearchRequest { sender_id: Some(ann.user.id), ..here.clone() };
    assert_eq!(found(&world, &ben, by_ann.clone()).await, ["third", "first"]);
    let first = world.chat.search(&ben, by_ann.clone(), None, Some(1)).await.unwrap();
    let next = world.chat.search(&ben, by_ann.clone(), first.next_cursor.as_deref(), Some(1)).await.unwrap();
    assert_eq!((next.items[0].message.content.as_str(), next.next_cursor), ("first", None));
    let by_ben = SearchRequest { sender_id: Some(ben.user.id), ..here.clone() };
    let hit = world.chat.search(&ann, by_ben, None, None).await.unwrap().items.remove(0);
    let shown: String = hit.snippet.iter().map(|part| part.text.as_str()).collect();
    assert!(shown.starts_with("second second") && shown.len() < 200, "{shown}");
    let attached = SearchRequest { has_attachment: true, ..SearchRequest::default() };
    assert!(found(&world, &ann, attached).await.is_empty());
    for wide in [SearchRequest::default(), SearchRequest { conversation_id: None, ..by_ann }] {
        assert_eq!(field(world.chat.search(&ann, wide, None, None).await), "query");
    }
    let odd = SearchRequest { query: "&|!".into(), ..here };
    assert_eq!(field(world.chat.search(&ann, odd, None, None).await), "query");
}

#[tokio::test]
async fn what_is_no_question_is_refused_by_the_name_of_its_field() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let many: Vec<_> = (0..17).map(|number| format!("w{number}")).collect();
    for bad in ["", "  ", "&|!*()", "a\0b", &"x".repeat(121), &many.join(" ")] {
        assert_eq!(field(world.chat.search(&ann, words(bad), None, None).await), "query", "{bad:?}");
    }
    assert!(world.chat.search(&ann, words(&many[..16].join(" ")), None, None).await.unwrap().items.is_empty());
    assert_eq!(field(world.chat.search(&ann, words("a"), Some("no cursor"), None).await), "cursor");
    assert_eq!(field(world.chat.search(&ann, words("a"), None, Some(101)).await), "limit");
}
