//! The machine against a world that fails: whatever is refused, fails, is not known or
//! crashes, in the end all is done or nothing is left.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use saga::machine::{Machine, Next, OperatorError, Shape, StepShape, Tried};
use saga::{Policy, Refusal, SagaState, StepState};
use stdx::{Random, Seed, UnixMicros};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn shape() -> impl Strategy<Value = Shape> {
    let step = (any::<bool>(), any::<bool>(), 1u32..4, 1u32..4, prop::bool::weighted(0.3));
    (prop::collection::vec(step, 1..=NAMES.len()), prop::option::of(0..NAMES.len())).prop_map(
        |(drawn, pivot)| {
            let mut steps: Vec<StepShape> = Vec::new();
            for (at, (is_local, is_undoable, attempts, undo_attempts, together)) in
                drawn.into_iter().enumerate()
            {
                let before = steps.last().map(|step| (step.group, step.is_local));
                let group = match before {
                    Some((group, false)) if together && !is_local => group,
                    Some((group, _)) => group + 1,
                    None => 0,
                };
                let policy = |attempts_max| Policy {
                    attempts_max,
                    pause_base: Duration::from_millis(1),
                    pause_max: Duration::from_millis(1),
                    ..Policy::DEFAULT
                };
                steps.push(StepShape {
                    name: NAMES[at],
                    group,
                    is_local,
                    is_undoable,
                    policy: policy(attempts),
                    undo_policy: policy(undo_attempts),
                });
            }
            let alone = |at: &usize| {
                steps.get(*at).is_some_and(|pivot| {
                    steps.iter().filter(|step| step.group == pivot.group).count() == 1
                })
            };
            let pivot = pivot.filter(alone);
            Shape { steps, pivot }
        },
    )
}

/// What the others have of a step. They know a repeat by its key, and who comes after the
/// compensation is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Other {
    ran: bool,
    tombstone: bool,
}

struct World {
    shape: Arc<Shape>,
    random: Random,
    others: Vec<Other>,
    /// As it is stored; nothing before the first commit.
    stored: Option<Machine>,
    machine: Machine,
    crashes: u64,
}

const NOW: UnixMicros = UnixMicros(1);

impl World {
    fn new(shape: Shape, seed: u64) -> Self {
        let shape = Arc::new(shape);
        let others = vec![Other::default(); shape.steps.len()];
        let machine = Machine::begin(Arc::clone(&shape));
        let random = Random::new(Seed(seed));
        Self { shape, random, others, stored: None, machine, crashes: 6 }
    }

    fn save(&mut self) {
        self.machine.stored();
        self.stored = Some(self.machine.clone());
    }

    /// The process dies, and another one takes the saga over.
    fn crashes(&mut self) -> bool {
        if self.crashes == 0 || !self.random.one_in(8) {
            return false;
        }
        self.crashes -= 1;
        self.machine = match &self.stored {
            None => Machine::begin(Arc::clone(&self.shape)),
            Some(stored) => Machine::resume(
                Arc::clone(&self.shape),
                stored.state(),
                stored.is_forward(),
                stored.steps().to_vec(),
                stored.cause().cloned(),
            )
            .expect("what was stored can be read"),
        };
        true
    }

    fn tried(&mut self, at: usize) -> Tried {
        let other = &mut self.others[at];
        assert!(!other.tombstone, "a step is done after it was undone");
        let has_run = other.ran;
        match self.random.below(8) {
            0 if !has_run => Tried::Refused(Refusal::new("NO", "no")),
            // This try certainly did nothing; one before it may have.
            1 => Tried::Failed("failed".into()),
            // Asked, and the answer lost.
            2 => {
                other.ran = true;
                Tried::Unknown("no answer".into())
            }
            // Lost on the way.
            3 => Tried::Unknown("no answer".into()),
            _ => {
                other.ran = true;
                Tried::Done("1".into())
            }
        }
    }

    fn undo(&mut self, at: usize) -> Result<(), String> {
        match self.random.below(4) {
            0 => Err("failed".into()),
            1 => {
                (self.others[at].ran, self.others[at].tombstone) = (false, true);
                Err("no answer".into())
            }
            _ => {
                (self.others[at].ran, self.others[at].tombstone) = (false, true);
                Ok(())
            }
        }
    }

