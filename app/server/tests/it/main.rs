//! The real binary, from the outside.

mod common;

mod cli;

mod serve;

mod connections;

mod copy;

mod device;

mod device_network;

mod readme;

mod import;

mod accounts;

mod masters;

mod several;

mod shop;

mod deploy;

mod alerts;

mod ops;

mod walk;

mod tables;

mod web;
