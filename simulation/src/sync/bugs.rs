//! Bugs that are planted, to see that they are found.

use ::sync::sabotage;
use stdx::{Clock, Seed};

use super::server::{Model, Server};
use super::world::World;

/// A planted bug, of a device or of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Of every device.
    Device(sabotage::Bug),
    /// The server does not remember which operations it has settled.
    NoInbox,
    /// The server does not say what it calls now what an older program sent.
    NamesUntold,
}

impl Bug {
    /// All of them, and what they are called.
    pub const ALL: [(Self, &str); 9] = [
        (Self::Device(sabotage::Bug::DequeuedWhenSent), "an operation leaves the queue when sent"),
        (Self::Device(sabotage::Bug::DeletedOnLogIn), "what gets a 401 is deleted"),
        (Self::Device(sabotage::Bug::IdsReused), "ids of operations are used again"),
        (Self::Device(sabotage::Bug::DeletionLost), "a deletion is lost with an edit before it"),
        (Self::Device(sabotage::Bug::NeverPassedOver), "what is never settled stays before others"),
        (Self::Device(sabotage::Bug::NotBroughtBack), "what was lost with the server is not sent"),
        (Self::Device(sabotage::Bug::ReferencesIgnored), "a memo is sent before its book"),
        (Self::NoInbox, "the server does not remember what it has settled"),
        (Self::NamesUntold, "the server does not tell who sent an old name of the new one"),
    ];
}

/// How a bug was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// By which program.
    pub seed: u64,
    /// What was wrong then.
    pub wrong: String,
}

/// The first of so many programs that ends badly with this bug.
#[must_use]
pub fn find(bug: Bug, seeds: u64) -> Option<Found> {
    let mut config = super::config();
    if let Bug::Device(bug) = bug {
        config.bug = Some(bug);
    }
    (0..seeds).find_map(|seed| {
        let server = |account, _: &Clock| {
            let mut model = Model::new(super::log_of(account));
            model.remembers = bug != Bug::NoInbox;
            model.tells_names = bug != Bug::NamesUntold;
            Box::new(model) as Box<dyn Server>
        };
        World::new(Seed(seed), &config, server).run().err().map(|wrong| Found { seed, wrong })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bug_is_found_within_ten_thousand_programs() {
        for (bug, name) in Bug::ALL {
            let found = find(bug, 10_000).unwrap_or_else(|| panic!("not found: {name}"));
            println!("{name}: seed {}: {}", found.seed, found.wrong);
        }
    }
}
