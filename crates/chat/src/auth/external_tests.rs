//! Another system's people on a node that has not seen them yet.

use std::sync::Arc;

use protocol::{ErrorCode, OrgRole, Timestamp};

use crate::{
    AuthConfig, Chat, ChatConfig, Env, ExternalClaims, mint_external,
    testing::{World, code},
};

const SECRET: [u8; 32] = [7; 32];

/// Another node on the same store and bus.
fn node(world: &World) -> Chat {
    let auth = AuthConfig { secret: Some(SECRET.to_vec()), ..AuthConfig::default() };
    let config = ChatConfig { auth, ..ChatConfig::default() };
    let registry = prometheus::Registry::new();
    Chat::new(Arc::clone(&world.store), Arc::clone(&world.bus), Env::system(), config, &registry).unwrap()
}

fn token(name: Option<&str>, picture: Option<&str>, role: Option<&str>) -> String {
    let now: Timestamp = time::OffsetDateTime::now_utc().into();
    let exp = u64::try_from(now.unix_millis() / 1_000).unwrap() + 600;
    let claims = ExternalClaims {
        preferred_username: Some("ada".into()),
        name: name.map(Into::into),
        picture: picture.map(Into::into),
        role: role.map(Into::into),
        ..ExternalClaims::of("sub-1", exp)
    };
    mint_external(&SECRET, &claims).unwrap()
}

#[tokio::test]
async fn each_node_takes_what_the_token_says_anew_and_writes_nothing_for_the_rest() {
    let world = World::start().await;
    let first = world.chat.authenticate(&token(Some("Ada"), None, None)).await.unwrap().user;
    let picture = "https://example.org/ada.png";
    // Each by a node that has never seen her; the last ones say nothing that is not so already.
    for (name, seen, role, expected) in [
        (Some("Ada L"), None, None, ("Ada L", None, OrgRole::Member)),
        (Some("Ada L"), Some(picture), None, ("Ada L", Some(picture), OrgRole::Member)),
        (Some("Ada L"), Some(picture), Some("admin"), ("Ada L", Some(picture), OrgRole::Admin)),
        (None, None, None, ("Ada L", Some(picture), OrgRole::Admin)),
    ] {
        let token = token(name, seen, role);
        let by_request = node(&world).authenticate(&token).await.unwrap().user;
        let by_connection = node(&world).authenticate_connection(&token).await.unwrap().user;
        assert_eq!(by_request, by_connection);
        let of = (by_request.display_name.as_str(), by_request.avatar_url.as_deref(), by_request.role);
        assert_eq!((by_request.id, of), (first.id, expected));
        assert_eq!(world.store.user(first.id).await.unwrap().unwrap(), by_request);
    }
}

#[tokio::test]
async fn a_disabled_one_is_refused_by_a_node_that_has_never_seen_them() {
    let world = World::start().await;
    let ada = world.chat.authenticate(&token(None, None, None)).await.unwrap().user;
    let now: Timestamp = time::OffsetDateTime::now_utc().into();
    world.store.set_disabled(ada.org_id, ada.id, true, None, now).await.unwrap().unwrap();
    for role in [None, Some("admin")] {
        let token = token(None, None, role);
        assert_eq!(code(node(&world).authenticate(&token).await), ErrorCode::UserDisabled);
        assert_eq!(code(node(&world).authenticate_connection(&token).await), ErrorCode::UserDisabled);
    }
}
