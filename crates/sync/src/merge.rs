//! How an operation is settled with what the server holds.
//!
//! The server settles operations one after the other, and every device takes what
//! it made of them: so all end with the same. What an operation meets is decided by
//! what the person had *seen*, and only where two people had not seen each other's
//! edits, by time:
//!
//! | | the record is there | it was deleted |
//! |---|---|---|
//! | create, update | per field: seen, the new value; not seen, the [`Rule`] decides | seen, it is made anew; not seen, it stays deleted, and an update is kept as a revision; who creates it makes it anew |
//! | delete | it is deleted; what others set and this one had not seen is kept as a revision | nothing |
//!
//! A device has seen its own edits. What was merged of two texts nobody has seen
//! until it was sent to them. Times are those of the server: see
//! [`Origin::time_of`].

#[cfg(test)]
mod tests;

pub mod text;

use serde::{Deserialize, Serialize};
use stdx::ids::Id as _;
use stdx::{HybridTime, UnixMicros};

use crate::model::{
    DeviceId, Fields, OperationId, RecordId, RecordKey, Rule, Table, Value, Version,
};
use crate::operation::{Action, Operation};

/// Who made a change, when, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Of the record, by this change.
    pub version: Version,
    /// When it was made, by the server's clock.
    pub at: HybridTime,
    /// On which device; none where it was merged of what two devices made.
    pub device: Option<DeviceId>,
    /// By which operation.
    pub operation: OperationId,
}

/// A record as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Of its last change.
    pub version: Version,
    /// Nothing where it was deleted.
    pub fields: Fields,
    /// The last change of each field, in the order of their names.
    pub stamps: Vec<(Box<str>, Stamp)>,
    /// Where it was deleted.
    pub deleted: Option<Stamp>,
}

impl Held {
    fn stamp(&self, field: &str) -> Option<&Stamp> {
        self.stamps.iter().find(|(name, _)| **name == *field).map(|(_, stamp)| stamp)
    }

    /// It holds these values, by a rule of the server's program that followed the last
    /// change. Nobody has set those that the operation does not name: whatever another
    /// device has set, also before, is later.
    pub fn follow(&mut self, saved: Fields, operation: &Operation, origin: &Origin) {
        let (version, operation_id) = (self.version, operation.id);
        for (name, value) in saved.iter() {
            if self.fields.get(name) != Some(value) {
                let named = operation.action.fields().is_some_and(|of| of.get(name).is_some());
                let at = if named { origin.time_of(operation) } else { HybridTime::ZERO };
                let stamp = Stamp { version, at, device: None, operation: operation_id };
                self.set(name, value.clone(), stamp);
            }
        }
        self.stamps.retain(|(name, _)| saved.get(name).is_some());
        self.fields = saved;
    }

    fn set(&mut self, field: &str, value: Value, stamp: Stamp) {
        self.fields.set(field, value);
        match self.stamps.binary_search_by(|(name, _)| (**name).cmp(field)) {
            Ok(at) => self.stamps[at].1 = stamp,
            Err(at) => self.stamps.insert(at, (field.into(), stamp)),
        }
    }
}

/// A text, or whatever else, that lost its place, and is kept for the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its own id: that of the operation by which it came to be.
    pub id: RecordId,
    /// Of which record.
    pub of: RecordKey,
    /// What lost its place.
    pub fields: Fields,
    /// When that was written, by the server's clock.
    pub at: HybridTime,
    /// Where that was written; none where it was merged of what two devices made.
    pub device: Option<DeviceId>,
    /// Why it is not in its place.
    pub why: Why,
}

/// The table that revisions are records of. The server makes them, devices pull them,
/// and a person can delete one.
pub const REVISIONS: Table = Table {
    name: "revisions",
    fields: &[
        ("of", Rule::Server),
        ("why", Rule::Server),
        ("at", Rule::Server),
        ("device", Rule::Server),
    ],
};

/// Before the names of the fields that a revision keeps.
const LOST: &str = "lost.";