    /// Until it is over.
    fn run(&mut self) {
        for _ in 0..10_000 {
            self.machine.check().unwrap();
            if self.crashes() {
                continue;
            }
            let random = self.random.clone();
            match self.machine.next() {
                Next::Local(at) => {
                    // What a transaction that is rolled back leaves is nothing.
                    let tried = match self.random.below(6) {
                        0 => Tried::Refused(Refusal::new("NO", "no")),
                        1 => Tried::Failed("failed".into()),
                        _ => Tried::Done("1".into()),
                    };
                    let is_done = matches!(tried, Tried::Done(_));
                    self.machine.begin_step(at, NOW);
                    self.machine.end_steps(vec![(at, tried)], &random, NOW);
                    if is_done {
                        if self.crashes() {
                            continue;
                        }
                        assert!(!self.others[at].ran, "a local step is done once");
                        self.others[at].ran = true;
                        self.save();
                    }
                }
                Next::Calls(steps) => {
                    for at in &steps {
                        self.machine.begin_step(*at, NOW);
                    }
                    self.save();
                    if self.crashes() {
                        continue;
                    }
                    let tried: Vec<_> = steps.iter().map(|at| (*at, self.tried(*at))).collect();
                    if self.crashes() {
                        continue;
                    }
                    self.machine.end_steps(tried, &random, NOW);
                }
                Next::Undo(at) => {
                    self.machine.begin_undo(at);
                    if self.shape.steps[at].is_local {
                        let result = if self.random.one_in(4) { Err("no".into()) } else { Ok(()) };
                        let is_done = result.is_ok();
                        self.machine.end_undo(at, result, &random, NOW);
                        if is_done {
                            if self.crashes() {
                                continue;
                            }
                            assert!(self.others[at].ran, "what is undone was done");
                            self.others[at].ran = false;
                            self.save();
                        }
                        continue;
                    }
                    self.save();
                    if self.crashes() {
                        continue;
                    }
                    let result = self.undo(at);
                    if self.crashes() {
                        continue;
                    }
                    self.machine.end_undo(at, result, &random, NOW);
                }
                Next::Pause(pause) => {
                    self.save();
                    self.machine.rested(pause);
                }
                Next::Ended(SagaState::Stuck) => {
                    self.save();
                    assert_eq!(
                        self.machine.skip(0, "  ", NOW),
                        Err(OperatorError::NoReason),
                        "who leaves something out says why"
                    );
                    self.machine.retry().unwrap();
                    self.save();
                }
                Next::Ended(_) => {
                    self.save();
                    return;
                }
            }
        }
        panic!("it never ends: {:?}", self.machine);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_the_end_all_is_done_or_nothing_is_left(shape in shape(), seed in any::<u64>()) {
        let mut world = World::new(shape, seed);
        world.run();
        let machine = &world.machine;
        match machine.state() {
            SagaState::Completed => {
                for (at, other) in world.others.iter().enumerate() {
                    prop_assert!(other.ran && !other.tombstone, "step {at} is not done");
                    prop_assert_eq!(machine.steps()[at].state, StepState::Done);
                }
                prop_assert_eq!(machine.cause(), None);
            }
            SagaState::Compensated => {
                for (at, other) in world.others.iter().enumerate() {
                    let is_left = other.ran && world.shape.steps[at].is_undoable;
                    prop_assert!(!is_left, "step {at} is left: {machine:?}");
                }
                prop_assert!(machine.cause().is_some(), "somebody is told why");
                if let Some(pivot) = world.shape.pivot {
                    prop_assert!(machine.steps()[pivot].state != StepState::Done);
                }
            }
            other => prop_assert!(false, "{other:?} is no end"),
        }
    }
}

fn two_steps(pivot: Option<usize>) -> Shape {
    let step = |name, group| StepShape {
        name,
        group,
        is_local: false,
        is_undoable: true,
        policy: Policy::ONCE,
        undo_policy: Policy::ONCE,
    };
    Shape { steps: vec![step("a", 0), step("b", 1)], pivot }
}

#[test]
fn an_operator_leaves_out_what_can_not_be_undone() {
    let random = Random::new(Seed(1));
    let mut machine = Machine::begin(Arc::new(two_steps(None)));
    machine.begin_step(0, NOW);
    machine.end_steps(vec![(0, Tried::Done("1".into()))], &random, NOW);
    assert_eq!(machine.retry(), Err(OperatorError::NotStuck(SagaState::Running)));
    machine.begin_step(1, NOW);
    machine.end_steps(vec![(1, Tried::Refused(Refusal::new("NO", "no")))], &random, NOW);
    assert_eq!(machine.next(), Next::Undo(0));
    machine.begin_undo(0);
    machine.end_undo(0, Err("away".into()), &random, NOW);
    assert_eq!(machine.next(), Next::Ended(SagaState::Stuck));
    assert_eq!(machine.stuck_at(), [0]);
    assert_eq!(machine.skip(1, "done by hand", NOW), Err(OperatorError::OtherStep("a".into())));
    machine.skip(0, "done by hand", NOW).unwrap();
    assert_eq!(machine.state(), SagaState::Compensated);
    assert_eq!(machine.steps()[0].state, StepState::Skipped);
    assert_eq!(machine.steps()[0].error.as_deref(), Some("done by hand"));
    assert_eq!(machine.cause().unwrap().code.as_deref(), Some("NO"), "it turned back for that");
}

#[test]
fn after_the_pivot_it_only_goes_forward() {
    let random = Random::new(Seed(1));
    let mut machine = Machine::begin(Arc::new(two_steps(Some(0))));
    machine.begin_step(0, NOW);
    machine.end_steps(vec![(0, Tried::Done("1".into()))], &random, NOW);
    machine.begin_step(1, NOW);
    machine.end_steps(vec![(1, Tried::Refused(Refusal::new("NO", "no")))], &random, NOW);
    assert_eq!(machine.next(), Next::Ended(SagaState::Stuck));
    machine.retry().unwrap();
    assert_eq!(machine.cause(), None);
    assert_eq!(machine.next(), Next::Calls(vec![1]));
    machine.begin_step(1, NOW);
    machine.end_steps(vec![(1, Tried::Done("1".into()))], &random, NOW);
    assert_eq!(machine.next(), Next::Ended(SagaState::Completed));
}

#[test]
fn a_pivot_that_may_be_done_and_can_not_be_undone_waits_for_somebody() {
    let random = Random::new(Seed(1));
    let mut shape = two_steps(Some(0));
    shape.steps[0].is_undoable = false;
    let mut machine = Machine::begin(Arc::new(shape));
    machine.begin_step(0, NOW);
    machine.end_steps(vec![(0, Tried::Unknown("no answer".into()))], &random, NOW);
    assert_eq!(machine.next(), Next::Ended(SagaState::Stuck));
}
