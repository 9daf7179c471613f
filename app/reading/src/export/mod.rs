//! All of a reader's data out, and back in.
//!
//! | format | what it has | for whom |
//! |---|---|---|
//! | JSON ([`write_json`], [`read_json`]) | everything, in one file, with a version | another installation; a backup |
//! | CSV ([`write_books_csv`], [`write_memos_csv`], [`BookRows`], [`MemoRows`]) | books, and memos, a file each | a spreadsheet; and back in all the same |
//!
//! Reading gives back exactly what was written, in either format.
//!
//! # The CSV files
//!
//! UTF-8 with a byte order mark (without it, spreadsheets on Korean machines
//! read another encoding), lines end in `\r\n`, every cell in quotes.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a line
//! break as a formula, and a memo can begin with any of them (OWASP, *CSV
//! Injection*). Such a cell gets an apostrophe in front, which spreadsheets
//! understand as "this is text". A cell that begins with an apostrophe gets one
//! more, so that reading can take one off and always have what was there. An
//! absent text is an empty cell, and a text that is there and empty is one
//! apostrophe.
//!
//! **What it does not do:** it stores nothing, and gives no ids: which ids of an
//! export an account may take over is the service's decision.

mod csv;

mod wire;

pub use csv::{AtLine, BookRows, MemoRows, write_books_csv, write_memos_csv};
pub use wire::{
    BadItem, ENTRIES_MAX, Export, ExportBook, ExportMemo, ExportTag, ExportUnreadable, ReadExport,
    read_json, write_json,
};
