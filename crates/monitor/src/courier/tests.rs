//! Nothing is lost, nothing changes its order, and what is dropped is told.

use proptest::prelude::*;
use stdx::{Clock, IdSource, Seed};

use super::*;
use crate::alert::{Alert, AlertKey, Severity};
use crate::message::Event;

const START: UnixMicros = UnixMicros::from_secs(1_700_000_000);

fn message(number: u64) -> Message {
    let ids = IdSource::new(Clock::starting_at(START), Random::new(Seed(number)));
    Message {
        id: ids.next(),
        episode: ids.next(),
        event: Event::Raised,
        alert: Alert::new(Severity::Warning, AlertKey::new(&number.to_string()), "test"),
        since: START,
        at: START,
        count: 1,
        lasted: None,
    }
}

fn number_of(message: &Message) -> u64 {
    message.alert.key().as_str().parse().unwrap()
}

#[derive(Clone, Debug)]
enum Op {
    Offer,
    Pass(u64),
    JumpBack(u64),
    Deliver,
    Fail(Option<u64>),
    Refuse,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => Just(Op::Offer),
        3 => (0u64..200_000).prop_map(Op::Pass),
        1 => (0u64..10_000_000).prop_map(Op::JumpBack),
        4 => Just(Op::Deliver),
        2 => prop::option::of(0u64..100).prop_map(Op::Fail),
        1 => Just(Op::Refuse),
    ];
    prop::collection::vec(op, 0..200)
}

/// Counts where each message has gone.
struct Ledger {
    courier: Courier,
    random: Random,
    now: UnixMicros,
    offered: u64,
    delivered: Vec<u64>,
    /// That were offered and are not to be delivered.
    dropped: Vec<u64>,
    told_dropped: u64,
    under_way: Option<Delivery>,
}

impl Ledger {
    fn new(config: DeliveryConfig, seed: u64) -> Self {
        Self {
            courier: Courier::new(config),
            random: Random::new(Seed(seed)),
            now: START,
            offered: 0,
            delivered: Vec::new(),
            dropped: Vec::new(),
            told_dropped: 0,
            under_way: None,
        }
    }

    fn offer(&mut self) {
        let number = self.offered;
        self.offered += 1;
        if !self.courier.offer(message(number)) {
            self.dropped.push(number);
        }
    }

    /// Lets time pass until there is something to send, where there is.
    fn send(&mut self) -> bool {
        while self.under_way.is_none() {
            match self.courier.poll(self.now) {
                Step::Idle => return false,
                Step::Wait(until) => {
                    assert!(until > self.now, "what is due is sent");
                    self.now = until;
                }
                Step::Send(delivery) => self.under_way = Some(delivery),
            }
        }
        assert_eq!(self.courier.poll(self.now), Step::Idle, "one at a time");
        true
    }

    fn came_of_it(&mut self, attempt: Attempt) {
        if !self.send() {
            return;
        }
        let delivery = self.under_way.take().unwrap();
        let number = number_of(&delivery.message);
        match self.courier.came_of_it(attempt, self.now, &self.random) {
            Some(given_up) => {
                assert_eq!((attempt, number_of(&given_up)), (Attempt::Refused, number));
                self.dropped.push(number);
            }
            None if attempt == Attempt::Delivered => {
                self.delivered.push(number);
                self.told_dropped += delivery.dropped;
            }
            None => {}
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Offer => self.offer(),
            Op::Pass(millis) => self.now = self.now.after(Duration::from_millis(*millis)),
            Op::JumpBack(millis) => self.now = self.now.before(Duration::from_millis(*millis)),
            Op::Deliver => self.came_of_it(Attempt::Delivered),
            Op::Fail(secs) => {
                let retry_after = secs.map(Duration::from_secs);
                self.came_of_it(Attempt::Failed { retry_after });
            }
            Op::Refuse => self.came_of_it(Attempt::Refused),
        }
    }
}

proptest! {
    #[test]
    fn every_message_arrives_in_its_order_or_is_counted(
        ops in ops(), seed in any::<u64>(), messages_max in 1usize..6, refusals_max in 1u32..4,
    ) {
        let config = DeliveryConfig { messages_max, refusals_max, ..DeliveryConfig::default() };
        let mut ledger = Ledger::new(config, seed);
        for op in &ops {
            ledger.run(op);
        }
        while ledger.send() {
            ledger.came_of_it(Attempt::Delivered);
        }
        // One more tells what was dropped after the last that arrived.
        ledger.offer();
        ledger.came_of_it(Attempt::Delivered);
        prop_assert!(ledger.delivered.is_sorted_by(|one, next| one < next), "once, in order");
        let mut all: Vec<u64> = ledger.delivered.iter().chain(&ledger.dropped).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..ledger.offered).collect::<Vec<_>>());
        prop_assert_eq!(ledger.told_dropped, ledger.dropped.len() as u64);
    }

    /// However a clock jumps, a message waits no longer than the longest pause.
    #[test]
    fn no_pause_is_longer_than_it_may_be(ops in ops(), seed in any::<u64>()) {
        let mut ledger = Ledger::new(DeliveryConfig::default(), seed);
        let config = DeliveryConfig::default();
        let longest = RETRY_AFTER_MAX.max(config.pause_max).max(config.breaker.open_max);
        for op in &ops {
            ledger.run(op);
            match ledger.courier.poll(ledger.now) {
                Step::Wait(until) => prop_assert!(until.since(ledger.now) <= longest),
                Step::Send(delivery) => ledger.under_way = Some(delivery),
                Step::Idle => {}
            }
        }
    }
}

#[test]
fn a_target_that_fails_is_given_a_rest() {
    let mut ledger = Ledger::new(DeliveryConfig::default(), 1);
    ledger.offer();
    for _ in 0..20 {
        ledger.came_of_it(Attempt::Failed { retry_after: None });
    }
    // By now the breaker is open for 30 to 60 s each time, however short the
    // pause that is drawn.
    let from = ledger.now;
    assert!(ledger.send());
    assert!(ledger.now.since(from) >= Duration::from_secs(30), "{:?}", ledger.now.since(from));
    ledger.came_of_it(Attempt::Delivered);
    assert_eq!(ledger.delivered, [0]);
    let changes: Vec<_> = std::iter::from_fn(|| ledger.courier.poll_change()).collect();
    assert!(matches!(changes.last().unwrap().to, balance::State::Closed));
}

#[test]
fn a_target_that_asks_for_peace_has_it() {
    let mut ledger = Ledger::new(DeliveryConfig::default(), 1);
    ledger.offer();
    let peace = Duration::from_mins(3);
    ledger.came_of_it(Attempt::Failed { retry_after: Some(peace) });
    assert_eq!(ledger.courier.poll(ledger.now), Step::Wait(ledger.now.after(peace)));
}

#[test]
fn what_is_left_is_handed_over() {
    let config = DeliveryConfig { messages_max: 2, ..DeliveryConfig::default() };
    let mut ledger = Ledger::new(config, 1);
    (0..3).for_each(|_| ledger.offer());
    assert!(ledger.send());
    let (left, dropped) = ledger.courier.give_up();
    assert_eq!((left.iter().map(number_of).collect::<Vec<_>>(), dropped), (vec![0, 1], 1));
    assert_eq!(ledger.courier.poll(ledger.now), Step::Idle);
}
