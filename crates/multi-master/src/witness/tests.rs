//! The file, the register, and the server that keeps registers.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::register::Register;
use super::*;
use crate::WitnessServer;

fn testimony(epoch: u64) -> Testimony {
    let serving = vec![MasterName("a".to_owned())];
    Testimony { set: Uuid::from_u128(7), epoch, serving, paused: false }
}

fn process(at: u128) -> Uuid {
    Uuid::from_u128(at)
}

fn file(path: &std::path::Path) -> Result<Witness, OpenError> {
    Witness::hold(&WitnessConfig::File(path.to_owned()), process(1))
}

#[tokio::test]
async fn what_was_said_is_read_back_and_one_process_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/witness.json");
    let mut witness = file(&path).unwrap();
    assert_eq!(witness.known(), None);
    witness.say(testimony(1)).await.unwrap();
    witness.say(testimony(2)).await.unwrap();
    assert!(matches!(file(&path), Err(OpenError::InUse(_))));
    drop(witness);
    assert_eq!(file(&path).unwrap().known(), Some(&testimony(2)));
}

#[test]
fn a_broken_file_is_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("witness.json");
    std::fs::write(&path, "{\"set\":").unwrap();
    let error = file(&path).unwrap_err().to_string();
    assert!(error.contains("made anew"), "{error}");
}

#[tokio::test]
#[should_panic(expected = "epochs only grow")]
async fn an_epoch_is_never_said_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut witness = file(&folder.path().join("w")).unwrap();
    witness.say(testimony(2)).await.unwrap();
    drop(witness.say(testimony(2)).await);
}

/// A few processes ask anything in any order, some of them about an epoch that
/// is long past, while time goes on.
fn asks() -> impl Strategy<Value = Vec<(u128, u8, u64)>> {
    prop::collection::vec((0..4u128, 0..6u8, 0..4_000u64), 0..80)
}

proptest! {
    /// Epochs only grow, and each was said by one process alone, which knew the
    /// one before. One process at a time opens the set. Who died is named to the
    /// others until one says that it is settled.
    #[test]
    fn a_register_tells_all_the_same(asks in asks(), stale in any::<bool>()) {
        let mut register = Register::default();
        let mut known = [None; 4];
        let mut now = 0;
        let mut opening: Option<(u128, u64)> = None;
        for (who, what, pause) in asks {
            now += pause;
            let before = register.testimony.clone();
            let index = usize::try_from(who).unwrap();
            // Also who knows little may want an epoch that is beyond the last.
            let epoch = known[index].unwrap_or(0) + 1 + pause % 4;
            let ask = match what {
                0 => Ask::Hear,
                1 => Ask::Open,
                2 if pause % 2 == 0 => Ask::Serve,
                2 => Ask::CutOff,
                3 => Ask::Leave,
                4 => Ask::Forget { processes: (0..4).map(process).collect() },
                _ => Ask::Say { after: known[index], testimony: testimony(epoch) },
            };
            let answer = register.answer(process(who), ask.clone(), now);
            match (&ask, &before, &answer.testimony) {
                (Ask::Say { after, .. }, before, Some(said)) => {
                    let was = before.as_ref().map(|before| before.epoch);
                    if was == *after {
                        prop_assert_eq!(said.epoch, epoch);
                    } else {
                        prop_assert_eq!(Some(said), before.as_ref(), "it knew an old one");
                    }
                }
                (_, before, said) => prop_assert_eq!(before, said),
            }
            if !stale || what != 5 {
                known[index] = answer.testimony.map(|said| said.epoch);
            }
            if answer.stage == Stage::Opening && matches!(ask, Ask::Open) {
                if let Some((other, heard)) = opening.filter(|(other, _)| *other != who) {
                    let silent = u128::from(now - heard) > SILENCE_MAX.as_millis();
                    prop_assert!(silent, "{other} opens it already");
                }
                opening = Some((who, now));
            } else if let Some((_, heard)) = opening.as_mut().filter(|(other, _)| *other == who) {
                *heard = now;
                if answer.stage != Stage::Opening || matches!(ask, Ask::Leave) {
                    opening = None;
                }
            }
            let lasting = serde_json::to_string(&register.lasting()).unwrap();
            let woken = serde_json::from_str::<Register>(&lasting).unwrap().woken(now);
            prop_assert_eq!(woken.lasting(), register.lasting(), "a restart forgets nobody");
        }
    }
}

