//! The shop, on real stores.

mod apart;

mod bad_input;

mod crashes;

mod document;

mod events;

mod locks;

mod many;

mod mariadb;

mod model;

mod orders;

mod outside;

mod ways;

mod world;
