//! Bugs that are planted, and have to be found: by the same load, the same faults
//! and the same judges as in the campaign. First the same rounds, from the same
//! seed, have to be clean without the bug.

use std::time::{Duration, Instant};

use lab::Software;
use multi_master::sabotage::Bug;
use stdx::{Random, Seed};

use super::faults::{Common, Deck, Fault, OfFiles, OfServers};
use super::report::{Refusal, Report};
use super::round;
use super::set::{Files, Masters, Servers, Set, Setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The most time for one bug, with and without it
    #[arg(long, default_value_t = 5)]
    minutes_each: u64,
    /// The same seed puts the same faults in the same order
    #[arg(long)]
    seed: Option<u64>,
    /// Only this one, by its name or a part of it
    #[arg(long)]
    bug: Option<String>,
}

/// Rounds that are run without the bug, and then with it.
const AT_A_TIME: u64 = 4;

/// Where a bug is looked for: what leads to it often.
enum Ground {
    Servers(bool, Vec<Fault<OfServers>>),
    Files(bool, Vec<Fault<OfFiles>>),
}

fn ground(bug: Bug) -> Ground {
    use OfServers::{HoldRows, Kill, LoseBothCommits, LoseCommit, Refuse};
    let own = |faults: Vec<OfServers>| {
        Ground::Servers(false, faults.into_iter().map(Fault::Own).collect())
    };
    let common = |faults: Vec<Common>| {
        Ground::Servers(false, faults.into_iter().map(Fault::Common).collect())
    };
    match bug {
        Bug::Compensation | Bug::CompensatedUnknown => own(vec![
            LoseCommit(0, false),
            LoseCommit(1, true),
            LoseCommit(1, false),
            LoseBothCommits,
        ]),
        Bug::NoEpochCheck => own(vec![Refuse(1), Refuse(0), Kill(1)]),
        Bug::NoWitness => common(vec![Common::SurvivorGoes(0), Common::SurvivorGoes(1)]),
        Bug::IgnoredVersions => common(vec![Common::OneByOne(0), Common::OneByOne(1)]),
        Bug::ReadsBehind => Ground::Files(
            false,
            vec![Fault::Own(OfFiles::Delete(1)), Fault::Own(OfFiles::Delete(0))],
        ),
        Bug::ForgottenDeletes => own(vec![Refuse(0), Kill(1)]),
        Bug::StatementRolledBack => own(vec![HoldRows(1), HoldRows(0)]),
    }
}

/// What was found of one bug.
struct Found {
    refusal: Refusal,
    rounds: u64,
}

/// Runs the campaign with each bug until a judge finds it; `true` where all were
/// found, and nothing without them.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, String> {
    if !cfg!(feature = "faults") {
        return Err("no bug can be planted: build the campaign with the feature `faults`, as \
                    `cargo xtask lab planted` does"
            .to_owned());
    }
    let software = Software::find().map_err(|missing| format!("{missing}; see the README"))?;
    let seed = arguments.seed.unwrap_or_else(|| Random::secret().next_u64() >> 32);
    let limit = Duration::from_mins(arguments.minutes_each);
    eprintln!("campaign: planted bugs, seed {seed}");
    let wanted =
        |bug: &Bug| arguments.bug.as_ref().is_none_or(|part| bug.name().contains(part.as_str()));
    let bugs: Vec<Bug> = Bug::ALL.iter().copied().filter(wanted).collect();
    if bugs.is_empty() {
        return Err("there is no planted bug of that name".to_owned());
    }
    println!(
        "{:38}  {:14}  {:>6}  {:>7}  what it says",
        "planted bug", "found by", "rounds", "time"
    );
    let (mut found, mut spoiled) = (0, 0);
    for &bug in &bugs {
        let began = Instant::now();
        let looked = match ground(bug) {
            Ground::Servers(all, faults) => {
                look_for::<Servers>(&software, bug, all, &faults, seed, limit)
            }
            Ground::Files(all, faults) => {
                look_for::<Files>(&software, bug, all, &faults, seed, limit)
            }
        };
        let time = format!("{} s", began.elapsed().as_secs());
        match looked {
            Ok(Some(Found { refusal, rounds })) => {
                found += 1;
                let why: String = refusal.why.replace('\n', " ").chars().take(110).collect();
                println!("{bug:38}  {:14}  {rounds:>6}  {time:>7}  {why}", refusal.judge);
            }
            Ok(None) => println!("{bug:38}  {:14}  {:>6}  {time:>7}", "NOBODY", ""),
            Err(why) => {
                spoiled += 1;
                println!("{bug:38}  {:14}  {:>6}  {time:>7}  {why}", "SPOILED", "");
            }
        }
    }
    println!(
        "{}",
        serde_json::json!({
            "lab": "planted", "bugs": bugs.len(), "found": found, "spoiled": spoiled, "seed": seed,
        })
    );
    Ok(found == bugs.len() && spoiled == 0)
}

/// Some rounds without the bug, which must be clean, and then with it, until it
/// is found or the time is over.
fn look_for<M: Masters>(
    software: &Software,
    bug: Bug,
    all: bool,
    faults: &[Fault<M::Own>],
    seed: u64,
    limit: Duration,
) -> Result<Option<Found>, String> {
    let until = Instant::now() + limit;
    let mut rounds = 0;
    for part in 0.. {
        let seed = Seed(seed.wrapping_add(part));
        let clean = some_rounds::<M>(software, None, all, faults, seed)?;
        if let Some(found) = clean {
            let Refusal { judge, place, why } = found.refusal;
            return Err(format!("without the bug: {place}: {judge}: {why}"));
        }
        let planted = some_rounds::<M>(software, Some(bug.name()), all, faults, seed)?;
        if let Some(Found { refusal, rounds: more }) = planted {
            return Ok(Some(Found { refusal, rounds: rounds + more }));
        }
        rounds += AT_A_TIME;
        if Instant::now() > until {
            break;
        }
    }
    Ok(None)
}

fn some_rounds<M: Masters>(
    software: &Software,
    bug: Option<&'static str>,
    all: bool,
    faults: &[Fault<M::Own>],
    seed: Seed,
) -> Result<Option<Found>, String> {
    let random = Random::new(seed);
    let setup = Setup { all, workers: 1, bug, small_disk: None };
    let mut set = Set::<M>::start(software, setup).map_err(|error| error.to_string())?;
    let mut deck = Deck::of(faults.to_vec());
    let mut report = Report { quiet: true, ..Report::default() };
    for number in 0..AT_A_TIME {
        let fault = deck.deal(&random);
        if !round::round(&mut set, number, fault, &random, &mut report)? {
            // What a client saw tells more than that something did not go on.
            let safety = |one: &&Refusal| !matches!(one.judge, "going on" | "the fault");
            let refusals = report.refusals;
            let told = refusals.iter().find(safety).or(refusals.first()).cloned();
            return Ok(told.map(|refusal| Found { refusal, rounds: number + 1 }));
        }
    }
    Ok(None)
}
