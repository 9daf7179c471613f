//! Every check of the routes once more, over two MariaDB servers.

use endpaper_reading::sources::BookSources;
use lab::{MariaDb, Scratch};
use multi_master::{Config, MasterConfig, MasterName, Policy};

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_over_two_mariadb_servers() {
    let Some(software) = lab::require_mariadb("reading over two MariaDB servers") else { return };
    let scratch = Scratch::new("reading").unwrap();
    let servers = ["a", "b"]
        .map(|name| (name, MariaDb::start(&software, &scratch.path().join(name)).unwrap()));
    let new_world = async |check: &str| {
        // A database of its own for each check; names have at most 64 characters.
        let database: String = check.chars().take(60).collect();
        let masters = servers.iter().map(|(name, server)| {
            server.create_database(&database).unwrap();
            MasterConfig { name: MasterName((*name).to_owned()), url: server.url(&database) }
        });
        let directory = tempfile::tempdir_in(scratch.path()).unwrap();
        let witness = directory.path().join("witness.json");
        let config = Config::new(masters.collect(), Policy::Available, witness);
        World::over(config, BookSources::default(), directory).await
    };
    crate::shelf::all(&new_world).await;
    crate::memos::all(&new_world).await;
    crate::repeats::all(&new_world).await;
    crate::days::all(&new_world).await;
    crate::books::all(&new_world).await;
    crate::transfer::all(&new_world).await;
    crate::sync::all(&new_world).await;
}