#[test]
fn who_is_silent_is_named_until_it_is_settled_or_speaks() {
    let mut register = Register::default();
    let late = u64::try_from(SILENCE_MAX.as_millis()).unwrap() + 1;
    for at in [1, 2] {
        register.answer(process(at), Ask::Open, 0);
        register.answer(process(at), Ask::Serve, 0);
    }
    let silent = |register: &mut Register, now: u64| {
        let others = register.answer(process(1), Ask::Hear, now).others;
        others.into_iter().map(|other| other.silent).collect::<Vec<_>>()
    };
    assert_eq!(silent(&mut register, late - 1), [false]);
    assert_eq!(silent(&mut register, late), [true]);
    // It was only frozen, and is not forgotten by who took it for dead.
    register.answer(process(2), Ask::Hear, late);
    register.answer(process(1), Ask::Forget { processes: vec![process(2)] }, late);
    assert_eq!(silent(&mut register, late), [false]);
    register.answer(process(1), Ask::Forget { processes: vec![process(2)] }, 2 * late);
    assert_eq!(silent(&mut register, 2 * late), [false; 0]);
    // Who only waited leaves nothing to settle.
    register.answer(process(3), Ask::Hear, 2 * late);
    assert_eq!(silent(&mut register, 4 * late), [false; 0]);
}

#[test]
fn others_hear_who_is_cut_off_until_it_is_not() {
    let mut register = Register::default();
    let stage = |register: &mut Register| register.answer(process(1), Ask::Hear, 0).others[0].stage;
    register.answer(process(2), Ask::CutOff, 0);
    assert_eq!(stage(&mut register), Stage::CutOff);
    register.answer(process(2), Ask::Hear, 0);
    assert_eq!(stage(&mut register), Stage::CutOff);
    register.answer(process(2), Ask::Serve, 0);
    assert_eq!(stage(&mut register), Stage::Serving);
}

struct Served {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(folder: &std::path::Path, token: Option<&str>) -> Self {
        let server = WitnessServer::hold(folder, token.map(str::to_owned)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { address, task: tokio::spawn(Arc::new(server).serve(listener)) }
    }

    fn witness(&self, at: u128, token: Option<&str>) -> Witness {
        let config = WitnessConfig::Server {
            address: self.address.clone(),
            token: token.map(str::to_owned),
            set: "books".to_owned(),
        };
        Witness::hold(&config, process(at)).unwrap()
    }

    async fn stop(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

#[tokio::test]
async fn of_two_that_say_something_one_is_told_what_the_other_said() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), None).await;
    let [mut one, mut other] = [1, 2].map(|at| served.witness(at, None));
    one.say(testimony(1)).await.unwrap();
    assert_eq!(other.say(testimony(3)).await, Err(Unsaid::Moved(testimony(1))));
    assert!(other.heard(&testimony(1)));
    other.say(testimony(3)).await.unwrap();
    assert_eq!(one.say(testimony(2)).await, Err(Unsaid::Moved(testimony(3))));
    // It is told the same after a crash, over a connection that is made anew.
    let address = served.address.clone();
    served.stop().await;
    assert!(matches!(one.say(testimony(4)).await, Err(Unsaid::Silent(_))));
    let server = WitnessServer::hold(folder.path(), None).unwrap();
    let listener = TcpListener::bind(&address).await.unwrap();
    let task = tokio::spawn(Arc::new(server).serve(listener));
    assert_eq!(one.say(testimony(4)).await, Err(Unsaid::Moved(testimony(3))));
    task.abort();
}

#[tokio::test]
async fn a_witness_that_forgot_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), None).await;
    let mut one = served.witness(1, None);
    one.say(testimony(5)).await.unwrap();
    served.stop().await;
    let empty = tempfile::tempdir().unwrap();
    let served = Served::start(empty.path(), None).await;
    let mut moved = served.witness(1, None);
    moved.heard(&testimony(5));
    let Err(Unsaid::Silent(why)) = moved.say(testimony(6)).await else { panic!("believed") };
    assert!(why.contains("lost what it was told"), "{why}");
    served.stop().await;
}

#[tokio::test]
async fn who_does_not_know_the_token_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), Some("s3cret")).await;
    for token in [None, Some(""), Some("s3cre"), Some("s3cret1"), Some("S3cret")] {
        let said = served.witness(1, token).say(testimony(1)).await;
        let Err(Unsaid::Silent(why)) = said else { panic!("{token:?} was taken") };
        assert!(why.contains("token"), "{why}");
    }
    served.witness(1, Some("s3cret")).say(testimony(1)).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn one_directory_is_held_by_one_witness() {
    let folder = tempfile::tempdir().unwrap();
    let _first = WitnessServer::hold(folder.path(), None).unwrap();
    assert!(matches!(WitnessServer::hold(folder.path(), None), Err(OpenError::InUse(_))));
}
