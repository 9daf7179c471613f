//! N databases written as one.
//!
//! (The crate's documentation is written when its parts stand.)

pub mod config;
pub mod error;
pub mod schema;
pub mod value;

mod db;
mod store;

pub use config::{Config, MasterConfig, Policy};
pub use db::{Db, Tx};
pub use error::{DbError, MasterName, OpenError, Outcome, TxId, WriteError};
pub use schema::{Column, Index, Kind, Migration, Schema, Step, Table};
pub use store::{MasterState, MasterStatus, MultiMaster};
pub use value::{Row, Value, id};
