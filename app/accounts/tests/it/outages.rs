//! When the store can't serve.

use serde_json::json;

use crate::support::{PASSWORD, World, new_user};

#[tokio::test]
pub(crate) async fn nothing_is_saved_and_the_client_is_told_when_to_come_back() {
    let world = World::start().await;
    world.api.sign_up("haeri").await;
    let session = world.api.log_in("haeri").await;
    world.store.close().await;
    let recovery = json!({"loginId": "haeri", "email": "haeri@example.com"});
    for (path, body) in [
        ("/auth/signup", new_user("minsu")),
        ("/auth/login", json!({"loginId": "haeri", "password": PASSWORD})),
        ("/auth/refresh", json!({"refreshToken": session.refresh})),
        // Said of accounts that are and of those that are not: it is before it
        // is known which.
        ("/auth/verify-account", recovery),
    ] {
        let reply = world.api.post(path, body).await;
        assert_eq!(reply.line(), "503 STORE_UNAVAILABLE", "{path}");
        assert_eq!(reply.body["error"]["retryable"], true);
        assert_eq!(reply.retry_after_secs(), 5);
    }
    // Not 401: a client must not throw its session away because a database is
    // down.
    assert_eq!(world.api.knocks(&session.access).await, "503 STORE_UNAVAILABLE");
}
