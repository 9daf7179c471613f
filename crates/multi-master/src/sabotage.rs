//! What a campaign arms: named crash points, and planted bugs that its judges
//! have to find.
//!
//! Without the feature `faults` the hooks are nothing and nothing can be armed:
//! no program that people use is built with it, which `cargo xtask tidy` sees to.
//! What is left then are the names.

mod bugs;
mod points;

pub use bugs::Bug;
#[cfg(feature = "faults")]
pub use bugs::plant;
pub use points::Point;
#[cfg(feature = "faults")]
pub use points::{Action, arm, disarm, passes};

pub(crate) use bugs::is;
pub(crate) use points::reached;
