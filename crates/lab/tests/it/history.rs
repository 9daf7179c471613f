//! Histories: how they are recorded, and what their judges refuse.

mod bank;
mod list_append;
mod register;

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use lab::Recorder;
use lab::history::{ClientId, History, HistoryError, Moment, Operation, Outcome};
use proptest::prelude::*;

/// Plenty for histories of this size.
const LIMIT: Duration = Duration::from_secs(20);

fn moment(order: u64) -> Moment {
    Moment { order, at: Duration::from_micros(order) }
}

/// An operation that is made up. `completed` is `None` where the client still
/// waits.
fn operation<I, O>(
    who: u32,
    invoked: u64,
    completed: impl Into<Option<u64>>,
    input: I,
    outcome: Outcome<O>,
) -> Operation<I, O> {
    Operation {
        who: ClientId(who),
        input,
        invoked: moment(invoked),
        completed: completed.into().map(moment),
        outcome,
    }
}

/// What becomes of an operation of a made-up run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    /// Nobody told the client, who gave up or waits for ever.
    Untold {
        done: bool,
        waits: bool,
    },
}

impl Fate {
    fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Untold { done: true, .. })
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        7 => Just(Fate::Done),
        1 => Just(Fate::Refused),
        2 => any::<(bool, bool)>().prop_map(|(done, waits)| Fate::Untold { done, waits }),
    ]
}

/// How far around the moment of its effect an operation stretches, in places
/// of the run: so operations overlap.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    before: u64,
    after: u64,
}

fn stretch() -> impl Strategy<Value = Stretch> {
    (1..40_u64, 1..40_u64).prop_map(|(before, after)| Stretch { before, after })
}

/// A history of operations that took effect one after the other, in the order
/// given, each within its stretch. `answer` is what happened operations said.
fn spread<I, O>(run: Vec<(I, Fate, Stretch, Option<O>)>) -> History<I, O> {
    let count = run.len() as u64;
    let mut operations: Vec<_> = (0_u64..)
        .zip(run)
        .map(|(place, (input, fate, stretch, answer))| {
            // No two moments are the same: each operation has two of its own
            // in every place.
            let order = |place: u64, end: u64| place * (2 * count + 1) + end;
            let effect = (place + 5) * 10;
            let invoked = order(effect - stretch.before, 2 * place);
            let completed = order(effect + stretch.after, 2 * place + 1);
            let outcome = match fate {
                Fate::Done => Outcome::Ok(answer.expect("what is done has an answer")),
                Fate::Refused => Outcome::Fail,
                Fate::Untold { .. } => Outcome::Unknown,
            };
            let waits = matches!(fate, Fate::Untold { waits: true, .. });
            operation(0, invoked, (!waits).then_some(completed), input, outcome)
        })
        .collect();
    // As many clients as it takes.
    operations.sort_by_key(|operation| operation.invoked.order);
    let mut free: Vec<Option<u64>> = Vec::new();
    for operation in &mut operations {
        let is_free = |from: &Option<u64>| from.is_some_and(|from| from < operation.invoked.order);
        let who = free.iter().position(is_free).unwrap_or(free.len());
        free.resize(free.len().max(who + 1), None);
        free[who] = operation.completed.map(|completed| completed.order);
        operation.who = ClientId(u32::try_from(who).unwrap());
    }
    History::from_operations(operations).unwrap()
}

/// Whether some order of the operations that real time allows is legal, by
/// trying all. `apply` says what a state becomes, and `None` where the answer
/// is not that of the state. What is unknown may be left out.
fn has_order<I, O, S: Clone>(
    operations: &[Operation<I, O>],
    state: &S,
    apply: &impl Fn(&S, &Operation<I, O>) -> Option<S>,
) -> bool
where
    I: Clone,
    O: Clone,
{
    if operations.iter().all(|operation| operation.answer().is_none()) {
        return true;
    }
    (0..operations.len()).any(|at| {
        let next = &operations[at];
        if matches!(next.outcome, Outcome::Fail)
            || operations.iter().any(|other| other.is_before(next))
        {
            return false;
        }
        let mut rest = operations.to_vec();
        rest.remove(at);
        apply(state, next).is_some_and(|state| has_order(&rest, &state, apply))
    })
}

#[test]
fn a_recorder_keeps_what_every_thread_did_in_the_order_of_time() {
    let recorder = Recorder::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = recorder.client();
            scope.spawn(move || {
                for number in 0..100_u32 {
                    let open = client.invoke(number);
                    match number % 4 {
                        0 => open.ok(number * 2),
                        1 => open.fail(),
                        2 => open.unknown(),
                        _ => drop(open),
                    }
                }
            });
        }
    });
    let history = recorder.history();
    let operations = history.operations();
    assert_eq!(operations.len(), 400);
    for operation in operations {
        let expected = match operation.input % 4 {
            0 => Outcome::Ok(operation.input * 2),
            1 => Outcome::Fail,
            _ => Outcome::Unknown,
        };
        assert_eq!(operation.outcome, expected);
        let completed = operation.completed.unwrap();
        assert!(completed.order > operation.invoked.order && completed.at >= operation.invoked.at);
    }
    let clients: BTreeSet<_> = operations.iter().map(|operation| operation.who).collect();
    assert_eq!(clients.len(), 4);
    assert_eq!(History::from_operations(operations.to_vec()), Ok(history));
}

#[test]
fn what_is_under_way_is_unknown() {
    let recorder = Recorder::new();
    let mut client = recorder.client();
    let open = client.invoke("write");
    let now = recorder.history();
    assert_eq!(
        (now.operations()[0].completed, &now.operations()[0].outcome),
        (None, &Outcome::Unknown)
    );
    open.ok(1);
    assert_eq!(recorder.history().operations()[0].answer(), Some(&1));
    assert_eq!(now.operations()[0].answer(), None, "a history does not change");
}

#[test]
fn a_thread_that_panics_leaves_an_unknown_outcome() {
    let recorder: Recorder<_, ()> = Recorder::new();
    let mut client = recorder.client();
    let panicked = thread::spawn(move || {
        let _open = client.invoke("write");
        std::panic::resume_unwind(Box::new("a test's own"));
    });
    assert!(panicked.join().is_err());
    let history = recorder.history();
    assert_eq!(history.operations()[0].outcome, Outcome::Unknown);
    assert!(history.operations()[0].completed.is_some());
}

#[test]
fn what_can_not_have_happened_is_no_history() {
    type Made = Vec<Operation<(), ()>>;
    let refused = |operations: Made| History::from_operations(operations).unwrap_err();
    let who = ClientId(0);
    assert_eq!(
        refused(vec![
            operation(0, 0, 2, (), Outcome::Ok(())),
            operation(0, 1, 3, (), Outcome::Ok(())),
        ]),
        HistoryError::Overlap { who, invoked: 1 }
    );
    assert_eq!(
        refused(vec![
            operation(0, 0, None, (), Outcome::Unknown),
            operation(0, 1, 3, (), Outcome::Ok(())),
        ]),
        HistoryError::Overlap { who, invoked: 1 }
    );
    assert_eq!(
        refused(vec![operation(0, 5, 4, (), Outcome::Fail)]),
        HistoryError::Backwards { who, invoked: 5 }
    );
    assert_eq!(
        refused(vec![operation(0, 5, None, (), Outcome::Ok(()))]),
        HistoryError::Early { who, invoked: 5 }
    );
    assert_eq!(
        refused(
            vec![operation(0, 0, 2, (), Outcome::Fail), operation(1, 1, 2, (), Outcome::Fail),]
        ),
        HistoryError::Twice { order: 2 }
    );
}
