//! The crate as its users see it: its sources against a server that replays
//! recorded answers, and its routes over two SQLite masters.

mod replay;

mod sources;

mod catalogue;

mod import_export;

mod world;

mod books;

mod shelf;

mod memos;

mod repeats;

mod days;

mod transfer;

mod sync;

mod document;

mod mariadb;
