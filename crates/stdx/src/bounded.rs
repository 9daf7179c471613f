//! A queue with an end.

use std::collections::VecDeque;

/// First in, first out, and never more than `capacity`: a full queue gives the
/// item back, so that the one who brought it has to decide.
///
/// ```
/// use stdx::BoundedQueue;
///
/// let mut queue = BoundedQueue::new(1);
/// assert!(queue.push("a").is_ok());
/// assert_eq!(queue.push("b").unwrap_err().0, "b");
/// assert_eq!(queue.pop(), Some("a"));
/// ```
#[derive(Clone, Debug)]
pub struct BoundedQueue<T> {
    items: VecDeque<T>,
    capacity: usize,
}

/// The queue is full; here is the item back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct Full<T>(pub T);

impl<T> BoundedQueue<T> {
    /// An empty queue for at most `capacity` items. It allocates as it fills.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { items: VecDeque::new(), capacity }
    }

    /// Puts an item at the end.
    pub fn push(&mut self, item: T) -> Result<(), Full<T>> {
        if self.is_full() {
            return Err(Full(item));
        }
        self.items.push_back(item);
        Ok(())
    }

    /// Takes the item at the front.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// The item at the front.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.items.front()
    }

    /// The items, front first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The most that there can be.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the next push will be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_keeps_its_order() {
        let mut queue = BoundedQueue::new(2);
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        assert_eq!(queue.push(3), Err(Full(3)));
        assert_eq!(queue.pop(), Some(1));
        queue.push(4).unwrap();
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), [2, 4]);
        assert_eq!((queue.len(), queue.capacity(), queue.is_full()), (2, 2, true));
    }

    #[test]
    fn a_queue_for_nothing_takes_nothing() {
        assert!(BoundedQueue::new(0).push(()).is_err());
    }
}
