//! The engine of [`sync`] in a browser: IndexedDB, `fetch`, and as many tabs and workers as
//! there are.
//!
//! | module | what it has |
//! |---|---|
//! | [`device`] | [`Device`]: edits, what the person sees, how it stands |
//! | [`drive`] | [`Device::lead`] and [`Device::sync`]: one tab of all speaks with the server |
//! | [`http`] | [`Fetch`]: the server; [`Asked`](http::Asked): a request |
//! | [`store`] | the database |
//! | [`keep`] | [`Keep`]: small things by their name, such as who is logged in |
//!
//! # What is promised
//!
//! - *An edit that was taken is there*, with what is to be sent of it, also where the
//!   browser is killed the moment after: both are in one transaction, which is on the disk
//!   (`durability: "strict"`) before [`Device::edit`] returns.
//! - *Several tabs and workers* can use one database at the same time: each sees what the
//!   others did, and one of them at most speaks with the server. Where that one is closed,
//!   killed or frozen, another takes its place within seconds.
//! - *One account, one database.* It says whose it is, and is not opened for another.
//! - *Nothing is guessed.* A database of a newer program, or with a row that can't be read,
//!   is an error that says so, and is left as it is.
//!
//! **What it does not do:** it makes no accounts and keeps no passwords or tokens: what says
//! who is asking is [`Tokens`](sync::http::Tokens), which the program around it has. It shows
//! nothing, and does not keep a browser from throwing a database away that the person has not
//! asked to keep (`navigator.storage.persist()`): the program around it asks.
//!
//! It is `sync-sqlite` of a browser, and has its shape: what can be the same is in
//! [`sync::engine`] and [`sync::http`].
//!
//! ```no_run
//! use stdx::{Clock, IdSource};
//! use sync::engine::{Config, Edit};
//! use sync::model::{Fields, RecordKey, Rule, Table, Value};
//! use sync::queue::{Priority, RecordState};
//! use sync_web::{Device, Options};
//!
//! const TABLES: &[Table] =
//!     &[Table { name: "memos", fields: &[("content", Rule::Text), ("page", Rule::Latest)] }];
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let ids = IdSource::system();
//! let options = Options {
//!     config: Config::new(TABLES, 1),
//!     account: ids.next(),
//!     name: "memos",
//!     indexes: &[("memos", "page")],
//!     clock: Clock::real(),
//! };
//! let device = Device::open(options, |_| {}).await?;
//!
//! let memo = RecordKey { table: "memos".into(), id: ids.next() };
//! let fields = Fields::from([("content", Value::from("첫 문장부터 좋다")), ("page", Value::Int(12))]);
//! device.edit(&memo, Edit::Create(fields), Clock::real().now(), Priority::NORMAL).await?;
//! let page = Value::Int(12);
//! let found = device.by(("memos", "page"), &page, &page).await?;
//! assert_eq!(found[0].state, RecordState::Pending);
//! # Ok(())
//! # }
//! ```

pub mod device;

pub mod drive;

pub mod http;

pub mod store;

pub mod keep;

#[cfg(feature = "check")]
pub mod check;

mod idb;

mod js;

mod tabs;

pub use device::{Device, DeviceError, Options, Told};
pub use http::Fetch;
pub use keep::Keep;
pub use store::StoreError;
