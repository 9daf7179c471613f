//! Databases that become the masters of a store.

use stdx::{IdSource, Random};
use uuid::Uuid;

use super::error::{ArchiveError, Result, of_master};
use super::pour::{self, Failed};
use super::snapshot::{Snapshot, connect};
use super::{Archived, Tell};
use crate::config::Config;
use crate::copy;
use crate::error::MasterName;
use crate::fault::Fault;
use crate::link::Link;
use crate::render::{Dialect, Rows, Statement};
use crate::sqlite::IfAbsent;
use crate::store;
use crate::tables::{self, Migrate, read};
use crate::witness::Testimony;

/// `mm_meta`: what is here is no store yet, and may be taken away.
const UNFINISHED: &str = "unfinished";

/// Databases that are filled, and not a store yet.
pub(super) struct Targets {
    set: Uuid,
    names: Vec<MasterName>,
    links: Vec<Link>,
}

impl Targets {
    /// Connects to the masters of a configuration, all of which have to be there
    /// and empty.
    pub(super) async fn open(config: &Config) -> Result<Self> {
        store::targets(&config.masters)?;
        let set = IdSource::new(config.clock.clone(), Random::secret()).next_uuid();
        let mut targets = Self { set, names: Vec::new(), links: Vec::new() };
        for master in &config.masters {
            let mut link = connect(config, master, IfAbsent::Create).await?;
            let failed = of_master(&master.name);
            if let Some(found) = occupied(&mut link).await.map_err(failed)? {
                return Err(ArchiveError::NotEmpty { master: master.name.clone(), found });
            }
            targets.names.push(master.name.clone());
            targets.links.push(link);
        }
        Ok(targets)
    }

    /// Fills all of them, reads them back, and compares.
    pub(super) async fn fill(&mut self, from: &mut Snapshot, tell: Tell<'_>) -> Result<Archived> {
        for (name, link) in self.names.iter().zip(&mut self.links) {
            let prepared = prepare(link, self.set, name, from).await;
            prepared.map_err(|error| match error {
                Migrate::Fault(fault) => of_master(name)(fault),
                Migrate::Refused(why) => of_master(name)(Fault::Lost(why)),
            })?;
        }
        let expected = copy::expected(&mut from.link, &from.schema).await;
        let poured =
            pour::pour(&mut from.link, &mut self.links, &from.schema, expected, tell).await;
        let (sums, altered) = poured.map_err(|error| match error {
            Failed::Source(fault) => from.failed(fault),
            Failed::Target(at, fault) => of_master(&self.names[at])(fault),
        })?;
        if let Some(table) = from.sums.as_ref().and_then(|said| pour::difference(said, &sums)) {
            let reason = format!("`{table}` is not what it was when it was made");
            return Err(from.failed(Fault::Lost(reason)));
        }
        let marker = pour::newest_marker(&mut from.link).await.map_err(|f| from.failed(f))?;
        for (name, link) in self.names.iter().zip(&mut self.links) {
            let failed = of_master(name);
            if let Some(marker) = &marker {
                let marker = Statement {
                    sql: "insert into mm_log (txid, epoch, aborted, ops) values (?, ?, ?, ?)"
                        .into(),
                    params: marker.clone(),
                    rows: Rows::One,
                    table: "mm_log",
                };
                link.push(&marker).await.map_err(&failed)?;
                link.flush().await.map_err(&failed)?;
            }
            let read_back = pour::sum_up(link, &from.schema, pour::rows(&sums), tell).await;
            let (read_back, _) = read_back.map_err(&failed)?;
            if let Some(table) = pour::difference(&sums, &read_back) {
                return Err(ArchiveError::Differs { what: format!("master `{name}`"), table });
            }
        }
        let tables = from.schema.tables().count() as u64;
        Ok(Archived { rows: pour::rows(&sums), tables, altered })
    }

    /// They are the masters of a store from here on. Returns what its witness has
    /// to say.
    pub(super) async fn finish(mut self, epoch: u64) -> Result<Testimony> {
        for (name, link) in self.names.iter().zip(&mut self.links) {
            let done = async {
                // There are no markers up to the newest.
                let last = tables::last_txid(link).await?;
                link.begin().await?;
                if let Some(last) = last {
                    tables::note(link, "trimmed", last.to_string()).await?;
                }
                tables::set_epoch(link, epoch).await?;
                let sql = "delete from mm_meta where k in (?, ?)";
                tables::run(link, sql, vec!["copying".into(), UNFINISHED.into()]).await?;
                link.commit().await
            };
            done.await.map_err(of_master(name))?;
        }
        Ok(Testimony { set: self.set, epoch, serving: self.names, paused: false })
    }
}

async fn prepare(
    link: &mut Link,
    set: Uuid,
    name: &MasterName,
    from: &Snapshot,
) -> std::result::Result<(), Migrate> {
    tables::identify(link).await?;
    tables::note(link, UNFINISHED, "1".to_owned()).await?;
    tables::adopt(link, set, name, 0, true).await?;
    tables::migrate(link, name, &from.migrations).await
}

/// What is in a database that is to be empty. What an earlier attempt left is
/// taken away.
async fn occupied(link: &mut Link) -> std::result::Result<Option<String>, Fault> {
    let sql = match link.dialect() {
        Dialect::Sqlite => {
            "select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' \
             escape '\\' order by name"
        }
        Dialect::MariaDb | Dialect::MySql => {
            "select table_name as name from information_schema.tables \
             where table_schema = database() order by table_name"
        }
    };
    let rows = link.query(sql, &[]).await?;
    let names: Vec<String> =
        rows.iter().map(|row| read(row, "name")).collect::<std::result::Result<_, _>>()?;
    if names.is_empty() {
        return Ok(None);
    }
    let has = |name: &str| names.iter().any(|known| known == name);
    if has("mm_meta") {
        let identity = tables::who_by_meta(link).await?;
        let of_earlier = "select k from mm_meta where k = ?";
        let unfinished = !link.query(of_earlier, &[UNFINISHED.into()]).await?.is_empty();
        let ours_alone = names.iter().all(|name| name.starts_with("mm_"));
        if unfinished || (identity.set.is_none() && ours_alone) {
            for name in &names {
                link.alter(&format!("drop table {name}")).await?;
            }
            return Ok(None);
        }
        if let Some(set) = identity.set {
            return Ok(Some(format!("it is a master of the set {set}")));
        }
    }
    Ok(Some(format!("it has the table `{}`", names[0])))
}