impl Revision {
    /// As a record of [`REVISIONS`]: `of` as `table/id`, `why`, `at` in microseconds
    /// since 1970 UTC, `device` or null, and each field that it keeps under its name
    /// with `lost.` before it.
    #[must_use]
    pub fn record(&self) -> (RecordKey, Fields) {
        let mut fields = Fields::new();
        fields.set("of", self.of.to_string().into());
        fields.set("why", self.why.name().into());
        fields.set("at", Value::Int(self.at.wall().0));
        fields.set("device", self.device.map_or(Value::Null, |id| id.to_string().into()));
        for (name, value) in self.fields.iter() {
            fields.set(&format!("{LOST}{name}"), value.clone());
        }
        (RecordKey { table: REVISIONS.name.into(), id: self.id }, fields)
    }

    /// From such a record; none where it is not one.
    #[must_use]
    pub fn of_record(id: RecordId, fields: &Fields) -> Option<Self> {
        let text = |name| fields.get(name).and_then(Value::text);
        let Some(Value::Int(at)) = fields.get("at") else { return None };
        let device = text("device")?;
        let lost = fields
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(LOST)?, value.clone())));
        Some(Self {
            id,
            of: text("of")?.parse().ok()?,
            fields: lost.collect(),
            at: HybridTime::from_wall(UnixMicros(*at)),
            device: if device.is_empty() { None } else { Some(device.parse().ok()?) },
            why: [Why::Overlap, Why::Deleted]
                .into_iter()
                .find(|why| text("why") == Some(why.name()))?,
        })
    }
}

/// Why something is kept as a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Another device changed the same part of the text.
    Overlap,
    /// Another device had deleted the record, or did so without having seen it.
    Deleted,
}

impl Why {
    /// As it is stored, and said.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::Deleted => "deleted",
        }
    }
}

/// From where operations come, and when.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// From which device.
    pub device: DeviceId,
    /// What its clock showed when it sent them.
    pub device_now: UnixMicros,
    /// The server's time when they came.
    pub now: HybridTime,
}

impl Origin {
    /// When an edit was made, by the server's clock: as long ago as the device says,
    /// not before the device last heard from the server, and not in the future.
    ///
    /// So a clock that is wrong by years changes nothing, and one that was set
    /// between an edit and its sending moves the edit only between those two bounds.
    #[must_use]
    pub fn time_of(&self, operation: &Operation) -> HybridTime {
        let ago = self.device_now.0.saturating_sub(operation.at.0);
        let at = UnixMicros(self.now.wall().0.saturating_sub(ago));
        HybridTime::from_wall(at).max(operation.after).min(self.now)
    }
}

/// What becomes of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The record as it is to be held from now on; nothing where it stays as it is.
    pub held: Option<Held>,
    /// What lost its place.
    pub revision: Option<Revision>,
    /// What the device is told.
    pub outcome: Outcome,
}

/// What a device is told of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome", deny_unknown_fields)]
pub enum Outcome {
    /// The record is as the operation says, and nobody else had changed it since the
    /// version that the device saw.
    Applied {
        /// Of the record, now.
        version: Version,
    },
    /// The record has changes of others, too: this is all of it.
    Merged {
        /// Of the record, now.
        version: Version,
        /// What it holds.
        fields: Fields,
        /// Where something lost its place to this, or this to something else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<RecordId>,
    },
    /// The record is deleted, and the edit is kept as a revision.
    Kept {
        /// Of the record, which is deleted; where the server has forgotten it, the last
        /// change of the account.
        version: Version,
        /// The revision.
        revision: RecordId,
    },
    /// Nothing was done, and repeating it would not help.
    Refused {
        /// A code that programs know.
        code: String,
        /// What a person can do.
        message: String,
    },
}

impl Outcome {
    /// What the device is told where the record holds other values than were settled.
    #[must_use]
    pub fn followed(self, held: &Held) -> Self {
        let (version, fields) = (held.version, held.fields.clone());
        match self {
            Self::Applied { .. } => Self::Merged { version, fields, revision: None },
            Self::Merged { revision, .. } => Self::Merged { version, fields, revision },
            other => other,
        }
    }

