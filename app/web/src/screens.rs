//! One module a screen.

pub mod door;

pub mod shelf;

pub mod find;

pub mod book;

pub mod memo;

pub mod today;

pub mod sync;

pub mod me;

pub mod shop;
