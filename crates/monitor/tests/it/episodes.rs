//! Every episode is told when it begins, when it becomes worse, and when it is
//! over; and no more often than that.

use std::collections::BTreeMap;
use std::time::Duration;

use monitor::{
    Alert, AlertKey, EpisodeId, Episodes, EpisodesConfig, Event, Message, Severity, TooMany,
};
use proptest::prelude::*;
use stdx::{Clock, IdSource, Random, Seed, UnixMicros};

const START: UnixMicros = UnixMicros::from_secs(1_700_000_000);
const KEYS: [&str; 3] = ["a", "b", "c"];

fn episodes(config: EpisodesConfig) -> Episodes {
    Episodes::new(config, IdSource::new(Clock::starting_at(START), Random::new(Seed(1))))
}

fn alert(severity: Severity, key: &str) -> Alert {
    Alert::new(severity, AlertKey::new(key), "test")
}

#[derive(Clone, Debug)]
enum Op {
    Raise(usize, Severity),
    Resolve(usize),
    Pass(u64),
    /// To the moment at which there is something to say.
    Wake,
    JumpBack(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let severity =
        prop_oneof![Just(Severity::Info), Just(Severity::Warning), Just(Severity::Critical)];
    let op = prop_oneof![
        5 => (0..KEYS.len(), severity).prop_map(|(key, severity)| Op::Raise(key, severity)),
        5 => (0..KEYS.len()).prop_map(Op::Resolve),
        4 => (0u64..200_000).prop_map(Op::Pass),
        2 => Just(Op::Wake),
        1 => (0u64..30_000_000).prop_map(Op::JumpBack),
    ];
    prop::collection::vec(op, 0..150)
}

fn config() -> impl Strategy<Value = EpisodesConfig> {
    (0u64..100_000, prop::option::of(1_000u64..100_000)).prop_map(|(quiet, repeat)| {
        EpisodesConfig {
            quiet: Duration::from_millis(quiet),
            repeat_critical: repeat.map(Duration::from_millis),
            ..EpisodesConfig::default()
        }
    })
}

/// What a person knows who reads every message.
#[derive(Default)]
struct Reader {
    told: BTreeMap<EpisodeId, Vec<Message>>,
}

impl Reader {
    fn read(&mut self, episodes: &mut Episodes) -> usize {
        let mut messages = 0;
        while let Some(message) = episodes.poll_message() {
            let told = self.told.entry(message.episode).or_default();
            match told.last() {
                None => assert_eq!(message.event, Event::Raised, "it begins with that"),
                Some(last) => {
                    assert_ne!(message.event, Event::Raised, "it begins once");
                    assert_ne!(last.event, Event::Resolved, "and nothing comes after its end");
                    assert_eq!(message.alert.key(), last.alert.key());
                    let (was, is) = (last.alert.severity(), message.alert.severity());
                    assert_eq!(is > was, message.event == Event::Worsened);
                    assert!(is >= was && message.count >= last.count && message.id > last.id);
                }
            }
            assert_eq!(message.lasted.is_some(), message.event == Event::Resolved);
            told.push(message);
            messages += 1;
        }
        messages
    }

