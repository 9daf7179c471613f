//! The reader's app, in the browser: it opens without a network, takes what is written at
//! once, and says at every moment what is saved where.
//!
//! **What it does not do:** it decides nothing that another device would have to decide the
//! same way. What an edit is, who wins, and when something is sent is [`sync`]'s; what is a
//! right memo is `endpaper_reading`'s, which the server asks too.
//!
//! | module | what it has |
//! |---|---|
//! | [`app`] | who is here, and which screen that leads to |
//! | [`screens`] | one module a screen |
//! | [`ui`] | what several screens show: covers, states, toasts |
//! | [`reader`] | the reader who is logged in: records, edits, how it stands |
//! | [`account`] | logging in and out, tokens |
//! | [`api`] | requests that are no synchronization |
//! | [`cart`], [`shopping`] | what is about to be ordered, and ordering it |
//! | [`records`] | books and memos, as devices hold them |
//! | [`days`] | days and times in the reader's time zone |
//! | [`words`] | Korean and English |
//! | [`browser`] | what a browser has, in few words |
//!
//! `start` is called by the page, `finish_queue` by the service worker (`static/worker.js`).
//! `cargo xtask web` builds it into `dist/`, which `endpaper` serves.

pub mod app;

pub mod screens;

pub mod ui;

pub mod reader;

pub mod account;

pub mod api;

pub mod cart;

pub mod shopping;

pub mod records;

pub mod days;

pub mod words;

pub mod browser;

use wasm_bindgen::prelude::wasm_bindgen;

/// Shows the app in this page.
#[wasm_bindgen]
pub fn start() {
    console_error_panic_hook::set_once();
    words::choose();
    browser::listen();
    leptos::mount::mount_to_body(app::App);
    browser::remove_first_words();
}

/// Sends what waits, in a service worker that the browser has woken. Fails where something
/// still waits, so that the browser tries it again.
///
/// # Errors
/// A text for the browser's log.
#[wasm_bindgen]
pub async fn finish_queue() -> Result<(), wasm_bindgen::JsValue> {
    reader::finish_queue().await.map_err(Into::into)
}
