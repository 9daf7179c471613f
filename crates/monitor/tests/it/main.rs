//! Episodes against a model of them, and delivery to real servers.

mod episodes;

mod receiver;

mod delivery;
