//! Text as readers type it and look for it, in Korean and in English.
//!
//! | function or type | what it is for |
//! |---|---|
//! | [`nfc`], [`line`](fn@line), [`paragraphs`], [`plain_text`] | bringing text from outside into one form |
//! | [`SearchKeys`] | what the store keeps beside a text so that it can be found |
//! | [`SearchQuery`] | what a reader typed, turned into what to look for in those |
//!
//! # What finds what
//!
//! A text is found by any part of it. Beyond that:
//!
//! - **Spelling of one character.** NFC and NFD are the same, and so are full
//!   and half width, upper and lower case, curly and straight quotes, and the
//!   dashes. `é` and `e` are the same, because a reader of `Les Misérables` may
//!   have no key for it; the marks of other scripts (`が` and `か`) are not
//!   taken off, because there they make another letter.
//! - **Spaces.** Spaces beside Hangul, Hanja or Kana don't count: `해리포터` finds
//!   `해리 포터`, since spacing in Korean titles follows no one rule. Between
//!   Latin words, any white space is one space.
//! - **Initial consonants.** `ㅎㄹㅍㅌ` finds `해리 포터`, `해ㄹ포` does too, and so
//!   does `ㅎㄿㅌ`, which is what some keyboards make of ㅎ, ㄹ, ㅍ, ㅌ. In a query
//!   with a lone consonant, spaces and punctuation don't count.
//!
//! **What it does not do:** it does not stem or rank, knows no synonyms, and
//! does not tolerate mistyped letters.

mod fold;

mod hangul;

mod markup;

mod query;

pub use fold::{SearchKeys, line, nfc, paragraphs};
pub use hangul::initial;
pub use markup::plain_text;
pub use query::{Lookup, NoQuery, QUERY_CHARS_MAX, SearchQuery};