    /// That of the record; nothing where the operation was refused.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        match self {
            Self::Applied { version }
            | Self::Merged { version, .. }
            | Self::Kept { version, .. } => Some(*version),
            Self::Refused { .. } => None,
        }
    }
}

/// Settles an operation; `version` is that of the change, where there is one.
///
/// The fields of the operation have to be of the table: see [`stranger`].
#[must_use]
pub fn settle(
    table: &Table,
    held: Option<&Held>,
    operation: &Operation,
    origin: &Origin,
    version: Version,
) -> Settled {
    let stamp = Stamp {
        version,
        at: origin.time_of(operation),
        device: (!operation.restores).then_some(origin.device),
        operation: operation.id,
    };
    let seen =
        |stamp: &Stamp| stamp.version <= operation.base || stamp.device == Some(origin.device);
    let revision = |fields: Fields, at: &Stamp, why: Why| Revision {
        id: RecordId::from_uuid(operation.id.uuid()),
        of: operation.key.clone(),
        fields,
        at: at.at,
        device: at.device,
        why,
    };
    let there = held.filter(|held| held.deleted.is_none());
    let unchanged =
        |version| Settled { held: None, revision: None, outcome: Outcome::Applied { version } };
    // What is not there any more is so at the last change that there was.
    let gone = held.map_or(Version(version.0.saturating_sub(1)), |held| held.version);
    match (&operation.action, there) {
        (Action::Delete, None) => unchanged(gone),
        (Action::Delete, Some(held)) => {
            let unseen = held.stamps.iter().filter(|(_, stamp)| !seen(stamp));
            let last = unseen.clone().map(|(_, stamp)| stamp).max_by_key(|stamp| stamp.version);
            let fields = unseen
                .filter_map(|(name, _)| Some((name, held.fields.get(name)?.clone())))
                .collect();
            Settled {
                held: Some(Held {
                    version,
                    fields: Fields::new(),
                    stamps: Vec::new(),
                    deleted: Some(stamp),
                }),
                revision: last.map(|last| revision(fields, last, Why::Deleted)),
                outcome: Outcome::Applied { version },
            }
        }
        (Action::Create { fields } | Action::Update { fields, .. }, None) => {
            // Where the server has forgotten it, nobody has seen it. (Two devices may make
            // one record, where its id follows from what it is: so it is made.)
            let is_seen = held.and_then(|held| held.deleted.as_ref()).is_some_and(seen);
            let stays_deleted = matches!(operation.action, Action::Update { .. }) && !is_seen;
            if stays_deleted {
                let revision = revision(fields.clone(), &stamp, Why::Deleted);
                let outcome = Outcome::Kept { version: gone, revision: revision.id };
                return Settled { held: None, revision: Some(revision), outcome };
            }
            let mut made =
                Held { version, fields: Fields::new(), stamps: Vec::new(), deleted: None };
            let mut all = true;
            for (name, value) in fields.iter() {
                if table.rule(name) == Some(Rule::Server) {
                    all = false;
                } else {
                    made.set(name, value.clone(), stamp);
                }
            }
            let outcome = if all {
                Outcome::Applied { version }
            } else {
                Outcome::Merged { version, fields: made.fields.clone(), revision: None }
            };
            Settled { held: Some(made), revision: None, outcome }
        }
        (Action::Create { fields } | Action::Update { fields, .. }, Some(held)) => {
            let mut now = held.clone();
            let mut lost = Lost { fields: Fields::new(), by: None };
            for (name, value) in fields.iter() {
                set_field(table, &mut now, operation, name, value, &stamp, &seen, &mut lost);
            }
            let changed = now.fields != held.fields;
            // Who makes a record takes what it named for all that there is.
            let as_wanted = match &operation.action {
                Action::Create { .. } => now.fields == *fields,
                _ => fields.iter().all(|(name, value)| now.fields.get(name) == Some(value)),
            };
            // Where nothing changes, the version is that of a change before: a device that
            // has not pulled that is told all of it.
            let alone = held
                .stamps
                .iter()
                .all(|(_, stamp)| stamp.version <= operation.base || changed && seen(stamp));
            let revision = lost.by.map(|by| revision(lost.fields, &by, Why::Overlap));
            if changed {
                now.version = version;
            }
            let outcome = if as_wanted && alone {
                Outcome::Applied { version: now.version }
            } else {
                Outcome::Merged {
                    version: now.version,
                    fields: now.fields.clone(),
                    revision: revision.as_ref().map(|revision| revision.id),
                }
            };
            Settled { held: changed.then_some(now), revision, outcome }
        }
    }
}

