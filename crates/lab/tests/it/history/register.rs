//! The judge of registers.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::history::register::{Answer, Key, Refusal, Request, Value, judge};
use lab::history::{ClientId, History, Judged, Operation, Outcome};
use proptest::prelude::*;

use super::{Fate, LIMIT, Stretch, fate, has_order, operation, spread, stretch};

type Made = Operation<Request, Answer>;

fn write(who: u32, from: u64, to: u64, value: Value) -> Made {
    operation(who, from, to, Request::Write { key: 0, value }, Outcome::Ok(Answer::Written))
}

fn refused_write(who: u32, from: u64, to: u64, value: Value) -> Made {
    operation(who, from, to, Request::Write { key: 0, value }, Outcome::Fail)
}

fn untold_write(who: u32, from: u64, to: u64, value: Value) -> Made {
    operation(who, from, to, Request::Write { key: 0, value }, Outcome::Unknown)
}

fn read(who: u32, from: u64, to: u64, value: impl Into<Option<Value>>) -> Made {
    let answer = Answer::Value(value.into());
    operation(who, from, to, Request::Read { key: 0 }, Outcome::Ok(answer))
}

fn judged(operations: Vec<Made>) -> Result<Judged, Refusal> {
    judge(&History::from_operations(operations).unwrap(), LIMIT)
}

fn accepts(operations: Vec<Made>) {
    judged(operations).unwrap();
}

