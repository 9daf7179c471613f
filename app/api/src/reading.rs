//! Wire types of reading: books, the shelf, memos, the flow of a day, tags,
//! import and export.
//!
//! Requests take numbers of 64 bits and ids as text, so that a value that can't
//! be is answered by an error that names its field, and not by one about JSON.

mod books;

mod memos;

mod shelf;

mod transfer;

pub use books::{Book, BookPage, BooksHealth, BooksStatus, QueryType, SourceReport, SourceState};
pub use memos::{
    BookMemos, ChangeMemo, FlowSort, Memo, SessionMemos, Tag, TagCategory, TagLabels, TagMemos,
    TodayFlow, WriteMemo,
};
pub use shelf::{
    Category, ChangeShelfBook, CloseBook, FinishReading, PurchaseType, RecentBook, Shelf,
    ShelfBook, ShelfSort, ShelveBook, Shelved, StartReading,
};
pub use transfer::{
    ExportFormat, ExportPart, ImportProblem, ImportProgress, ImportState, ImportSummary,
};
