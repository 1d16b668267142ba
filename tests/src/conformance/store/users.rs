//! Orgs and people.

use std::{collections::HashSet, sync::Arc};

use protocol::{OrgRole, ProfilePatch, USERNAME_MAX, UserId, check_username};
use store::{Conflict, ExternalUser, NewUser, Store, StoreError};

use super::world::World;

/// Beyond ASCII as well.
pub async fn a_username_is_unique_in_its_org_whatever_its_case(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let zoe = world.user("Zoë").await;
    assert_eq!((zoe.username.as_str(), zoe.guest, zoe.role, zoe.disabled_at), ("Zoë", false, OrgRole::Member, None));
    world.user("ΟΔΟΣ").await;
    for taken in ["Zoë", "ZOË", "zoë", "οδοΣ"] {
        let refused = world.store.create_user(world.new_user(taken)).await;
        assert!(matches!(refused, Err(StoreError::Conflict(Conflict::Username))), "{taken}: {refused:?}");
    }
    world.user("zoe").await;
    world.foreigner("zoë").await;
    assert_eq!(world.store.user(zoe.id).await.unwrap(), Some(zoe.clone()));
    assert_eq!(world.store.user(UserId::generate()).await.unwrap(), None);
    let found = world.store.users(world.org, &[zoe.id, UserId::generate(), zoe.id]).await.unwrap();
    assert_eq!(found, [zoe]);
    assert!(world.store.users(world.org, &[]).await.unwrap().is_empty());
}

/// And a guest has none.
pub async fn a_password_is_found_by_name_in_any_case(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let new = NewUser { password_hash: Some("$argon2id$x".into()), ..world.new_user("Zoë") };
    let zoe = world.store.create_user(new).await.unwrap();
    let guest = NewUser { guest: true, ..world.new_user("guest") };
    let guest = world.store.create_user(guest).await.unwrap();
    assert!(guest.guest);
    for name in ["Zoë", "ZOË", "zoë"] {
        let found = world.store.credentials(world.org, name).await.unwrap();
        assert_eq!(found, Some((zoe.clone(), Some("$argon2id$x".into()))));
    }
    assert_eq!(world.store.credentials(world.org, "guest").await.unwrap(), Some((guest, None)));
    for name in ["zoe", "", "%", "Zo_", "nobody"] {
        assert_eq!(world.store.credentials(world.org, name).await.unwrap(), None, "{name}");
    }
    let elsewhere = world.store.ensure_org("elsewhere").await.unwrap();
    assert_eq!(world.store.credentials(elsewhere, "Zoë").await.unwrap(), None);
}

fn external(world: &World, external_id: &str, username: &str) -> ExternalUser {
    ExternalUser {
        id: UserId::generate(),
        org_id: world.org,
        external_id: external_id.into(),
        username: username.into(),
        display_name: None,
        avatar_url: None,
        role: None,
        now: world.now(),
    }
}

/// All their sockets connect at once, to many nodes.
pub async fn a_foreign_user_seen_by_twenty_tasks_is_made_once(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(
                async move { world.store.upsert_external_user(external(&world, "sub-1", "ada")).await.unwrap() },
            )
        })
        .collect();
    let mut ids = HashSet::new();
    for task in tasks {
        let user = task.await.unwrap();
        assert_eq!((user.username.as_str(), user.display_name.as_str()), ("ada", "ada"));
        ids.insert(user.id);
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(world.directory("", None, 50).await.unwrap().items.len(), 1);
}

/// A suffix, never a refusal.
pub async fn foreign_users_who_want_the_same_name_all_get_one(store: Arc<dyn Store>) {
    let world = Arc::new(World::new(store).await);
    world.user("ADA").await;
    let long = "n".repeat(USERNAME_MAX);
    world.user(&long).await;
    let tasks: Vec<_> = (0..20)
        .map(|i| {
            let (world, name) = (Arc::clone(&world), if i % 2 == 0 { "ada".to_owned() } else { long.clone() });
            tokio::spawn(async move {
                let user = external(&world, &format!("sub-{i}"), &name);
                (i, world.store.upsert_external_user(user).await.unwrap())
            })
        })
        .collect();
    let mut names = HashSet::from(["ada".to_owned(), long.clone()]);
    for task in tasks {
        let (i, user) = task.await.unwrap();
        assert!(names.insert(user.username.to_lowercase()), "{} twice", user.username);
        assert_eq!(check_username(&user.username), Ok(()), "{}", user.username);
        assert!(user.username.starts_with(if i % 2 == 0 { "ada" } else { "nnnn" }), "{}", user.username);
    }
}

/// What the token has; what it has not stays.
pub async fn a_foreign_user_follows_their_token(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let first = world.store.upsert_external_user(external(&world, "sub-1", "ada")).await.unwrap();
    assert_eq!((first.role, first.guest, first.avatar_url.as_ref()), (OrgRole::Member, false, None));
    let told = ExternalUser {
        display_name: Some("Ada L.".into()),
        avatar_url: Some("https://example.org/a.png".into()),
        role: Some(OrgRole::Admin),
        ..external(&world, "sub-1", "another-name")
    };
    let second = world.store.upsert_external_user(told).await.unwrap();
    assert_eq!((second.id, second.username.as_str()), (first.id, "ada"), "the username stays");
    assert_eq!((second.display_name.as_str(), second.role), ("Ada L.", OrgRole::Admin));
    let third = world.store.upsert_external_user(external(&world, "sub-1", "ada")).await.unwrap();
    assert_eq!(third, second);
    let other_org =
        ExternalUser { org_id: world.store.ensure_org("elsewhere").await.unwrap(), ..external(&world, "sub-1", "ada") };
    let other = world.store.upsert_external_user(other_org).await.unwrap();
    assert!(other.id != first.id && other.username == "ada");
    let found = world.directory("ada l", None, 5).await.unwrap().items;
    assert_eq!(found, [second], "found by the name that the token gave");
}

