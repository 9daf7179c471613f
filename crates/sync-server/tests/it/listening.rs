//! Who listens is told.

use multi_master::{DbError, Tx, fields, id};
use sync::model::Version;
use sync_server::live::LISTENERS_MAX;
use sync_server::{Note, SyncError, note};

use crate::common::Server;

#[tokio::test]
async fn who_listens_hears_of_pushes_and_of_what_others_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::embedded(folder.path()).await;
    let account = server.ids.next();
    let mut device = server.device(account);
    let mut heard = server.sync.listen(account).await.unwrap();
    assert_eq!(*heard.borrow_and_update(), Version::NONE);
    let one = device.create(&server.key(), "a");
    device.outcomes(vec![one]).await;
    heard.changed().await.unwrap();
    assert_eq!(*heard.borrow_and_update(), Version(1));

    // Another process has the store, too, and a website writes past both.
    let other = Server::over(server.store.clone());
    let mut elsewhere = other.sync.listen(account).await.unwrap();
    assert_eq!(*elsewhere.borrow_and_update(), Version(1));
    let watching = other.sync.clone();
    let watching = tokio::spawn(async move { watching.watch().await });
    let (key, now) = (server.key(), server.clock.now());
    let write = server.store.write(async move |tx: &mut Tx| {
        let row = fields! {"id" => id(key.id), "account_id" => id(account), "content" => "b"};
        tx.insert("notes", row).await?;
        note(tx, account, &[(key.clone(), Note::Set(&["content"]))], now).await?;
        Ok::<(), DbError>(())
    });
    write.await.into_result().unwrap();
    elsewhere.changed().await.unwrap();
    assert_eq!(*elsewhere.borrow_and_update(), Version(2));
    watching.abort();

    let mut listeners = Vec::new();
    let too_many = loop {
        match server.sync.listen(account).await {
            Ok(one) => listeners.push(one),
            Err(error) => break error,
        }
    };
    assert_eq!((listeners.len(), too_many), (LISTENERS_MAX - 1, SyncError::TooManyListeners));
    drop(listeners);
    let mut last = server.sync.listen(account).await.unwrap();
    // The server stops.
    server.sync.stop_listening();
    heard.borrow_and_update();
    assert!(last.changed().await.is_err() && heard.changed().await.is_err());
    assert_eq!(server.sync.listen(account).await.unwrap_err(), SyncError::Stopping);
}
