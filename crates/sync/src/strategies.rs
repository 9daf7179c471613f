//! What stands for anything of each kind in property tests, behind the feature
//! `proptest`: any wire or stored value there can be.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stdx::{HybridTime, UnixMicros};
use uuid::Uuid;

use crate::engine::{End, Kind, Logged, Persist, Retry, Saved, Session};
use crate::merge::{Outcome, Revision, Why};
use crate::model::{AccountId, Fields, RecordKey, Value, Version};
use crate::operation::{Action, Operation};
use crate::queue::{Failure, Known, Priority, Queued};
use crate::wire::{Answer, Change, PROTOCOL, Pull, PullAnswer, Push, PushAnswer};

/// One of a few ids, so that things meet.
pub fn ids<I: stdx::ids::Id + std::fmt::Debug>() -> impl Strategy<Value = I> {
    (0u128..6).prop_map(|number| I::from_uuid(Uuid::from_u128(number + 1)))
}

/// One of a few records.
pub fn keys() -> impl Strategy<Value = RecordKey> {
    (prop_oneof![Just("memos"), Just("shelf")], ids())
        .prop_map(|(table, id)| RecordKey { table: table.into(), id })
}

/// Any value.
pub fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<String>(), 0..3)
            .prop_map(|all| Value::Texts(all.into_iter().map(Into::into).collect())),
    ]
}

/// Any fields, of any names.
pub fn fields() -> impl Strategy<Value = Fields> {
    prop::collection::vec((".{0,3}", values()), 0..4).prop_map(|all| all.into_iter().collect())
}

fn instants() -> impl Strategy<Value = UnixMicros> {
    any::<i64>().prop_map(UnixMicros)
}

fn times() -> impl Strategy<Value = HybridTime> {
    (0..1i64 << 50).prop_map(|at| HybridTime::from_wall(UnixMicros(at)))
}

fn versions() -> impl Strategy<Value = Version> {
    any::<u64>().prop_map(Version)
}

/// Any operation.
pub fn operations() -> impl Strategy<Value = Operation> {
    let action = prop_oneof![
        fields().prop_map(|fields| Action::Create { fields }),
        (fields(), fields()).prop_map(|(fields, bases)| Action::Update { fields, bases }),
        Just(Action::Delete),
    ];
    let rest = (ids(), any::<u64>(), keys(), versions(), instants(), instants(), times());
    (action, rest, any::<(u32, bool)>()).prop_map(
        |(action, (id, sequence, key, base, written, at, after), (schema, restores))| Operation {
            id,
            sequence,
            key,
            action,
            base,
            written,
            at,
            after,
            schema,
            restores,
        },
    )
}

fn failures() -> impl Strategy<Value = Failure> {
    any::<(String, String)>().prop_map(|(code, message)| Failure { code, message })
}

/// Any operation in a queue.
pub fn queued() -> impl Strategy<Value = Queued> {
    let rest =
        (1u8..=5, instants(), any::<[bool; 2]>(), any::<u32>(), prop::option::of(failures()));
    (operations(), rest).prop_map(
        |(operation, (priority, queued, [sent, again], passed_over, failure))| Queued {
            operation,
            priority: Priority::try_from(priority).expect("1 to 5"),
            queued,
            sent,
            passed_over,
            again,
            failure,
        },
    )
}

/// Anything that is stored of a record.
pub fn saved() -> impl Strategy<Value = Saved> {
    let known = (versions(), 0u32..4, prop::option::of(fields()))
        .prop_map(|(version, generation, fields)| Known { version, generation, fields });
    // What is shown is mostly what is known.
    let shown = prop_oneof![2 => Just(None), 1 => prop::option::of(fields()).prop_map(Some)];
    (prop::option::of(known), shown).prop_map(|(known, shown)| {
        let same = known.as_ref().and_then(|known| known.fields.clone());
        Saved { known, shown: shown.unwrap_or(same) }
    })
}

/// Any entry of the log.
pub fn logged() -> impl Strategy<Value = Logged> {
    let kind = prop_oneof![Just(Kind::Create), Just(Kind::Update), Just(Kind::Delete)];
    let end = prop_oneof![
        Just(End::Applied),
        Just(End::Merged),
        Just(End::Kept),
        Just(End::Refused),
        Just(End::Discarded),
    ];
    (ids(), keys(), kind, end, instants(), instants()).prop_map(
        |(operation, key, kind, end, queued, settled)| Logged {
            operation,
            key,
            kind,
            end,
            queued,
            settled,
        },
    )
}

/// Any session.
pub fn sessions() -> impl Strategy<Value = Session> {
    let retry = (any::<u32>(), instants(), any::<bool>(), any::<bool>()).prop_map(
        |(attempts, until, asked_for, of_push)| Retry { attempts, of_push, until, asked_for },
    );
    let cursor = (prop::option::of(ids()), versions());
    let pulling = (cursor, any::<u32>(), prop::option::of(versions()), times());
    let shrunk = (prop::option::of(any::<usize>()), any::<[u32; 2]>());
    let sending = (prop::option::of(retry), prop::collection::vec(ids(), 0..3), shrunk);
    let stands = (any::<bool>(), prop::option::of(failures()), prop::option::of(instants()));
    let counts = (any::<[u64; 4]>(), instants());
    (ids(), ids(), pulling, sending, stands, counts).prop_map(
        |(account, device, pulling, sending, stands, counts)| {
            let ((log, cursor), generation, anew, heard) = pulling;
            let (retry, flight, (push_max, [not_taken, rejected])) = sending;
            let (logged_out, stopped, last_success) = stands;
            let ([sequence, logged, waited, progress], last) = counts;
            let waited = Duration::from_micros(waited);
            Session {
                sequence,
                log,
                cursor,
                generation,
                anew,
                heard,
                retry,
                flight,
                push_max,
                not_taken,
                rejected,
                progress,
                logged_out,
                stopped,
                last_success,
                logged,
                waited,
                last,
                ..Session::new(account, device)
            }
        },
    )
}

