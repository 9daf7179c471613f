//! The judge of the bank.

use std::collections::BTreeMap;

use lab::history::bank::{Account, Answer, Bank, Refusal, Request, SHOWN_MAX, Wrong, judge};
use lab::history::{History, Judged, Outcome};
use proptest::prelude::*;

use super::{Fate, Stretch, fate, operation, spread, stretch};

const BANK: Bank = Bank { accounts: 3, total: 30 };

type Balances = BTreeMap<Account, i64>;

fn balances(of: [i64; 3]) -> Balances {
    (0..).zip(of).collect()
}

/// A history with a transfer and a read of these balances.
fn read(balances: Balances) -> History<Request, Answer> {
    let transfer = Request::Transfer { from: 0, to: 1, amount: 5 };
    History::from_operations(vec![
        operation(0, 0, 1, transfer, Outcome::Ok(Answer::Transferred)),
        operation(1, 2, 3, Request::Read, Outcome::Ok(Answer::Balances(balances))),
        operation(1, 4, 5, Request::Read, Outcome::Fail),
    ])
    .unwrap()
}

fn wrong(found: Balances) -> Wrong {
    match judge(&read(found), BANK).unwrap_err() {
        Refusal::Spoiled { count: 1, mut first } => first.remove(0).wrong,
        other => panic!("{other}"),
    }
}

#[test]
fn a_total_that_is_kept_is_accepted() {
    let judged = judge(&read(balances([5, 15, 10])), BANK).unwrap();
    assert_eq!(judged, Judged { ok: 2, failed: 1, unknown: 0 });
}

#[test]
fn spoiled_reads_are_refused() {
    // Half of a transfer.
    assert!(matches!(wrong(balances([5, 10, 10])), Wrong::Total { found: 25, total: 30, .. }));
    assert_eq!(wrong(balances([-5, 25, 10])), Wrong::Negative { account: 0, balance: -5 });
    let missing = BTreeMap::from([(0, 20), (2, 10)]);
    assert_eq!(wrong(missing), Wrong::Accounts { found: vec![0, 2], accounts: 3 });
    let more = BTreeMap::from([(0, 10), (1, 10), (2, 10), (3, 0)]);
    assert_eq!(wrong(more), Wrong::Accounts { found: vec![0, 1, 2, 3], accounts: 3 });
    let much = BTreeMap::from([(0, i64::MAX), (1, i64::MAX), (2, 32)]);
    assert!(matches!(wrong(much), Wrong::Total { .. }), "no sum runs over");
}

#[test]
fn a_refusal_counts_all_and_shows_some() {
    let reads = (0..20).map(|at| {
        let answer = Answer::Balances(balances([1, 1, 1]));
        operation(0, 2 * at, 2 * at + 1, Request::Read, Outcome::Ok(answer))
    });
    let history = History::from_operations(reads.collect()).unwrap();
    let refusal = judge(&history, BANK).unwrap_err();
    assert!(refusal.to_string().contains("a total of 3 instead of 30"), "{refusal}");
    assert!(
        matches!(&refusal, Refusal::Spoiled { count: 20, first } if first.len() == SHOWN_MAX),
        "{refusal}"
    );
}

#[test]
fn nothing_read_is_nothing_proved() {
    let transfer = Request::Transfer { from: 0, to: 1, amount: 5 };
    let history = History::from_operations(vec![
        operation(0, 0, 1, transfer, Outcome::Ok(Answer::Transferred)),
        operation(0, 2, 3, Request::Read, Outcome::Unknown),
    ])
    .unwrap();
    assert_eq!(judge(&history, BANK), Err(Refusal::NothingRead));
}

#[test]
fn an_answer_to_something_else_is_refused() {
    let history = History::from_operations(vec![operation(
        0,
        0,
        1,
        Request::Read,
        Outcome::Ok(Answer::Transferred),
    )])
    .unwrap();
    assert!(matches!(judge(&history, BANK), Err(Refusal::Spoiled { .. })));
}

/// Requests that happened one after the other, in a bank that keeps its money.
fn run() -> impl Strategy<Value = History<Request, Answer>> {
    let request = prop_oneof![
        (0..3_u32, 0..3_u32, 0..20_i64).prop_map(|(from, to, amount)| Request::Transfer {
            from,
            to,
            amount
        }),
        Just(Request::Read),
    ];
    prop::collection::vec((request, fate(), stretch()), 1..30).prop_map(|requests| {
        let mut balances = balances([10, 10, 10]);
        let mut answered = |(request, fate, stretch): (Request, Fate, Stretch)| {
            let answer = match request {
                Request::Read => Answer::Balances(balances.clone()),
                Request::Transfer { from, to, amount } => {
                    // What is not there can't be moved, and nothing happens.
                    if fate.is_done() && balances[&from] >= amount {
                        *balances.get_mut(&from).unwrap() -= amount;
                        *balances.get_mut(&to).unwrap() += amount;
                    }
                    Answer::Transferred
                }
            };
            (request, fate, stretch, Some(answer))
        };
        spread(requests.into_iter().map(&mut answered).collect())
    })
}

proptest! {
    #[test]
    fn a_serial_run_is_accepted_and_refused_once_money_is_made(
        history in run(),
        which in any::<prop::sample::Index>(),
        account in 0..3_u32,
        made in prop_oneof![-50..0_i64, 1..50_i64],
    ) {
        let mut operations = history.clone().into_operations();
        let mut reads: Vec<_> = operations
            .iter_mut()
            .filter_map(|operation| match &mut operation.outcome {
                Outcome::Ok(Answer::Balances(balances)) => Some(balances),
                _ => None,
            })
            .collect();
        if reads.is_empty() {
            prop_assert_eq!(judge(&history, BANK), Err(Refusal::NothingRead));
            return Ok(());
        }
        prop_assert!(judge(&history, BANK).is_ok());
        let at = which.index(reads.len());
        *reads[at].get_mut(&account).unwrap() += made;
        let spoiled = History::from_operations(operations).unwrap();
        let is_refused = matches!(judge(&spoiled, BANK), Err(Refusal::Spoiled { count: 1, .. }));
        prop_assert!(is_refused);
    }
}
