//! Our sagas.

use std::time::{Duration, Instant};

use bench::{Latencies, Sample};
use lab::{MariaDb, Scratch, Software};
use multi_master::{
    Column, Config, Kind as ColumnKind, MasterConfig, MasterName, Migration, MultiMaster, Policy,
    Table, Tx, fields,
};
use saga::{
    Context, Definition, Definitions, Kind, LocalStep, LocalUndo, SagaState, Sagas, Step, StepError,
};
use stdx::IdSource;

const EFFECTS: Table = Table {
    name: "effects",
    key: &["id"],
    columns: &[Column::new("id", ColumnKind::Id), Column::new("step", ColumnKind::Int)],
    indexes: &[],
};

/// A step that inserts a row.
struct Insert<const N: i64>(IdSource);

const NAMES: [&str; 4] = ["stock", "coupon", "pay", "complete"];

impl<const N: i64> Step for Insert<N> {
    type Output = i64;
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "0 to 3")]
    const NAME: &'static str = NAMES[N as usize];
}

impl<const N: i64> LocalStep<()> for Insert<N> {
    async fn run(&self, tx: &mut Tx, _: &Context<'_, ()>) -> Result<i64, StepError> {
        tx.insert("effects", fields! {"id" => self.0.next_uuid(), "step" => N}).await?;
        Ok(N)
    }
}

impl<const N: i64> LocalUndo<()> for Insert<N> {
    async fn undo(&self, _: &mut Tx, _: &Context<'_, ()>, _: i64) -> Result<(), StepError> {
        Ok(())
    }
}

/// An orchestrator on two masters.
pub(crate) struct Ours {
    store: MultiMaster,
    sagas: Sagas,
    order: Kind<()>,
    ids: IdSource,
    _masters: Vec<MariaDb>,
    _scratch: Scratch,
}

impl Ours {
    /// On two SQLite files.
    pub(crate) async fn pair() -> Self {
        let scratch = Scratch::new("bench-saga").expect("a directory under target/");
        let config = Config::embedded(scratch.path(), Policy::All);
        Self::open(config, Vec::new(), scratch).await
    }

    /// On two MariaDB servers.
    pub(crate) async fn servers(software: &Software) -> Self {
        let scratch = Scratch::new("bench-saga").expect("a directory under target/");
        let servers = ["a", "b"].map(|name| {
            let server = MariaDb::start(software, &scratch.path().join(name));
            let server = server.expect("the server starts");
            server.create_database("saga").expect("the database is made");
            server
        });
        let masters = ["a", "b"].into_iter().zip(&servers).map(|(name, server)| MasterConfig {
            name: MasterName(name.to_owned()),
            url: server.url("saga"),
        });
        let witness = scratch.path().join("witness.json");
        let config = Config::new(masters.collect(), Policy::All, witness);
        Self::open(config, servers.into(), scratch).await
    }

    async fn open(config: Config, servers: Vec<MariaDb>, scratch: Scratch) -> Self {
        let effects =
            Migration { name: "effects", steps: &[multi_master::Step::CreateTable(EFFECTS)] };
        let migrations: Vec<_> = saga::MIGRATIONS.iter().copied().chain([effects]).collect();
        let store = MultiMaster::open(config, &migrations).await.expect("the store opens");
        let ids = IdSource::system();
        let definition = Definition::new("order", 1)
            .local(Insert::<0>(ids.clone()))
            .local(Insert::<1>(ids.clone()))
            .local(Insert::<2>(ids.clone()))
            .local(Insert::<3>(ids.clone()));
        let mut definitions = Definitions::default();
        let order = definitions.add(definition).expect("it is right");
        let sagas = Sagas::open(store.clone(), definitions, saga::Config::default());
        let sagas = sagas.await.expect("the orchestrator opens");
        Self { store, sagas, order, ids, _masters: servers, _scratch: scratch }
    }

    /// How many commits one saga is.
    pub(crate) async fn commits(&self) -> f64 {
        let before = self.store.counts().saved;
        one(&self.sagas, &self.order, &self.ids).await;
        let commits = u32::try_from(self.store.counts().saved - before).expect("some");
        f64::from(commits)
    }

    pub(crate) async fn turn(&self, callers: usize, turn: Duration) -> Sample {
        let began = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (sagas, order, ids) =
                    (self.sagas.clone(), self.order.clone(), self.ids.clone());
                tokio::spawn(async move {
                    let mut latencies = Latencies::default();
                    while began.elapsed() < turn {
                        let started = Instant::now();
                        one(&sagas, &order, &ids).await;
                        latencies.add(started.elapsed());
                    }
                    latencies
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.expect("no caller fails"));
        }
        Sample::of(all, began.elapsed())
    }
}

async fn one(sagas: &Sagas, order: &Kind<()>, ids: &IdSource) {
    let id = ids.next();
    sagas.start(order, id, &()).await.expect("it is started");
    let ended = sagas.wait(id).await.expect("it can be read");
    assert_eq!(ended, Some(SagaState::Completed));
}
