//! What operators do, and what is tidied up.

use std::time::Duration;

use endpaper_accounts::AccountsError;
use endpaper_accounts::service::{DEMO_LOGIN_ID, DEMO_PASSWORD, Tidied};
use endpaper_api::accounts::Role;
use serde_json::json;

use crate::support::World;

#[tokio::test]
pub(crate) async fn the_demo_account_is_made_once_and_can_log_in() {
    let world = World::start().await;
    let first = world.accounts.ensure_demo_user().await.unwrap();
    let second = world.accounts.ensure_demo_user().await.unwrap();
    assert_eq!(first.id, second.id);
    let body = json!({"loginId": DEMO_LOGIN_ID, "password": DEMO_PASSWORD});
    assert_eq!(world.api.post("/auth/login", body).await.line(), "200");
}

#[tokio::test]
pub(crate) async fn users_are_found_by_login_id_and_made_admins() {
    let world = World::start().await;
    let user = world.api.sign_up("haeri").await;
    let found = world.accounts.find_user("HAERI").await.unwrap().expect("haeri");
    assert_eq!(user["id"], found.id.to_string());
    assert!(world.accounts.find_user("nobody").await.unwrap().is_none());
    assert!(world.accounts.find_user("no id").await.unwrap().is_none());

    let session = world.api.log_in("haeri").await;
    assert_eq!(world.accounts.principal(&session.access).await.unwrap().role, Role::User);
    world.accounts.set_role("haeri", Role::Admin).await.unwrap();
    assert_eq!(world.accounts.principal(&session.access).await.unwrap().role, Role::Admin);
    assert_eq!(
        world.accounts.set_role("nobody", Role::Admin).await,
        Err(AccountsError::UserNotFound)
    );
}

#[tokio::test]
pub(crate) async fn what_has_expired_is_deleted_and_nothing_else() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    assert_eq!(world.accounts.tidy().await.unwrap(), Tidied::default());
    for _ in 0..3 {
        world.api.log_in("haeri").await;
    }
    world
        .api
        .post("/auth/verify-account", json!({"loginId": "haeri", "email": "haeri@example.com"}))
        .await;
    let _ = world.mailed_token().await;
    world.clock.advance(Duration::from_hours(24 * 15));
    let kept = world.api.log_in("haeri").await;
    let tidied = world.accounts.tidy().await.unwrap();
    assert_eq!((tidied.sessions, tidied.reset_tokens, tidied.is_full()), (0, 1, false));
    world.clock.advance(Duration::from_hours(24 * 15));
    assert_eq!(world.accounts.tidy().await.unwrap().sessions, 3);
    assert_eq!(world.accounts.tidy().await.unwrap().sessions, 0);
    assert_eq!(world.api.refresh(&kept.refresh).await.line(), "200");
}
