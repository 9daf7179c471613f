//! Money that is moved between accounts is never made and never lost.
//!
//! The bank of Jepsen's tests: under any level at which a transaction reads
//! one state of the database, every read shows the same total.

use std::collections::BTreeMap;

use super::{ClientId, History, Judged, Moment};

/// An account's number, from zero.
pub type Account = u32;

/// The most violations that a refusal names.
pub const SHOWN_MAX: usize = 8;

/// What is asked of the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Move money.
    Transfer {
        /// The account that gives.
        from: Account,
        /// The account that takes.
        to: Account,
        /// How much.
        amount: i64,
    },
    /// Read all accounts in one transaction.
    Read,
}

/// What the bank says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a transfer.
    Transferred,
    /// To a read: every account with what is in it.
    Balances(BTreeMap<Account, i64>),
}

/// What every read must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bank {
    /// How many accounts there are.
    pub accounts: u32,
    /// What is in all of them together.
    pub total: i64,
}

/// Why the bank's history is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No read was answered: there is nothing to judge.
    #[error("no read of the bank was answered")]
    NothingRead,
    /// Reads show what can't be.
    #[error("{count} reads of the bank can't be; the first: {}", list(.first))]
    Spoiled {
        /// How many.
        count: usize,
        /// The first of them, at most [`SHOWN_MAX`].
        first: Vec<Violation>,
    },
}

/// A read that can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{who} at {:?}: {wrong}", invoked.at)]
pub struct Violation {
    /// Who read.
    pub who: ClientId,
    /// When.
    pub invoked: Moment,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with a read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Money was made or lost.
    #[error("a total of {found} instead of {total}: {balances:?}")]
    Total {
        /// What is there.
        found: i128,
        /// What must be.
        total: i64,
        /// The read.
        balances: BTreeMap<Account, i64>,
    },
    /// An account gave what it did not have.
    #[error("account {account} has {balance}")]
    Negative {
        /// Which.
        account: Account,
        /// What is in it.
        balance: i64,
    },
    /// Accounts are missing, or there are more than were made.
    #[error("the accounts {found:?} instead of 0 to {}", accounts.saturating_sub(1))]
    Accounts {
        /// Those that are there.
        found: Vec<Account>,
        /// How many must be there.
        accounts: u32,
    },
    /// The recorder was told the answer to another request.
    #[error("an answer that is none to its request")]
    Answer,
}

/// Refuses a history in which a read shows another total, an account below
/// zero, or other accounts than there are.
pub fn judge(history: &History<Request, Answer>, bank: Bank) -> Result<Judged, Refusal> {
    let mut reads = 0;
    let mut violations = Vec::new();
    for operation in history.operations() {
        let wrong = match (&operation.input, operation.answer()) {
            (_, None) | (Request::Transfer { .. }, Some(Answer::Transferred)) => None,
            (Request::Read, Some(Answer::Balances(balances))) => {
                reads += 1;
                wrong_with(balances, bank)
            }
            (Request::Read, Some(Answer::Transferred))
            | (Request::Transfer { .. }, Some(Answer::Balances(_))) => Some(Wrong::Answer),
        };
        violations.extend(wrong.map(|wrong| Violation {
            who: operation.who,
            invoked: operation.invoked,
            wrong,
        }));
    }
    if !violations.is_empty() {
        let count = violations.len();
        violations.truncate(SHOWN_MAX);
        return Err(Refusal::Spoiled { count, first: violations });
    }
    if reads == 0 {
        return Err(Refusal::NothingRead);
    }
    Ok(Judged::count(history))
}

fn wrong_with(balances: &BTreeMap<Account, i64>, bank: Bank) -> Option<Wrong> {
    if !balances.keys().copied().eq(0..bank.accounts) {
        let found = balances.keys().copied().collect();
        return Some(Wrong::Accounts { found, accounts: bank.accounts });
    }
    if let Some((&account, &balance)) = balances.iter().find(|(_, balance)| **balance < 0) {
        return Some(Wrong::Negative { account, balance });
    }
    let found = balances.values().copied().map(i128::from).sum();
    (found != i128::from(bank.total)).then(|| Wrong::Total {
        found,
        total: bank.total,
        balances: balances.clone(),
    })
}

fn list(violations: &[Violation]) -> String {
    let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
    violations.join("; ")
}