    /// The severity of what this person thinks is open under the key.
    fn open(&self, key: &str) -> Option<Severity> {
        let mut open = self.told.values().filter_map(|told| {
            let last = told.last()?;
            let is_it = last.alert.key().as_str() == key && last.event != Event::Resolved;
            is_it.then(|| last.alert.severity())
        });
        let severity = open.next();
        assert_eq!(open.next(), None, "one episode under a key");
        severity
    }
}

/// One key, told without a queue or an order of effects.
#[derive(Clone, Copy, Default)]
struct Model {
    /// The highest severity since the episode began, where there is one.
    highest: Option<Severity>,
    resolved_at: Option<UnixMicros>,
}

proptest! {
    #[test]
    fn a_reader_of_the_messages_knows_what_is_the_matter(ops in ops(), config in config()) {
        let quiet = config.quiet;
        let mut episodes = episodes(config);
        let (mut now, mut reader, mut models) = (START, Reader::default(), [Model::default(); 3]);
        for op in ops {
            match op {
                Op::Pass(millis) => now = now.after(Duration::from_millis(millis)),
                Op::Wake => now = episodes.next_wake().unwrap_or(now).max(now),
                Op::JumpBack(millis) => now = now.before(Duration::from_millis(millis)),
                Op::Raise(..) | Op::Resolve(_) => {}
            }
            for model in &mut models {
                model.resolved_at = model.resolved_at.map(|at| at.min(now));
                if model.resolved_at.is_some_and(|at| now.since(at) >= quiet) {
                    *model = Model::default();
                }
            }
            match op {
                Op::Raise(key, severity) => {
                    episodes.raise(now, alert(severity, KEYS[key])).unwrap();
                    models[key].highest = models[key].highest.max(Some(severity));
                    models[key].resolved_at = None;
                }
                Op::Resolve(key) => {
                    episodes.resolve(now, &AlertKey::new(KEYS[key]));
                    if models[key].highest.is_some() && quiet.is_zero() {
                        models[key] = Model::default();
                    } else if models[key].highest.is_some() {
                        models[key].resolved_at.get_or_insert(now);
                    }
                }
                Op::Pass(_) | Op::Wake | Op::JumpBack(_) => episodes.advance(now),
            }
            reader.read(&mut episodes);
            for (key, model) in KEYS.iter().zip(&models) {
                prop_assert_eq!(reader.open(key), model.highest);
            }
            prop_assert!(episodes.next_wake().is_none_or(|wake| wake > now), "what is due is said");
        }

        // Whatever was is over at some time, and is told to be so once.
        for key in KEYS {
            episodes.resolve(now, &AlertKey::new(key));
        }
        episodes.advance(now.after(quiet));
        reader.read(&mut episodes);
        prop_assert_eq!(episodes.open().count(), 0);
        prop_assert_eq!(episodes.next_wake(), None);
        for told in reader.told.values() {
            let of = |event| told.iter().filter(|message| message.event == event).count();
            prop_assert_eq!((of(Event::Raised), of(Event::Resolved)), (1, 1));
            prop_assert!(of(Event::Worsened) <= 2);
        }
    }

    /// However often something flaps within the quiet time, it is two messages.
    #[test]
    fn what_flaps_is_told_twice(pauses in prop::collection::vec(0u64..60_000, 1..200)) {
        let mut episodes = episodes(EpisodesConfig::default());
        let (mut now, key) = (START, AlertKey::new("a"));
        let (mut messages, mut reader) = (0, Reader::default());
        let flaps = pauses.len() as u64;
        for pause in pauses {
            episodes.raise(now, alert(Severity::Warning, "a")).unwrap();
            episodes.resolve(now, &key);
            messages += reader.read(&mut episodes);
            now = now.after(Duration::from_millis(pause));
        }
        prop_assert_eq!(messages, 1);
        episodes.advance(now.after(Duration::from_mins(1)));
        prop_assert_eq!(reader.read(&mut episodes), 1);
        let told = reader.told.values().next().unwrap();
        prop_assert_eq!(told[1].count, flaps);
    }

    /// One that goes on is told again at its interval, and only where it is
    /// CRITICAL.
    #[test]
    fn what_is_critical_is_told_again(hours in 0u64..100, critical in any::<bool>()) {
        let mut episodes = episodes(EpisodesConfig::default());
        let severity = if critical { Severity::Critical } else { Severity::Warning };
        for minute in 0..=hours * 60 {
            let now = START.after(Duration::from_mins(minute));
            episodes.raise(now, alert(severity, "a")).unwrap();
        }
        let messages = Reader::default().read(&mut episodes) as u64;
        prop_assert_eq!(messages, if critical { 1 + hours / 4 } else { 1 });
    }
}

#[test]
fn more_than_there_may_be_are_refused_and_the_known_ones_go_on() {
    let mut episodes = episodes(EpisodesConfig { episodes_max: 2, ..EpisodesConfig::default() });
    let refused = Err(TooMany(Box::new(alert(Severity::Warning, "c"))));
    for (key, expected) in [("a", Ok(())), ("b", Ok(())), ("c", refused), ("a", Ok(()))] {
        assert_eq!(episodes.raise(START, alert(Severity::Warning, key)), expected);
    }
    episodes.resolve(START, &AlertKey::new("a"));
    let over = START.after(Duration::from_mins(1));
    assert_eq!(episodes.raise(over, alert(Severity::Warning, "c")), Ok(()));
}

#[test]
fn the_worst_that_was_said_stays_said() {
    let mut episodes = episodes(EpisodesConfig::default());
    let say = |severity, summary| Alert::new(severity, AlertKey::new("a"), summary);
    episodes.raise(START, say(Severity::Critical, "it burns")).unwrap();
    episodes.raise(START, say(Severity::Info, "it is warm")).unwrap();
    let open = episodes.open().next().unwrap();
    assert_eq!((open.alert.summary(), open.count), ("it burns", 2));
    episodes.raise(START, say(Severity::Critical, "it burns brightly")).unwrap();
    assert_eq!(episodes.open().next().unwrap().alert.summary(), "it burns brightly");
}

#[test]
fn at_the_end_nothing_is_waited_for() {
    let mut episodes = episodes(EpisodesConfig::default());
    episodes.raise(START, alert(Severity::Warning, "a")).unwrap();
    episodes.raise(START, alert(Severity::Warning, "b")).unwrap();
    episodes.resolve(START, &AlertKey::new("a"));
    episodes.finish(START);
    let events = std::iter::from_fn(|| episodes.poll_message()).map(|message| message.event);
    assert_eq!(events.collect::<Vec<_>>(), [Event::Raised, Event::Raised, Event::Resolved]);
    assert_eq!(episodes.open().count(), 1, "b is not over");
}
