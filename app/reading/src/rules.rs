//! What is right, and what follows: pure functions, without clock or store.
//!
//! | module | what it decides |
//! |---|---|
//! | [`progress`] | the category that follows from progress, and what each step on the shelf does |
//! | [`facts`] | whether what is said of a book can be |
//! | [`keys`] | what a book is known by where a reader says so |
//! | [`days`] | which instants belong to a day of a time zone |
//! | [`flow`] | how the memos of a day are grouped |
//! | [`synced`] | memos and books as devices hold them, and back |

pub mod progress;

pub mod facts;

pub mod keys;

pub mod days;

pub mod flow;

pub mod synced;
