//! N databases written as one.
//!
//! (The crate's documentation is written when its parts stand.)

pub mod config;
pub mod error;
pub mod schema;
pub mod value;

mod store;

mod counters;
mod db;
mod fault;
mod job;
mod link;
mod membership;
mod mysql;
mod render;
mod settle;
mod shared;
mod sqlite;
mod supervisor;
mod tables;
mod witness;
mod write_set;

pub use config::{Config, Limits, MasterConfig, Policy};
pub use counters::Counts;
pub use db::{Db, Tx};
pub use error::{DbError, MasterName, OpenError, Outcome, TxId, WriteError};
pub use membership::{MasterState, MasterStatus};
pub use schema::{Column, Index, Kind, Migration, Schema, Step, Table};
pub use store::MultiMaster;
pub use value::{Row, Value, id};
