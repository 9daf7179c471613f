//! A device is told what changed after its cursor.

use std::collections::BTreeMap;
use std::sync::Arc;

use multi_master::{Db, DbError};
use sync::merge::REVISIONS;
use sync::model::{AccountId, Fields, RecordId, RecordKey, Version};
use sync::wire::{Change, PROTOCOL, Pull, PullAnswer};

use crate::domain::Domain;
use crate::store::{self, Logged};
use crate::{CHANGES_BYTES_MAX, CHANGES_MAX, SyncError, SyncServer};

/// Records whose values are in memory before their size is known.
const LOADED_AT_ONCE: usize = 50;

impl<D: Domain> SyncServer<D> {
    /// What changed after the cursor, as it is at one moment: each record once, in the
    /// order of the changes.
    ///
    /// # Errors
    /// [`SyncError`]: [`SyncError::Expired`] where deletions after the cursor were
    /// forgotten, or a device that names no change log is ahead of what there is.
    pub async fn pull(&self, account: AccountId, pull: Pull) -> Result<PullAnswer, SyncError> {
        if pull.protocol != PROTOCOL {
            return Err(SyncError::Protocol(pull.protocol));
        }
        if pull.account != account {
            return Err(SyncError::WrongAccount);
        }
        let request = self.0.requests.begin(account)?;
        self.listed(account).await?;
        let (server, domain) = (self.clone(), Arc::clone(&self.0.domain));
        let read = self.0.store.read(async move |db: &mut Db| {
            let _request = &request;
            let Some(known) = store::account(db, account).await? else {
                return Err(SyncError::Expired);
            };
            let (now, head, log) = (server.time(&known), known.head, known.log);
            if let Some(common) = store::common(db, &known, pull.log, pull.cursor).await? {
                let (changes, cursor, common) = (Vec::new(), pull.cursor, Some(common));
                return Ok(PullAnswer { now, changes, cursor, more: false, head, log, common });
            }
            let begins = pull.anew.is_some() && pull.cursor == Version::NONE;
            let told = pull.cursor.max(pull.anew.unwrap_or_default());
            if !begins && told < known.forgotten || pull.cursor > known.head {
                return Err(SyncError::Expired);
            }
            let limit = pull.limit.clamp(1, CHANGES_MAX);
            let mut logged = store::changes(db, account, pull.cursor, limit + 1).await?;
            let mut more = logged.len() > limit as usize;
            logged.truncate(limit as usize);
            let mut changes = Vec::with_capacity(logged.len());
            let (mut cursor, mut bytes) = (pull.cursor, 0);
            'told: for some in logged.chunks(LOADED_AT_ONCE) {
                let (mut values, unreadable) = values(db, &*domain, account, some).await?;
                // Who pulls all anew takes what is not told for gone.
                if let Some((_, error)) = unreadable.iter().next()
                    && pull.anew.is_some()
                {
                    return Err(error.clone().into());
                }
                for Logged { key, version, .. } in some {
                    if unreadable.contains_key(key) {
                        cursor = *version;
                        continue;
                    }
                    let fields = values.remove(key);
                    bytes += fields.as_ref().map_or(0, Fields::bytes);
                    if bytes > CHANGES_BYTES_MAX && !changes.is_empty() {
                        more = true;
                        break 'told;
                    }
                    cursor = *version;
                    changes.push(Change { version: *version, key: key.clone(), fields });
                }
            }
            if !more {
                cursor = known.head;
            }
            Ok(PullAnswer { now, changes, cursor, more, head, log, common: None })
        });
        read.await
    }
}

/// What records hold; and those of which that can't be read, which keep no other from
/// being told.
async fn values<D: Domain>(
    db: &mut Db,
    domain: &D,
    account: AccountId,
    logged: &[Logged],
) -> Result<(BTreeMap<RecordKey, Fields>, BTreeMap<RecordKey, DbError>), DbError> {
    let (mut all, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
    for table in domain.tables().iter().chain([&REVISIONS]) {
        let name = table.name;
        let there = logged.iter().filter(|one| !one.deleted && *one.key.table == *name);
        let ids: Vec<RecordId> = there.map(|one| one.key.id).collect();
        let key = |id| RecordKey { table: name.into(), id };
        match load(db, domain, account, name, &ids).await {
            Ok(values) => all.extend(values.into_iter().map(|(id, fields)| (key(id), fields))),
            Err(DbError::Shape(_)) => {
                for id in ids {
                    match load(db, domain, account, name, &[id]).await {
                        Ok(values) => {
                            all.extend(values.into_iter().map(|(id, fields)| (key(id), fields)));
                        }
                        Err(error @ DbError::Shape(_)) => {
                            tracing::error!(
                                %account, record = %key(id), %error,
                                "a record can't be read: devices are not told of it until this \
                                 is mended and its change log is ended"
                            );
                            unreadable.insert(key(id), error);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok((all, unreadable))
}

async fn load<D: Domain>(
    db: &mut Db,
    domain: &D,
    account: AccountId,
    table: &'static str,
    ids: &[RecordId],
) -> Result<BTreeMap<RecordId, Fields>, DbError> {
    if table == REVISIONS.name {
        store::revisions(db, account, ids).await
    } else {
        domain.load(db, account, table, ids).await
    }
}
