//! The directory: who is in it.

use protocol::{ErrorCode, OrgRole, OrgUserPatch};

use crate::{
    Caller,
    testing::{World, code},
};

async fn names(world: &World, who: &Caller, query: &str) -> Vec<String> {
    let page = world.chat.search_users(who, query, None, None).await.unwrap();
    page.items.into_iter().map(|user| user.username).collect()
}

#[tokio::test]
async fn the_directory_has_the_users_of_ones_org_without_those_who_are_disabled() {
    let world = World::start().await;
    let (mut ann, ben, sam) = (world.user("ann").await, world.user("ben").await, world.stranger("sam").await);
    assert_eq!(names(&world, &ann, "").await, ["ann", "ben"]);
    assert_eq!(names(&world, &ben, "AN").await, ["ann"]);
    assert_eq!(names(&world, &sam, "").await, ["sam"]);
    assert_eq!(code(world.chat.user(&sam, ann.user.id).await), ErrorCode::NotFound);

    ann.user.role = OrgRole::Admin;
    let disable = OrgUserPatch { disabled: Some(true), role: None };
    world.chat.update_org_user(&ann, ben.user.id, disable).await.unwrap();
    assert_eq!(names(&world, &ann, "").await, ["ann"]);
    assert!(world.chat.user(&ann, ben.user.id).await.unwrap().disabled_at.is_some(), "who wrote can be looked at");
}
