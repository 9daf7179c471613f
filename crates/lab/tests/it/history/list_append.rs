//! The judge of isolation.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::history::list_append::{
    Answer, Element, FormError, Level, List, NotFresh, NotKept, Refusal, Request, Step, fresh,
    judge, kept,
};
use lab::history::{History, Operation, Outcome};
use proptest::prelude::*;

use super::{Fate, LIMIT, Stretch, fate, has_order, operation, spread, stretch};

type Made = Operation<Request, Answer>;

const X: List = 0;
const Y: List = 1;

/// A step together with what it showed.
enum Did {
    Append(List, Element),
    Read(List, &'static [Element]),
}

use Did::{Append, Read};

fn did(who: u32, from: u64, to: u64, steps: &[Did]) -> Made {
    let input = steps
        .iter()
        .map(|step| match *step {
            Append(list, element) => Step::Append { list, element },
            Read(list, _) => Step::Read { list },
        })
        .collect();
    let shown = |step: &Did| match step {
        Append(..) => None,
        Read(_, elements) => Some(elements.to_vec()),
    };
    operation(who, from, to, input, Outcome::Ok(steps.iter().filter_map(shown).collect()))
}

fn refused(mut operation: Made) -> Made {
    operation.outcome = Outcome::Fail;
    operation
}

fn untold(mut operation: Made) -> Made {
    operation.outcome = Outcome::Unknown;
    operation
}

fn history(operations: Vec<Made>) -> History<Request, Answer> {
    History::from_operations(operations).unwrap()
}

fn accepts(level: Level, operations: Vec<Made>) {
    if let Err(refusal) = judge(&history(operations), level, LIMIT) {
        panic!("{refusal}");
    }
}

/// The kinds of anomalies for which it is refused.
fn refuses(level: Level, operations: Vec<Made>) -> Vec<String> {
    match judge(&history(operations), level, LIMIT) {
        Err(Refusal::Spoiled { anomalies, .. }) => {
            let mut kinds: Vec<_> = anomalies.into_iter().map(|anomaly| anomaly.kind).collect();
            kinds.dedup();
            kinds
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_after_the_other_is_accepted_under_every_level() {
    for level in Level::ALL {
        accepts(
            level,
            vec![
                did(0, 0, 1, &[Read(X, &[]), Append(X, 1)]),
                did(1, 2, 3, &[Append(X, 2), Read(X, &[1, 2]), Append(Y, 3)]),
                did(0, 4, 5, &[Read(X, &[1, 2]), Read(Y, &[3])]),
            ],
        );
    }
}

#[test]
fn a_dirty_read_is_refused() {
    let spoiled = || {
        vec![refused(did(0, 0, 1, &[Append(X, 1)])), did(1, 2, 3, &[Read(X, &[1]), Append(Y, 2)])]
    };
    assert_eq!(refuses(Level::ReadCommitted, spoiled()), ["G1a"]);
    assert!(refuses(Level::StrictSerializable, spoiled()).contains(&"G1a".to_owned()));
}

#[test]
fn a_read_of_what_is_on_the_way_is_refused() {
    let spoiled = vec![
        did(0, 0, 5, &[Append(X, 1), Append(X, 2)]),
        did(1, 1, 2, &[Read(X, &[1])]),
        did(1, 6, 7, &[Read(X, &[1, 2])]),
    ];
    assert!(refuses(Level::ReadCommitted, spoiled).contains(&"G1b".to_owned()));
}

#[test]
fn a_cycle_of_writes_is_refused() {
    let spoiled = vec![
        did(0, 0, 5, &[Append(X, 1), Append(Y, 1)]),
        did(1, 1, 6, &[Append(X, 2), Append(Y, 2)]),
        did(2, 7, 8, &[Read(X, &[1, 2]), Read(Y, &[2, 1])]),
    ];
    assert_eq!(refuses(Level::ReadUncommitted, spoiled), ["G0"]);
}

#[test]
fn a_cycle_of_reads_and_writes_is_refused() {
    let spoiled = || {
        vec![
            did(0, 0, 5, &[Append(X, 1), Read(Y, &[2])]),
            did(1, 1, 6, &[Append(Y, 2), Read(X, &[1])]),
        ]
    };
    assert_eq!(refuses(Level::ReadCommitted, spoiled()), ["G1c"]);
    accepts(Level::ReadUncommitted, spoiled());
}

#[test]
fn a_lost_update_is_refused() {
    let spoiled = || {
        vec![
            did(0, 0, 5, &[Read(X, &[]), Append(X, 1)]),
            did(1, 1, 6, &[Read(X, &[]), Append(X, 2)]),
            did(2, 7, 8, &[Read(X, &[1, 2])]),
        ]
    };
    for level in [Level::RepeatableRead, Level::SnapshotIsolation, Level::Serializable] {
        let kinds = refuses(level, spoiled());
        assert!(kinds.iter().any(|kind| kind == "lost-update"), "{level}: {kinds:?}");
    }
    accepts(Level::ReadCommitted, spoiled());
}

#[test]
fn a_read_of_two_states_is_refused() {
    let spoiled = || {
        vec![
            did(0, 0, 5, &[Append(X, 1), Append(Y, 1)]),
            did(1, 1, 6, &[Read(X, &[]), Read(Y, &[1])]),
        ]
    };
    assert_eq!(refuses(Level::SnapshotIsolation, spoiled()), ["G-single-item"]);
    accepts(Level::ReadCommitted, spoiled());
}

#[test]
fn write_skew_is_what_a_snapshot_allows() {
    let spoiled = || {
        vec![
            did(0, 0, 5, &[Read(X, &[]), Read(Y, &[]), Append(X, 1)]),
            did(1, 1, 6, &[Read(X, &[]), Read(Y, &[]), Append(Y, 2)]),
        ]
    };
    accepts(Level::SnapshotIsolation, spoiled());
    accepts(Level::StrongSnapshotIsolation, spoiled());
    for level in [Level::RepeatableRead, Level::Serializable, Level::StrictSerializable] {
        assert_eq!(refuses(level, spoiled()), ["G2-item"]);
    }
}

#[test]
fn a_stale_read_is_refused_where_real_time_counts() {
    let spoiled = || {
        vec![
            did(0, 0, 1, &[Append(X, 1)]),
            did(0, 2, 3, &[Append(X, 2)]),
            did(1, 4, 5, &[Read(X, &[1])]),
            did(2, 6, 7, &[Read(X, &[1, 2])]),
        ]
    };
    for level in [Level::StrictSerializable, Level::StrongSnapshotIsolation] {
        assert_eq!(refuses(level, spoiled()), ["G-single-item-realtime"]);
    }
    accepts(Level::Serializable, spoiled());
}

#[test]
fn a_lost_acknowledged_write_is_refused() {
    let lost = || {
        vec![
            did(0, 0, 1, &[Append(X, 1)]),
            did(0, 2, 3, &[Append(X, 2)]),
            did(1, 4, 5, &[Append(X, 3)]),
            did(2, 6, 7, &[Read(X, &[1, 3])]),
        ]
    };
    let kinds = refuses(Level::StrictSerializable, lost());
    assert!(kinds.contains(&"G-single-item-realtime".to_owned()), "{kinds:?}");
    accepts(Level::Serializable, lost());
    // At the end of a run no level excuses it.
    let refusal = kept(&history(lost())).unwrap_err();
    assert_eq!(refusal, NotKept::Lost { elements: vec![(X, 2)] });
    assert_eq!(refusal.to_string(), "1 acknowledged elements are gone; the first: 2 of list 0");
}

#[test]
fn what_was_not_looked_for_is_not_known_to_be_kept() {
    let unread = vec![did(0, 0, 1, &[Append(X, 1)]), did(1, 2, 3, &[Read(Y, &[])])];
    let refusal = NotKept::NotRead { list: X, element: 1 };
    assert_eq!(kept(&history(unread)), Err(refusal.clone()));
    let early = vec![did(0, 0, 3, &[Append(X, 1)]), did(1, 1, 2, &[Read(X, &[])])];
    assert_eq!(kept(&history(early)), Err(refusal));
    let all = vec![
        did(0, 0, 1, &[Append(X, 1)]),
        refused(did(0, 2, 3, &[Append(X, 2)])),
        untold(did(0, 4, 5, &[Append(X, 3)])),
        did(1, 6, 7, &[Read(X, &[1])]),
    ];
    kept(&history(all)).unwrap();
}

#[test]
fn a_read_that_lacks_what_was_told_before_it_is_not_fresh() {
    let with = |reads: Vec<Made>| {
        let appends = [did(0, 0, 1, &[Append(X, 1)]), did(0, 2, 5, &[Append(X, 2)])];
        history(appends.into_iter().chain(reads).collect())
    };
    // While an append is under way one copy shows it and another does not.
    let moving = vec![
        did(1, 3, 4, &[Read(X, &[1, 2])]),
        did(2, 6, 7, &[Read(X, &[1, 2])]),
        did(3, 8, 9, &[Read(Y, &[])]),
    ];
    fresh(&with(moving)).unwrap();
    fresh(&with(vec![did(1, 3, 9, &[Read(X, &[1])])])).unwrap();
    let stale = fresh(&with(vec![did(1, 6, 7, &[Read(X, &[1])])])).unwrap_err();
    assert_eq!(stale, NotFresh::Stale { transaction: 2, list: X, lacks: vec![2] });
    assert_eq!(fresh(&with(Vec::new())), Err(NotFresh::NothingRead));
}

#[test]
fn a_doubled_append_is_refused() {
    let spoiled = vec![did(0, 0, 1, &[Append(X, 1)]), did(1, 2, 3, &[Read(X, &[1, 1])])];
    assert_eq!(refuses(Level::ReadUncommitted, spoiled), ["duplicate-elements"]);
}

#[test]
fn an_element_from_nowhere_is_refused() {
    let spoiled = vec![did(0, 0, 1, &[Append(X, 1)]), did(1, 2, 3, &[Read(X, &[1, 9])])];
    assert_eq!(refuses(Level::ReadUncommitted, spoiled), ["phantom-element"]);
}

#[test]
fn reads_that_disagree_about_the_order_are_refused() {
    let spoiled = vec![
        did(0, 0, 1, &[Append(X, 1)]),
        did(0, 2, 3, &[Append(X, 2)]),
        did(1, 4, 5, &[Read(X, &[1, 2])]),
        did(2, 6, 7, &[Read(X, &[2, 1])]),
    ];
    assert!(refuses(Level::ReadCommitted, spoiled).contains(&"incompatible-order".to_owned()));
}

#[test]
fn a_transaction_that_does_not_see_itself_is_refused() {
    let spoiled = vec![did(0, 0, 1, &[Append(X, 1), Read(X, &[])]), did(1, 2, 3, &[Read(X, &[1])])];
    assert!(refuses(Level::Serializable, spoiled).contains(&"internal".to_owned()));
}

#[test]
fn an_unknown_transaction_may_have_happened_or_not_and_never_by_half() {
    let with = |reads: &[Did]| {
        vec![
            did(0, 0, 1, &[Append(X, 1)]),
            untold(did(1, 2, 3, &[Append(X, 2), Append(Y, 2)])),
            did(0, 4, 5, reads),
        ]
    };
    accepts(Level::StrictSerializable, with(&[Read(X, &[1]), Read(Y, &[])]));
    accepts(Level::StrictSerializable, with(&[Read(X, &[1, 2]), Read(Y, &[2])]));
    assert_eq!(
        refuses(Level::StrictSerializable, with(&[Read(X, &[1, 2]), Read(Y, &[])])),
        ["G-single-item"]
    );
    // It may happen late, and then not be undone.
    let late = |second: &'static [Element]| {
        let mut operations = with(&[Read(X, &[1])]);
        operations.push(did(0, 6, 7, &[Read(X, &[1, 2])]));
        operations.push(did(0, 8, 9, &[Read(X, second)]));
        operations
    };
    accepts(Level::StrictSerializable, late(&[1, 2]));
    assert_eq!(refuses(Level::StrictSerializable, late(&[1])), ["G-single-item-realtime"]);
}

#[test]
fn what_was_invoked_and_never_answered_may_have_happened() {
    let mut open = untold(did(1, 2, 3, &[Append(X, 2)]));
    open.completed = None;
    accepts(
        Level::StrictSerializable,
        vec![did(0, 0, 1, &[Append(X, 1)]), open, did(0, 4, 5, &[Read(X, &[1, 2])])],
    );
}

#[test]
fn histories_that_prove_nothing_are_told_apart() {
    let level = Level::Serializable;
    assert_eq!(judge(&history(vec![]), level, LIMIT), Err(Refusal::NothingSeen));
    let alone = vec![did(0, 0, 1, &[Append(X, 1)])];
    assert_eq!(judge(&history(alone), level, LIMIT), Err(Refusal::NothingSeen));
    let twice = vec![did(0, 0, 1, &[Append(X, 1)]), did(0, 2, 3, &[Append(X, 1)])];
    assert_eq!(
        judge(&history(twice), level, LIMIT),
        Err(FormError::AppendedTwice { list: X, element: 1 }.into())
    );
    let mut odd = did(0, 0, 1, &[Read(X, &[])]);
    odd.outcome = Outcome::Ok(vec![]);
    assert_eq!(
        judge(&history(vec![odd]), level, LIMIT),
        Err(FormError::Answer { transaction: 0 }.into())
    );
}

#[test]
fn a_search_without_time_is_no_acceptance() {
    let skewed = || {
        history(vec![
            did(0, 0, 5, &[Read(X, &[]), Read(Y, &[]), Append(X, 1)]),
            did(1, 1, 6, &[Read(X, &[]), Read(Y, &[]), Append(Y, 2)]),
        ])
    };
    let refusal = |level| judge(&skewed(), level, Duration::ZERO).unwrap_err();
    assert!(matches!(refusal(Level::Serializable), Refusal::Spoiled { .. }));
    let (level, limit) = (Level::SnapshotIsolation, Duration::ZERO);
    assert_eq!(refusal(level), Refusal::Undecided { level, limit });
}

#[derive(Clone, Debug)]
struct Asked {
    steps: Vec<(List, bool)>,
    fate: Fate,
    stretch: Stretch,
}

fn asked() -> impl Strategy<Value = Asked> {
    (prop::collection::vec((0..3_u32, any::<bool>()), 1..5), fate(), stretch())
        .prop_map(|(steps, fate, stretch)| Asked { steps, fate, stretch })
}

/// What lists that work say to transactions one after the other.
fn run(requests: Vec<Asked>) -> History<Request, Answer> {
    let mut lists: BTreeMap<List, Vec<Element>> = BTreeMap::new();
    let mut fresh = 0..;
    let answered = requests.into_iter().map(|Asked { steps, fate, stretch }| {
        let mut after = lists.clone();
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        for (list, appends) in steps {
            let elements = after.entry(list).or_default();
            if appends {
                let element = fresh.next().unwrap();
                elements.push(element);
                request.push(Step::Append { list, element });
            } else {
                answer.push(elements.clone());
                request.push(Step::Read { list });
            }
        }
        if fate.is_done() {
            lists = after;
        }
        (request, fate, stretch, Some(answer))
    });
    spread(answered.collect())
}

/// A read of a history: its transaction, and its place among the reads there.
type Place = (usize, usize);

fn reads_of(operations: &[Made]) -> Vec<(Place, List, Vec<Element>)> {
    let mut reads = Vec::new();
    for (at, transaction) in operations.iter().enumerate() {
        let lists = transaction.input.iter().filter_map(|step| match *step {
            Step::Read { list } => Some(list),
            Step::Append { .. } => None,
        });
        let answer = transaction.answer().into_iter().flatten();
        for (read, (list, elements)) in lists.zip(answer).enumerate() {
            reads.push(((at, read), list, elements.clone()));
        }
    }
    reads
}

fn appends_of(operations: &[Made]) -> impl Iterator<Item = (&Made, List, Element)> {
    operations.iter().flat_map(|transaction| {
        transaction.input.iter().filter_map(move |step| match *step {
            Step::Append { list, element } => Some((transaction, list, element)),
            Step::Read { .. } => None,
        })
    })
}

/// Every read of a history changed to what it can't have shown, with the
/// weakest level that forbids it.
fn spoils(operations: &[Made]) -> Vec<(Place, Vec<Element>, Level)> {
    let reads = reads_of(operations);
    let mut spoils = Vec::new();
    for (place, list, elements) in &reads {
        let mut spoil = |elements: Vec<Element>, level| spoils.push((*place, elements, level));
        let with = |element: Element| [elements.as_slice(), &[element]].concat();
        spoil(with(Element::MAX), Level::ReadUncommitted);
        if let Some(first) = elements.first() {
            spoil(with(*first), Level::ReadUncommitted);
        }
        let read = &operations[place.0];
        for (transaction, appended, element) in appends_of(operations) {
            if appended != *list {
                continue;
            }
            if matches!(transaction.outcome, Outcome::Fail) && transaction.invoked != read.invoked {
                spoil(with(element), Level::ReadCommitted);
            }
            let at = elements.iter().position(|shown| *shown == element);
            if let Some(at) = at.filter(|_| transaction.is_before(read)) {
                spoil(elements[..at].to_vec(), Level::StrictSerializable);
            }
        }
        let is_shown_elsewhere = reads.iter().any(|(other, of, shown)| {
            other.0 != place.0 && of == list && shown.len() >= 2 && elements.len() >= 2
        });
        if is_shown_elsewhere {
            let mut turned = elements.clone();
            turned.swap(0, 1);
            spoil(turned, Level::ReadCommitted);
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
        for level in Level::ALL {
            let judged = judge(&history, level, LIMIT);
            prop_assert!(matches!(judged, Ok(_) | Err(Refusal::NothingSeen)), "{:?}", judged);
        }
        let kept = kept(&history);
        prop_assert!(!matches!(kept, Err(NotKept::Lost { .. })), "{:?}", kept);

        let mut operations = history.into_operations();
        let spoils = spoils(&operations);
        if spoils.is_empty() {
            return Ok(());
        }
        let ((at, read), elements, level) = spoils[which.index(spoils.len())].clone();
        show(&mut operations[at], read, elements);
        let spoiled = History::from_operations(operations).unwrap();
        for level in [level, Level::StrictSerializable] {
            let judged = judge(&spoiled, level, LIMIT);
            prop_assert!(matches!(judged, Err(Refusal::Spoiled { .. })), "{}: {:?}", level, judged);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// No search for cycles is asked to find everything; none may accuse a
    /// history for which there is an order.
    #[test]
    fn what_has_an_order_is_never_refused(
        requests in prop::collection::vec(asked(), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize), 0..3),
    ) {
        let mut operations = run(requests).into_operations();
        for (which, length) in changes {
            let reads = reads_of(&operations);
            if reads.is_empty() {
                break;
            }
            // A shorter or longer view of the same list.
            let ((at, read), list, _) = reads[which.index(reads.len())].clone();
            let all = appends_of(&operations).filter(|(_, appended, _)| *appended == list);
            let view = all.map(|(.., element)| element).take(length).collect();
            show(&mut operations[at], read, view);
        }
        let is_legal = has_order(&operations, &BTreeMap::new(), &apply);
        if is_legal {
            let history = History::from_operations(operations).unwrap();
            for level in Level::ALL {
                let judged = judge(&history, level, LIMIT);
                let is_accepted = matches!(judged, Ok(_) | Err(Refusal::NothingSeen));
                prop_assert!(is_accepted, "{}: {:?}", level, judged);
            }
        }
    }
}

/// Makes a read of an answered operation have shown something else.
fn show(operation: &mut Made, read: usize, elements: Vec<Element>) {
    match &mut operation.outcome {
        Outcome::Ok(answer) => answer[read] = elements,
        other => panic!("reads are taken from answers, and this is {other:?}"),
    }
}

type Lists = BTreeMap<List, Vec<Element>>;

fn apply(lists: &Lists, transaction: &Made) -> Option<Lists> {
    let mut lists = lists.clone();
    let mut answer = transaction.answer().map(|answer| answer.iter());
    for step in &transaction.input {
        match *step {
            Step::Append { list, element } => lists.entry(list).or_default().push(element),
            Step::Read { list } => {
                let shown = answer.as_mut().map(|answer| answer.next().unwrap());
                if shown.is_some_and(|shown| *shown != *lists.entry(list).or_default()) {
                    return None;
                }
            }
        }
    }
    Some(lists)
}
