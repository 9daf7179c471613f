//! What can be armed and planted in the worker, where it was built for that.

#[cfg(feature = "faults")]
pub(super) use with::{arm, disarm, plant};

#[cfg(not(feature = "faults"))]
pub(super) use without::{arm, disarm, plant};

#[cfg(feature = "faults")]
mod with {
    use std::time::Duration;

    use multi_master::sabotage::{self, Action};

    use crate::masters::wire::{Act, Arm};

    pub(crate) fn arm(arm: &Arm) -> Result<(), String> {
        let action = match arm.act {
            Act::Kill => Action::Kill,
            Act::Stop => Action::Stop,
            Act::Hang(ms) => Action::Hang(Duration::from_millis(ms)),
        };
        sabotage::arm(arm.point.parse()?, action, arm.passes);
        Ok(())
    }

    pub(crate) fn disarm() {
        sabotage::disarm();
    }

    pub(crate) fn plant(bug: &str) -> Result<(), String> {
        sabotage::plant(bug.parse()?);
        Ok(())
    }
}

#[cfg(not(feature = "faults"))]
mod without {
    use crate::masters::wire::Arm;

    const WHY: &str = "build the campaign with the feature `faults`, as `cargo xtask lab` does";

    pub(crate) fn arm(arm: &Arm) -> Result<(), String> {
        Err(format!("`{}` can't be armed for {:?} ({}): {WHY}", arm.point, arm.act, arm.passes))
    }

    pub(crate) const fn disarm() {}

    pub(crate) fn plant(bug: &str) -> Result<(), String> {
        Err(format!("`{bug}` can't be planted: {WHY}"))
    }
}
