//! Tests of the crate as its users see it.

mod everywhere;
mod ledger;
mod machine;
mod mariadb;
mod orchestrators;
mod shop;