/// Refuses it, and because of this client's operation.
fn refuses(who: u32, operations: Vec<Made>) {
    match judged(operations) {
        Err(Refusal::NotLinearizable { key: 0, last }) => {
            assert_eq!(last[0].who, ClientId(who), "{last:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_after_the_other_is_accepted() {
    accepts(vec![read(0, 0, 1, None), write(0, 2, 3, 1), read(1, 4, 5, 1), read(0, 6, 7, 1)]);
}

#[test]
fn a_write_that_overlaps_a_read_may_be_seen_or_not() {
    accepts(vec![write(0, 0, 1, 1), write(0, 2, 9, 2), read(1, 3, 4, 1), read(1, 5, 6, 2)]);
    accepts(vec![write(0, 0, 1, 1), write(0, 2, 9, 2), read(1, 3, 4, 2), read(2, 5, 6, 2)]);
}

#[test]
fn a_stale_read_is_refused() {
    refuses(1, vec![write(0, 0, 1, 1), write(0, 2, 3, 2), read(1, 4, 5, 1)]);
    // Once seen, a write stays seen, also by another client.
    refuses(2, vec![write(0, 0, 1, 1), write(0, 2, 9, 2), read(1, 3, 4, 2), read(2, 5, 6, 1)]);
}

#[test]
fn a_lost_acknowledged_write_is_refused() {
    refuses(1, vec![write(0, 0, 1, 1), read(1, 2, 3, None)]);
}

#[test]
fn a_lost_update_is_refused() {
    // Of two writes at once one is the last; both can't be the last in turn.
    refuses(2, vec![write(0, 0, 3, 1), write(1, 1, 2, 2), read(2, 4, 5, 1), read(2, 6, 7, 2)]);
}

#[test]
fn a_refused_write_that_is_seen_is_refused() {
    refuses(1, vec![refused_write(0, 0, 1, 7), read(1, 2, 3, 7)]);
    // Also while it is not known yet that it is refused: it never happens.
    refuses(1, vec![refused_write(0, 0, 5, 7), read(1, 2, 3, 7)]);
}

#[test]
fn a_value_from_nowhere_is_refused() {
    refuses(1, vec![write(0, 0, 1, 1), read(1, 2, 3, 9)]);
}

#[test]
fn an_unknown_write_may_have_happened_or_not_or_happen_late() {
    let start = || vec![write(0, 0, 1, 1), untold_write(1, 2, 3, 2)];
    let with = |reads: Vec<Made>| start().into_iter().chain(reads).collect::<Vec<_>>();
    accepts(with(vec![read(0, 4, 5, 1)]));
    accepts(with(vec![read(0, 4, 5, 2)]));
    accepts(with(vec![read(0, 4, 5, 1), read(0, 6, 7, 2)]));
    refuses(0, with(vec![read(0, 4, 5, 2), read(0, 6, 7, 1)]));
    // Not before it was asked for.
    refuses(0, vec![read(0, 0, 1, 2), untold_write(1, 2, 3, 2), read(0, 4, 5, 2)]);
}

#[test]
fn the_refusal_shows_the_first_operation_that_nothing_explains() {
    let mut operations = vec![write(0, 0, 1, 1), write(0, 2, 3, 2), read(1, 4, 5, 1)];
    operations.extend((3..40).map(|at| read(2, 2 * at, 2 * at + 1, 2)));
    let refusal = judged(operations).unwrap_err().to_string();
    assert_eq!(
        refusal,
        "key 0 is not linearizable: nothing explains client 1 read 1 (4µs to 5µs), after client \
         0 wrote 2 (2µs to 3µs), after client 0 wrote 1 (0ns to 1µs)"
    );
}

#[test]
fn keys_are_judged_by_themselves() {
    let other = operation(5, 10, 11, Request::Read { key: 3 }, Outcome::Ok(Answer::Value(Some(1))));
    let refusal = judged(vec![write(0, 0, 1, 1), read(0, 2, 3, 1), other]).unwrap_err();
    assert!(matches!(&refusal, Refusal::NotLinearizable { key: 3, .. }), "{refusal}");
}

#[test]
fn nothing_read_is_nothing_proved() {
    assert_eq!(judged(vec![write(0, 0, 1, 1)]), Err(Refusal::NothingRead));
    let odd = operation(0, 0, 1, Request::Read { key: 0 }, Outcome::Ok(Answer::Written));
    assert!(matches!(judged(vec![odd]), Err(Refusal::Answer { .. })));
}

#[test]
fn a_search_without_time_decides_nothing() {
    // Forty writes at once, each seen, in an order that nothing forbids until
    // the end: more orders than can be tried.
    let mut operations: Vec<_> =
        (0..40).map(|at| write(at, u64::from(at), 1_000 + u64::from(at), at % 20)).collect();
    operations.extend((0..20).map(|at| {
        let at = 100 + at;
        read(at, u64::from(at), 2_000 + u64::from(at), at - 100)
    }));
    operations.push(read(200, 5_000, 5_001, None));
    let history = History::from_operations(operations).unwrap();
    let limit = Duration::from_millis(1);
    assert_eq!(judge(&history, limit), Err(Refusal::Undecided { key: 0, limit }));
}

#[test]
fn many_unknown_writes_that_nobody_saw_cost_nothing() {
    let mut operations: Vec<_> = (0..200)
        .map(|at| untold_write(at, u64::from(at), 1_000 + u64::from(at), 10_000 + at))
        .collect();
    operations.extend((0..200).map(|at| write(500, 2_000 + 4 * at, 2_001 + 4 * at, 1)));
    operations.extend((0..200).map(|at| read(501, 2_002 + 4 * at, 2_003 + 4 * at, 1)));
    accepts(operations);
}

#[derive(Clone, Debug)]
struct Asked {
    key: Key,
    writes: bool,
    fate: Fate,
    stretch: Stretch,
}

fn asked() -> impl Strategy<Value = Asked> {
    (0..3_u32, any::<bool>(), fate(), stretch()).prop_map(|(key, writes, fate, stretch)| Asked {
        key,
        writes,
        fate,
        stretch,
    })
}

/// What registers that work say when they are asked one after the other. Every
/// write writes something else.
fn run(requests: Vec<Asked>) -> History<Request, Answer> {
    let mut registers: BTreeMap<Key, Value> = BTreeMap::new();
    let answered = (1..).zip(requests).map(|(value, asked)| {
        let Asked { key, writes, fate, stretch } = asked;
        if !writes {
            let answer = Answer::Value(registers.get(&key).copied());
            return (Request::Read { key }, fate, stretch, Some(answer));
        }
        if fate.is_done() {
            registers.insert(key, value);
        }
        (Request::Write { key, value }, fate, stretch, Some(Answer::Written))
    });
    spread(answered.collect())
}

/// Every read of a history changed to what it can't have said.
fn spoils(operations: &[Made]) -> Vec<(usize, Option<Value>)> {
    let mut spoils = Vec::new();
    for (at, read) in operations.iter().enumerate() {
        let (Request::Read { key }, Some(_)) = (read.input, read.answer()) else { continue };
        spoils.push((at, Some(u32::MAX)));
        let writes = || {
            operations.iter().filter_map(move |write| match write.input {
                Request::Write { key: written, value } if written == key => Some((write, value)),
                _ => None,
            })
        };
        for (write, value) in writes() {
            if matches!(write.outcome, Outcome::Fail) {
                spoils.push((at, Some(value)));
            }
            if !write.is_before(read) {
                continue;
            }
            spoils.push((at, None));
            let overwritten =
                writes().filter(|(old, _)| old.is_before(write)).map(|(_, old)| (at, Some(old)));
            spoils.extend(overwritten);
        }
    }
    spoils
}

proptest! {
    #[test]
    fn a_serial_run_is_accepted_and_refused_once_a_read_is_spoiled(
        requests in prop::collection::vec(asked(), 1..30),
        which in any::<prop::sample::Index>(),
    ) {
        let history = run(requests);
        let mut operations = history.clone().into_operations();
        let spoils = spoils(&operations);
        if spoils.is_empty() {
            prop_assert_eq!(judge(&history, LIMIT), Err(Refusal::NothingRead));
            return Ok(());
        }
        prop_assert!(judge(&history, LIMIT).is_ok());
        let (at, value) = spoils[which.index(spoils.len())];
        operations[at].outcome = Outcome::Ok(Answer::Value(value));
        let spoiled = History::from_operations(operations).unwrap();
        let is_refused = matches!(judge(&spoiled, LIMIT), Err(Refusal::NotLinearizable { .. }));
        prop_assert!(is_refused);
    }
}

/// A few operations of clients of their own, in any overlap, with any answers.
fn few() -> impl Strategy<Value = Vec<Made>> {
    let made = (any::<bool>(), 0..4_u32, 0..4_u8);
    prop::collection::vec(made, 1..7).prop_flat_map(|made| {
        let moments: Vec<u64> = (0..2 * made.len() as u64).collect();
        (Just(made), Just(moments).prop_shuffle()).prop_map(|(made, moments)| {
            let operation = |(at, (writes, value, fate)): (usize, (bool, u32, u8))| {
                let (one, other) = (moments[2 * at], moments[2 * at + 1]);
                let (from, to, who) = (one.min(other), one.max(other), u32::try_from(at).unwrap());
                match (writes, fate) {
                    (true, 0) => untold_write(who, from, to, value),
                    (true, 1) => refused_write(who, from, to, value),
                    (true, _) => write(who, from, to, value),
                    // Nothing is written as 0, so that reads find it at times.
                    (false, _) => read(who, from, to, (value > 0).then_some(value)),
                }
            };
            made.into_iter().enumerate().map(operation).collect()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_agrees_with_trying_every_order(operations in few()) {
        let is_legal = has_order(&operations, &None, &|state: &Option<Value>, operation| {
            match (operation.input, operation.answer()) {
                (Request::Write { value, .. }, _) => Some(Some(value)),
                (Request::Read { .. }, Some(Answer::Value(value))) => {
                    (value == state).then_some(*state)
                }
                (Request::Read { .. }, _) => Some(*state),
            }
        });
        let judged = judged(operations);
        let is_accepted = matches!(judged, Ok(_) | Err(Refusal::NothingRead));
        prop_assert_eq!(is_accepted, is_legal, "{:?}", judged);
    }
}
