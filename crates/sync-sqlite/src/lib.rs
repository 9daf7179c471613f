//! The engine of [`sync`] on a device: an SQLite file, and a server that is spoken to
//! over HTTP.
//!
//! | module | what it has |
//! |---|---|
//! | [`device`] | [`Device`]: edits, what the person sees, how it stands |
//! | [`drive`] | [`Device::drive`]: sends, receives and waits, until it is told to end |
//! | [`server`] | [`Server`]: what is asked of the other side |
//! | [`http`] | [`HttpServer`]: the other side over HTTP |
//! | [`store`] | the file |
//!
//! # What is promised
//!
//! - *An edit that was taken is there*, with what is to be sent of it, also where the
//!   process is killed the moment after, or the power goes: both are in one transaction,
//!   which is on the disk (`synchronous = FULL`) before [`Device::edit`] returns.
//! - *Several processes* can use one file at the same time: each sees what the others
//!   did, and one of them at most speaks with the server.
//! - *One account, one file.* The file says whose it is, and is not opened for another.
//! - *Nothing is guessed.* A file of a newer program, of something else, or with a row
//!   that can't be read is an error that says so, and is left as it is.
//!
//! **What it does not do:** it makes no accounts and keeps no passwords or tokens: what
//! says who is asking is [`Tokens`], which the program around it has. It does not copy
//! the file: a copy that goes on beside the original is told by the server that it
//! counts what was counted before.
//!
//! ```
//! use stdx::{Clock, IdSource};
//! use sync::engine::{Config, Edit};
//! use sync::model::{Fields, RecordKey, Rule, Table, Value};
//! use sync::queue::{Priority, RecordState};
//! use sync_sqlite::{Device, Options};
//!
//! const TABLES: &[Table] =
//!     &[Table { name: "memos", fields: &[("content", Rule::Text), ("page", Rule::Latest)] }];
//! # let directory = tempfile::tempdir()?;
//! let ids = IdSource::system();
//! let options = Options::new(Config::new(TABLES, 1), ids.next());
//! let device = Device::open(&directory.path().join("memos.db"), options)?;
//!
//! let memo = RecordKey { table: "memos".into(), id: ids.next() };
//! let fields = Fields::from([("content", Value::from("첫 문장부터 좋다")), ("page", Value::Int(12))]);
//! device.edit(&memo, Edit::Create(fields.clone()), Clock::real().now(), Priority::NORMAL)?;
//! assert_eq!(device.shown(&memo)?, Some(fields));
//! assert_eq!(device.state(&memo)?, RecordState::Pending);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod device;

pub mod drive;

pub mod server;

pub mod http;

pub mod store;

pub use device::{Device, DeviceError, Options};
pub use drive::DriveError;
pub use http::{HttpServer, Tokens};
pub use server::Server;
pub use store::StoreError;