/// Anything that a step of an engine wants written down, of this account.
///
/// The number of an entry of the log stands in the entry, too ([`Logged::settled`]), so that it
/// can be told from what is read.
pub fn persists(account: AccountId) -> impl Strategy<Value = Persist> {
    let logged = (1u64..1_400, logged()).prop_map(|(number, logged)| {
        let settled = UnixMicros(number.cast_signed());
        Persist::Log(number, Box::new(Logged { settled, ..logged }))
    });
    let session = sessions()
        .prop_map(move |any| Session { account, ..any })
        .prop_map(|session| Persist::Session(Box::new(session)));
    prop_oneof![
        1 => session,
        4 => (keys(), saved()).prop_map(|(key, saved)| Persist::Record(key, saved)),
        1 => keys().prop_map(Persist::RecordGone),
        4 => queued().prop_map(|queued| Persist::Operation(Arc::new(queued))),
        1 => ids().prop_map(Persist::OperationGone),
        2 => logged,
        1 => (0u32..4).prop_map(|older_than| Persist::Forget { older_than }),
    ]
}

/// Any outcome.
pub fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        versions().prop_map(|version| Outcome::Applied { version }),
        (versions(), fields(), prop::option::of(ids()))
            .prop_map(|(version, fields, revision)| Outcome::Merged { version, fields, revision }),
        (versions(), ids()).prop_map(|(version, revision)| Outcome::Kept { version, revision }),
        any::<(String, String)>().prop_map(|(code, message)| Outcome::Refused { code, message }),
    ]
}

/// Any revision, of a field that has a name.
pub fn revisions() -> impl Strategy<Value = Revision> {
    let why = prop_oneof![Just(Why::Overlap), Just(Why::Deleted)];
    (ids(), keys(), fields(), times(), prop::option::of(ids()), why)
        .prop_map(|(id, of, fields, at, device, why)| Revision { id, of, fields, at, device, why })
}

/// Any push.
pub fn pushes() -> impl Strategy<Value = Push> {
    let operations = prop::collection::vec(operations(), 0..3);
    (ids(), ids(), prop::option::of(ids()), instants(), any::<u64>(), operations).prop_map(
        |(account, device, log, now, settled, operations)| Push {
            protocol: PROTOCOL,
            account,
            device,
            log,
            now,
            settled,
            operations,
        },
    )
}

/// Any answer to a push.
pub fn push_answers() -> impl Strategy<Value = PushAnswer> {
    let answer = (ids(), outcomes()).prop_map(|(operation, outcome)| Answer { operation, outcome });
    let log = (ids(), prop::option::of(versions()));
    (times(), prop::collection::vec(answer, 0..3), versions(), any::<u64>(), log).prop_map(
        |(now, answers, head, sequence, (log, common))| PushAnswer {
            now,
            answers,
            head,
            sequence,
            log,
            common,
        },
    )
}

/// Any pull.
pub fn pulls() -> impl Strategy<Value = Pull> {
    let from = (prop::option::of(ids()), versions(), prop::option::of(versions()));
    (ids(), ids(), from, any::<u32>()).prop_map(|(account, device, (log, cursor, anew), limit)| {
        Pull { protocol: PROTOCOL, account, device, log, cursor, anew, limit }
    })
}

/// Any answer to a pull.
pub fn pull_answers() -> impl Strategy<Value = PullAnswer> {
    let change = (versions(), keys(), prop::option::of(fields()))
        .prop_map(|(version, key, fields)| Change { version, key, fields });
    let stands = (versions(), any::<bool>(), versions());
    let log = (ids(), prop::option::of(versions()));
    (times(), prop::collection::vec(change, 0..3), stands, log).prop_map(
        |(now, changes, (cursor, more, head), (log, common))| PullAnswer {
            now,
            changes,
            cursor,
            more,
            head,
            log,
            common,
        },
    )
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    fn is_read_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
        value: &T,
    ) -> Result<(), TestCaseError> {
        let text = serde_json::to_string(value).unwrap();
        prop_assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{}", text);
        Ok(())
    }

    proptest! {
        #[test]
        fn what_goes_over_the_wire_is_read_again(
            push in pushes(), push_answer in push_answers(),
            pull in pulls(), pull_answer in pull_answers(),
        ) {
            is_read_again(&push)?;
            is_read_again(&push_answer)?;
            is_read_again(&pull)?;
            is_read_again(&pull_answer)?;
        }

        #[test]
        fn what_is_stored_is_read_again(
            queued in queued(), saved in saved(), logged in logged(), session in sessions(),
        ) {
            is_read_again(&queued)?;
            is_read_again(&saved)?;
            is_read_again(&logged)?;
            is_read_again(&session)?;
        }
    }
}