/// Username or display name, any case; text, not a pattern.
pub async fn people_are_found_by_the_start_of_their_names(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for (username, display_name) in
        [("anna", "Anna"), ("Annika", "Nika"), ("bert", "ANNE-Bert"), ("ωσα", "Ωσα"), ("x_y", "100%"), ("joanna", "Jo")]
    {
        let user = NewUser { display_name: display_name.into(), ..world.new_user(username) };
        world.store.create_user(user).await.unwrap();
    }
    let find = async |query: &str| {
        let page = world.directory(query, None, 50).await.unwrap();
        page.items.into_iter().map(|user| user.username).collect::<Vec<_>>()
    };
    assert_eq!(find("ann").await, ["anna", "Annika", "bert"]);
    assert_eq!(find("ANN").await, ["anna", "Annika", "bert"]);
    assert_eq!(find("anni").await, ["Annika"]);
    assert_eq!(find("ΩΣ").await, ["ωσα"], "a prefix that ends in a sigma");
    assert_eq!(find("%").await, Vec::<String>::new());
    assert_eq!(find("100%").await, ["x_y"]);
    assert_eq!(find("x_").await, ["x_y"]);
    assert_eq!(find("_").await, Vec::<String>::new());
    assert_eq!(find("\\").await, Vec::<String>::new());
    assert_eq!(find("").await.len(), 6);
}

/// By username, folded; the cursor is the last username.
pub async fn people_are_listed_page_by_page(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let names = ["Bob", "ada", "a-b", "a.b", "a_b", "Zed", "Émile", "cyd", "9lives"];
    for name in names {
        world.user(name).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = world.directory("", cursor.as_deref(), 2).await.unwrap();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|user| user.username));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["9lives", "a-b", "a.b", "a_b", "ada", "Bob", "cyd", "Zed", "Émile"]);
}

/// Null clears, absence leaves.
pub async fn a_profile_changes_only_what_was_named(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let full = ProfilePatch {
        display_name: Some("Ada 🦋".into()),
        avatar_url: Some(Some("https://example.org/a.png".into())),
        status_text: Some(Some("away".into())),
    };
    let seen = world.store.update_profile(ada.id, &full).await.unwrap().unwrap();
    assert_eq!((seen.display_name.as_str(), seen.status_text.as_deref()), ("Ada 🦋", Some("away")));
    assert_eq!(seen.avatar_url.as_deref(), Some("https://example.org/a.png"));
    let same = world.store.update_profile(ada.id, &ProfilePatch::default()).await.unwrap().unwrap();
    assert_eq!(same, seen);
    let clear = ProfilePatch { avatar_url: Some(None), ..ProfilePatch::default() };
    let cleared = world.store.update_profile(ada.id, &clear).await.unwrap().unwrap();
    assert_eq!((cleared.avatar_url, cleared.status_text.as_deref()), (None, Some("away")));
    assert_eq!(world.store.update_profile(UserId::generate(), &full).await.unwrap(), None);
    let found = world.directory("ADA 🦋", None, 5).await.unwrap().items;
    assert_eq!(found.len(), 1, "found by the new name");

    let group = world.group(&[&ada]).await;
    let message = world.send(group, &ada, "hello").await;
    assert_eq!(message.sender.display_name, "Ada 🦋", "messages show their sender as they are now");
}

/// By whoever reads the user next.
pub async fn disabling_and_roles_are_seen(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let set =
        async |disabled, at| world.store.set_disabled(world.org, ada.id, disabled, None, at).await.unwrap().unwrap();
    let at = world.now();
    let (shown, moved) = set(true, at).await;
    assert_eq!((shown.disabled_at, moved), (Some(at), Some(1)));
    assert_eq!(world.store.user(ada.id).await.unwrap(), Some(shown.clone()));
    assert_eq!(set(true, world.now()).await, (shown, None), "again changes nothing");
    let (shown, moved) = set(false, world.now()).await;
    assert_eq!((shown.disabled_at, moved), (None, Some(2)));
    assert_eq!(world.store.set_disabled(world.org, UserId::generate(), true, None, at).await.unwrap(), None);
    let admin = world.store.set_org_role(world.org, ada.id, OrgRole::Admin, None).await.unwrap().unwrap();
    assert_eq!(admin.role, OrgRole::Admin);
    assert_eq!(world.store.user(ada.id).await.unwrap(), Some(admin));
    assert_eq!(world.store.set_org_role(world.org, UserId::generate(), OrgRole::Admin, None).await.unwrap(), None);
}

/// By many tasks at once, too.
pub async fn an_org_is_made_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.ensure_org("new").await.unwrap() })
        })
        .collect();
    let mut ids = HashSet::new();
    for task in tasks {
        ids.insert(task.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
    assert!(!ids.contains(&world.org));
}
