//! A three-way merge of texts, by words.
//!
//! As `diff3` does it (Khanna, Kunal, Pierce: *A Formal Investigation of Diff3*,
//! 2007): what either side changed since the common base is taken; where both
//! changed the same place in different ways there is no merge.

use std::ops::Range;

use similar::DiffTag;
use similar::algorithms::{Capture, Compact, Replace, myers};

/// What one side made of a part of the base.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk<'a> {
    base: Range<usize>,
    now: Vec<&'a str>,
}

/// Both sides' changes of `base`; `None` where they overlap.
///
/// The order of the sides doesn't matter.
#[must_use]
pub fn merge(base: &str, one: &str, other: &str) -> Option<String> {
    if one == other || base == other {
        return Some(one.to_owned());
    }
    if base == one {
        return Some(other.to_owned());
    }
    let base = words(base);
    let (one, other) = (hunks(&base, one), hunks(&base, other));
    let mut merged = String::new();
    let mut at = 0;
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    loop {
        let next = match (one.peek(), other.peek()) {
            (None, None) => break,
            (Some(a), Some(b)) if a == b => {
                other.next();
                one.next()
            }
            (Some(a), Some(b)) if meet(&a.base, &b.base) => return None,
            (Some(a), Some(b)) if b.base.start < a.base.start => other.next(),
            (Some(_), _) => one.next(),
            (None, Some(_)) => other.next(),
        };
        let Some(next) = next else { break };
        merged.extend(base[at..next.base.start].iter().copied());
        merged.extend(next.now);
        at = next.base.end;
    }
    merged.extend(base[at..].iter().copied());
    Some(merged)
}

/// Whether both changed something of the same place. What is inserted where the
/// other side's change begins or ends has no place that both would agree on.
fn meet(one: &Range<usize>, other: &Range<usize>) -> bool {
    if one.is_empty() || other.is_empty() {
        one.start <= other.end && other.start <= one.end
    } else {
        one.start < other.end && other.start < one.end
    }
}

fn hunks<'a>(base: &[&str], now: &'a str) -> Vec<Hunk<'a>> {
    let now = words(now);
    // The one algorithm by its name: a browser would load all others, too.
    let mut changes = Compact::new(Replace::new(Capture::new()), base, &now[..]);
    let Ok(()) = myers::diff(&mut changes, base, 0..base.len(), &now[..], 0..now.len());
    let changes = changes.into_inner().into_inner().into_ops();
    changes
        .into_iter()
        .filter(|change| change.tag() != DiffTag::Equal)
        .map(|change| Hunk { base: change.old_range(), now: now[change.new_range()].to_vec() })
        .collect()
}

/// Words, and what is between them.
fn words(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let (mut from, mut in_space) = (0, None);
    for (at, letter) in text.char_indices() {
        let space = letter.is_whitespace();
        if in_space.is_some_and(|before| before != space) {
            all.push(&text[from..at]);
            from = at;
        }
        in_space = Some(space);
    }
    if from < text.len() {
        all.push(&text[from..]);
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_of_other_places_are_both_taken() {
        let base = "봄날 오후에 읽었다. It was quiet. 다음 장이 궁금하다.";
        let one = "봄날 아침에 읽었다. It was quiet. 다음 장이 궁금하다.";
        let other = "봄날 오후에 읽었다. It was quiet. 다음 장이 무척 궁금하다. 끝.";
        assert_eq!(
            merge(base, one, other).as_deref(),
            Some("봄날 아침에 읽었다. It was quiet. 다음 장이 무척 궁금하다. 끝.")
        );
    }

    #[test]
    fn changes_of_one_place_are_not_merged() {
        assert_eq!(merge("a b c", "a x c", "a y c"), None);
        assert_eq!(merge("a b c", "a x c", "a x c").as_deref(), Some("a x c"));
        assert_eq!(merge("a", "a x", "a y"), None, "both went on at the end");
        assert_eq!(merge("", "x", "y"), None);
        assert_eq!(merge("a b", "", "a c"), None, "emptied by one, changed by the other");
        assert_eq!(merge("a b", "", "a b").as_deref(), Some(""));
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "책", " ", "\n", "  "]), 0..12)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn words_are_the_whole_text(text in ".*") {
            prop_assert_eq!(words(&text).concat(), text);
        }

        #[test]
        fn the_order_of_the_sides_does_not_matter(base in text(), one in text(), other in text()) {
            prop_assert_eq!(merge(&base, &one, &other), merge(&base, &other, &one));
        }

        #[test]
        fn a_side_that_changed_nothing_changes_nothing(base in text(), one in text()) {
            prop_assert_eq!(merge(&base, &one, &base), Some(one.clone()));
            prop_assert_eq!(merge(&base, &one, &one), Some(one));
        }

        /// What was inserted by either side is in what is merged.
        #[test]
        fn nothing_that_was_inserted_is_lost(
            base in text(), at in 0usize..6, other_at in 0usize..6,
        ) {
            let insert = |at: usize, what: &str| {
                let parts = words(&base);
                let at = at.min(parts.len());
                format!("{} {what} {}", parts[..at].concat(), parts[at..].concat())
            };
            let (one, other) = (insert(at, "ONE"), insert(other_at, "OTHER"));
            if let Some(merged) = merge(&base, &one, &other) {
                prop_assert!(merged.contains("ONE") && merged.contains("OTHER"), "{merged}");
            }
        }
    }
}
