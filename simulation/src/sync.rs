//! Devices of one account, a server, and everything that can go wrong between them.
//!
//! Two to five devices edit the same records: books, and memos that refer to them. The
//! network loses requests and answers, sends requests twice, and goes away; devices are
//! offline, crash between any two things that they do, fail to write, and have no room to
//! write for a while; their clocks are wrong by minutes or years, and jump; the server is
//! down, asks to come later, wants everybody to log in again, forgets old deletions, goes
//! on without one of its masters, and is put back from a backup; its program and those of
//! devices are made newer. In the end everything works again, and:
//!
//! - every device and the server hold the same;
//! - every word that a person was shown as saved is in its record or in a revision,
//!   or was taken away by somebody who saw it;
//! - no word is there twice;
//! - of each other field, the value is one that nobody overwrote knowingly (these two not
//!   of records that a server lost changes of which was put back);
//! - the operations of one record came from each device in their order, and each was
//!   settled once;
//! - no memo was sent before its book, and what an older program wrote was understood;
//! - nothing waits any more but what needs attention.

#[cfg(feature = "faults")]
mod bugs;

mod check;
mod device;
mod real;
mod schema;
mod server;
mod world;

use ::sync::engine::Config;
use ::sync::model::{AccountId, LogId};
use stdx::ids::Id as _;
use stdx::{Clock, Seed};

#[cfg(feature = "faults")]
pub use self::bugs::{Bug, Found, find};
pub use self::world::Summary;

/// Which server the devices have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// A model in memory: thousands of programs in seconds.
    Model,
    /// The real one on two real SQLite files, which is stopped and started again.
    Real,
}

/// Runs one program of chance.
///
/// # Errors
/// What is wrong in the end, for a person.
pub fn run(seed: u64, against: Against) -> Result<Summary, String> {
    let server = |account, clock: &Clock| match against {
        Against::Model => Box::new(server::Model::new(log_of(account))) as Box<dyn server::Server>,
        Against::Real => Box::new(real::Real::new(account, clock)),
    };
    caught(|| world::World::new(Seed(seed), &config(), server).run())
}

/// The first change log.
fn log_of(account: AccountId) -> LogId {
    LogId::from_uuid(account.uuid())
}

/// A panic is wrong like anything else: who reads of it wants the seed.
fn caught<T>(program: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(program)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", text.unwrap_or("without a text")))
    })
}

/// What every device is made of: small pushes and pulls, so that there are many.
fn config() -> Config {
    let mut config = Config::new(schema::tables(schema::FIRST), schema::FIRST);
    config.limits.push_count = 4;
    config.limits.pull_count = 3;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_as_what_is_wrong() {
        let wrong = caught::<()>(|| panic!("nothing at {}", 7));
        assert_eq!(wrong, Err("it panicked: nothing at 7".to_owned()));
        assert_eq!(caught(|| Ok(1)), Ok(1));
    }

    fn end_well(seeds: u64, against: Against) {
        let mut settled = 0;
        for seed in 0..seeds {
            match run(seed, against) {
                Ok(summary) => settled += summary.settled,
                Err(wrong) => panic!("seed {seed}: {wrong}"),
            }
        }
        assert!(settled > seeds * 10, "only {settled} operations were settled");
    }

    #[test]
    fn two_thousand_programs_end_well() {
        end_well(2_000, Against::Model);
    }

    #[test]
    fn programs_end_well_with_the_real_server_on_real_files() {
        end_well(30, Against::Real);
    }

    #[test]
    fn the_same_seed_gives_the_same() {
        for seed in 0..20 {
            assert_eq!(run(seed, Against::Model), run(seed, Against::Model));
        }
    }
}
