//! What the clients ask the worker, a line of JSON each way.

use std::collections::BTreeMap;

use multi_master::{Findings, TxId};
use serde::{Deserialize, Serialize};

/// Accounts of the bank.
pub(crate) const ACCOUNTS: u32 = 8;
/// What each of them begins with.
pub(crate) const BALANCE: i64 = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Makes the accounts where they are not there yet, and these registers and
    /// lists: the absence of a row is not held on MariaDB, and is not judged.
    Open(Vec<u32>),
    Transfer {
        from: u32,
        to: u32,
        amount: i64,
    },
    /// All accounts, from any master that may be read.
    Balances,
    Write {
        key: u32,
        value: u32,
    },
    Read {
        key: u32,
    },
    /// One transaction over lists.
    Lists(Vec<Step>),
    /// A list, from any master that may be read.
    List(u32),
    /// Whether every master is live.
    Whole,
    /// Compares the masters.
    Verify,
    /// As it, and makes what differs the same.
    Repair,
    /// All of an account goes to another one, and it is closed.
    Close {
        from: u32,
        to: u32,
    },
    /// A row that nobody else writes.
    Keep {
        id: u32,
        text: String,
    },
    /// Whether a transaction was saved.
    Saved(TxId),
    /// Arms a crash point.
    Arm(Arm),
    /// Takes back what was armed.
    Disarm,
    /// Sets the clock so many seconds off.
    Clock(i64),
}

/// A crash point of the worker and what happens there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Arm {
    pub(crate) point: String,
    pub(crate) act: Act,
    /// How often it is passed before.
    pub(crate) passes: u64,
}

/// What happens at a crash point.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Act {
    Kill,
    Stop,
    /// For so many milliseconds.
    Hang(u64),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    Append { list: u32, element: u32 },
    Read { list: u32 },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Balances(BTreeMap<u32, i64>),
    Value(Option<u32>),
    Lists(Vec<Vec<u32>>),
    /// How each master stands, in words, and whether all are live.
    Whole(bool, String),
    Findings(Findings),
    /// It did not happen.
    Refused(String),
    /// It may have happened: in this transaction.
    Unknown(TxId),
    /// Whether it did; nothing where nobody can tell.
    Saved(Option<bool>),
}
