//! Programs of chance under virtual time: the same seed gives the same bytes.

pub mod sync;
