//! Topics, and who gets their events.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Delivery, HandleError, Handler};
use crate::schema::NAME_CHARS_MAX;

/// How events of one topic are delivered to one subscriber: its own workers, its own queue. One
/// that is slow or fails fills its own queue, and nobody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Deliveries at the same time, when there is little to do. 1 to [`Bounds::workers_max`].
    pub workers_min: usize,
    /// And from when the queue is full until nothing is left. At most 1,000.
    pub workers_max: usize,
    /// What is taken from the table at most, those that are being delivered included; what is
    /// more stays in the table. At least [`Bounds::workers_max`], at most 10,000.
    pub queue: usize,
    /// How long one delivery may take. Default 10 s.
    pub deadline: Duration,
    /// Tries before an event is put aside. Default 10.
    pub attempts_max: u32,
    /// The longest pause after the first failure; it doubles with each further one, and the
    /// pause is drawn evenly below it. Default 200 ms.
    pub pause_base: Duration,
    /// No pause is longer. Default 5 min.
    pub pause_max: Duration,
}

impl Bounds {
    /// 2 to 8 workers, a queue of 30.
    pub const DEFAULT: Self = Self {
        workers_min: 2,
        workers_max: 8,
        queue: 30,
        deadline: Duration::from_secs(10),
        attempts_max: 10,
        pause_base: Duration::from_millis(200),
        pause_max: Duration::from_mins(5),
    };

    fn check(&self) -> Result<(), &'static str> {
        if self.workers_min == 0 || self.workers_min > self.workers_max || self.workers_max > 1_000
        {
            return Err("it has 1 worker at least and 1,000 at most, the lower bound first");
        }
        if self.queue < self.workers_max || self.queue > 10_000 {
            return Err("its queue has room for each worker, and for 10,000 at most");
        }
        if self.attempts_max == 0 || self.deadline.is_zero() || self.pause_base > self.pause_max {
            return Err("it is tried once at least, for some time, with pauses that don't shrink");
        }
        Ok(())
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

pub(crate) type Handled<'a> = Pin<Box<dyn Future<Output = Result<(), HandleError>> + Send + 'a>>;

pub(crate) trait Erased: Send + Sync {
    fn handle<'a>(&'a self, delivery: &'a Delivery) -> Handled<'a>;
}

impl<H: Handler> Erased for H {
    fn handle<'a>(&'a self, delivery: &'a Delivery) -> Handled<'a> {
        Box::pin(Handler::handle(self, delivery))
    }
}

/// Who gets the events of a topic.
#[derive(Clone)]
pub(crate) struct Subscriber {
    pub(crate) name: &'static str,
    pub(crate) bounds: Bounds,
    pub(crate) handler: Arc<dyn Erased>,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A topic with its subscribers is wrong: a mistake in the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`: {why}")]
pub struct TopicError {
    /// Of which topic or subscriber.
    pub name: String,
    /// Why.
    pub why: &'static str,
}

/// The topics that a program knows. All processes of a store have to know the same ones: an
/// event is staged for those subscribers that the process knows which emits it.
#[derive(Clone, Debug, Default)]
pub struct Topics(pub(crate) BTreeMap<&'static str, Vec<Subscriber>>);

impl Topics {
    /// A topic, which may have no subscriber.
    ///
    /// # Errors
    /// [`TopicError`].
    pub fn topic(&mut self, name: &'static str) -> Result<(), TopicError> {
        is_name(name)?;
        self.0.entry(name).or_default();
        Ok(())
    }

    /// Somebody gets the events of a topic. The name is theirs for ever: what waits for them
    /// waits under it.
    ///
    /// # Errors
    /// [`TopicError`].
    pub fn subscribe(
        &mut self,
        topic: &'static str,
        name: &'static str,
        bounds: Bounds,
        handler: impl Handler,
    ) -> Result<(), TopicError> {
        self.topic(topic)?;
        is_name(name)?;
        let no = |why| Err(TopicError { name: name.to_owned(), why });
        if let Err(why) = bounds.check() {
            return no(why);
        }
        if self.0.values().flatten().any(|one| one.name == name) {
            return no("there are two subscribers of this name");
        }
        let handler: Arc<dyn Erased> = Arc::new(handler);
        self.0.entry(topic).or_default().push(Subscriber { name, bounds, handler });
        Ok(())
    }
}

fn is_name(name: &str) -> Result<(), TopicError> {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.len() <= NAME_CHARS_MAX as usize && name.bytes().all(is_part) {
        return Ok(());
    }
    let why = "a name has lower case letters, digits and `-`, at most 64";
    Err(TopicError { name: name.to_owned(), why })
}