/// What lost its place, and whose it was.
struct Lost {
    fields: Fields,
    by: Option<Stamp>,
}

#[expect(clippy::too_many_arguments, reason = "one step of `settle`")]
fn set_field(
    table: &Table,
    now: &mut Held,
    operation: &Operation,
    name: &str,
    value: &Value,
    stamp: &Stamp,
    seen: &impl Fn(&Stamp) -> bool,
    lost: &mut Lost,
) {
    let old = now.stamp(name).copied();
    let current = now.fields.get(name).cloned();
    // Who makes a record says nothing by a field that is empty.
    let says_nothing = matches!(operation.action, Action::Create { .. }) && *value == Value::Null;
    if current.as_ref() == Some(value) || says_nothing {
        return;
    }
    let unseen = old.filter(|old| !seen(old));
    // What was seen is later than what it was seen from, whatever the clocks say.
    let after_seen = |old: Option<Stamp>| match old {
        Some(old) if old.at >= stamp.at => Stamp { at: old.at.next(), ..*stamp },
        _ => *stamp,
    };
    let later = |old: &Stamp| (stamp.at, stamp.operation) > (old.at, old.operation);
    match table.rule(name) {
        None | Some(Rule::Server) => {}
        Some(Rule::Earliest) => {
            if current.is_none_or(|current| current == Value::Null || *value < current) {
                now.set(name, value.clone(), after_seen(old));
            }
        }
        Some(Rule::Latest | Rule::Reference(_)) => match unseen {
            Some(other) if !later(&other) => {}
            Some(_) => now.set(name, value.clone(), *stamp),
            None => now.set(name, value.clone(), after_seen(old)),
        },
        Some(Rule::Text) => {
            const NO_TEXT: &Value = &Value::Null;
            let base = match &operation.action {
                Action::Update { bases, .. } => bases.get(name),
                Action::Create { .. } => unseen.map(|_| NO_TEXT),
                Action::Delete => None,
            };
            let Some(current) = current else {
                return now.set(name, value.clone(), *stamp);
            };
            // What has no stamp is of before there were any, or had another name then.
            let of_long_ago = Stamp { at: HybridTime::ZERO, device: None, ..*stamp };
            let other = old.unwrap_or(of_long_ago);
            // The text itself says what was seen: of what was merged meanwhile a
            // device has seen only its own part.
            if base == Some(&current) || base.is_none() && unseen.is_none() {
                return now.set(name, value.clone(), after_seen(old));
            }
            let merged = match (base.and_then(Value::text), current.text(), value.text()) {
                (Some(base), Some(current), Some(value)) => text::merge(base, current, value),
                _ => None,
            };
            if let Some(merged) = merged {
                let merged = Value::from(merged);
                let device = stamp.device.filter(|_| merged == *value);
                now.set(name, merged, Stamp { at: stamp.at.max(other.at), device, ..*stamp });
            } else if later(&other) {
                lost.fields.set(name, current);
                lost.by = Some(other);
                now.set(name, value.clone(), *stamp);
            } else {
                lost.fields.set(name, value.clone());
                lost.by = Some(*stamp);
            }
        }
    }
}

/// The first field of an operation that has no place in its table.
#[must_use]
pub fn stranger<'a>(table: &Table, operation: &'a Operation) -> Option<&'a str> {
    let fields = operation.action.fields()?;
    fields.iter().map(|(name, _)| name).find(|name| table.rule(name).is_none())
}
