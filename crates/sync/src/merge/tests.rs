use proptest::prelude::*;
use stdx::{Clock, IdSource, Random, Seed};

use super::*;

const MEMOS: Table = Table {
    name: "memos",
    fields: &[
        ("content", Rule::Text),
        ("page", Rule::Latest),
        ("came", Rule::Earliest),
        ("count", Rule::Server),
    ],
};
const NOW: UnixMicros = UnixMicros::from_secs(1_700_000_000);

/// A server with one record, and devices.
struct World {
    ids: IdSource,
    key: RecordKey,
    held: Option<Held>,
    version: Version,
    sequence: u64,
    revisions: Vec<Revision>,
}

impl World {
    fn new() -> Self {
        let ids = IdSource::new(Clock::starting_at(NOW), Random::new(Seed(3)));
        let key = RecordKey { table: MEMOS.name.into(), id: ids.next() };
        let (held, version) = (None, Version::NONE);
        Self { ids, key, held, version, sequence: 0, revisions: Vec::new() }
    }

    fn operation(&mut self, action: Action, base: Version, secs_ago: i64) -> Operation {
        self.sequence += 1;
        let at = UnixMicros(NOW.0 - secs_ago * 1_000_000);
        Operation {
            id: self.ids.next(),
            sequence: self.sequence,
            key: self.key.clone(),
            action,
            base,
            written: NOW,
            at,
            after: HybridTime::ZERO,
            schema: 1,
            restores: false,
        }
    }

    fn settle(&mut self, device: DeviceId, operation: &Operation) -> Outcome {
        let origin = Origin { device, device_now: NOW, now: HybridTime::from_wall(NOW) };
        self.settle_from(&origin, operation)
    }

    fn settle_from(&mut self, origin: &Origin, operation: &Operation) -> Outcome {
        let next = self.version.next();
        let settled = settle(&MEMOS, self.held.as_ref(), operation, origin, next);
        if let Some(held) = settled.held {
            assert_eq!(held.version, next);
            (self.version, self.held) = (next, Some(held));
        }
        self.revisions.extend(settled.revision);
        settled.outcome
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.held.as_ref()?.fields.get(name)
    }

    fn content(&self) -> &str {
        self.field("content").and_then(Value::text).unwrap_or("")
    }

    /// Every text that is anywhere.
    fn texts(&self) -> Vec<&str> {
        let kept = self.revisions.iter().filter_map(|one| one.fields.get("content")?.text());
        kept.chain([self.content()]).collect()
    }
}

fn create(content: &str) -> Action {
    Action::Create { fields: [("content", Value::from(content)), ("page", Value::Int(1))].into() }
}

fn set(name: &str, value: impl Into<Value>) -> Action {
    Action::Update { fields: [(name, value)].into(), bases: Fields::new() }
}

fn write(base: &str, content: &str) -> Action {
    Action::Update { fields: [("content", content)].into(), bases: [("content", base)].into() }
}

/// A record that device `a` made, and both devices have seen.
fn shared(content: &str) -> (World, DeviceId, DeviceId) {
    let mut world = World::new();
    let (a, b) = (world.ids.next(), world.ids.next());
    let made = world.operation(create(content), Version::NONE, 1_000);
    assert_eq!(world.settle(a, &made), Outcome::Applied { version: Version(1) });
    (world, a, b)
}

/// Who makes a record takes what it named for all that there is.
#[test]
fn who_makes_what_is_there_with_more_is_told_all_of_it() {
    let (mut world, a, _) = shared("one");
    let again = Action::Create { fields: [("content", "one")].into() };
    let again = world.operation(again, Version(1), 10);
    let fields: Fields = [("content", Value::from("one")), ("page", Value::Int(1))].into();
    let (version, revision) = (Version(1), None);
    assert_eq!(world.settle(a, &again), Outcome::Merged { version, fields, revision });
}

#[test]
fn of_two_who_had_not_seen_each_other_the_later_wins_and_of_two_who_had_the_second() {
    let (mut world, a, b) = shared("one");
    let of_a = world.operation(set("page", 7i64), Version(1), 10);
    let of_b = world.operation(set("page", 8i64), Version(1), 20);
    world.settle(a, &of_a);
    let told = world.settle(b, &of_b);
    assert!(matches!(told, Outcome::Merged { version: Version(2), .. }), "{told:?}");
    assert_eq!(world.field("page"), Some(&Value::Int(7)));
    // Now b has seen that; its clock was wrong, and that is no matter.
    let again = world.operation(set("page", 9i64), Version(2), 90);
    assert_eq!(world.settle(b, &again), Outcome::Applied { version: Version(3) });
    assert_eq!(world.field("page"), Some(&Value::Int(9)));
}

/// A text that had another name when it was set has no stamp under the new one.
#[test]
fn a_text_without_a_stamp_loses_no_word_to_who_has_not_seen_it() {
    for (first, (base, second), there, kept) in [
        ("영 하나 둘", ("하나 둘", "하나 둘 셋"), "영 하나 둘 셋", vec![]),
        ("하나 일", ("하나 둘", "하나 이"), "하나 이", vec!["하나 일"]),
        ("영 하나 둘", ("영 하나 둘", "하나"), "하나", vec![]),
    ] {
        let (mut world, a, b) = shared("하나 둘");
        let first = world.operation(write("하나 둘", first), Version(1), 9);
        world.settle(a, &first);
        if let Some(held) = &mut world.held {
            held.stamps.retain(|(name, _)| &**name != "content");
        }
        let second = world.operation(write(base, second), Version(1), 0);
        world.settle(b, &second);
        assert_eq!(world.content(), there);
        let of = |one: &Revision| one.fields.get("content").cloned();
        let texts: Vec<Value> = world.revisions.iter().filter_map(of).collect();
        assert_eq!(texts, kept.into_iter().map(Value::from).collect::<Vec<_>>());
    }
}

#[test]
fn other_fields_are_all_taken() {
    let (mut world, a, b) = shared("one");
    let of_a = world.operation(set("page", 7i64), Version(1), 10);
    let of_b = world.operation(write("one", "one two"), Version(1), 20);
    world.settle(a, &of_a);
    world.settle(b, &of_b);
    assert_eq!((world.content(), world.field("page")), ("one two", Some(&Value::Int(7))));
}

#[test]
fn a_device_whose_first_edit_was_merged_does_not_take_the_others_words_away() {
    let (mut world, a, b) = shared("one two three");
    let of_b = world.operation(write("one two three", "one two three four"), Version(1), 30);
    world.settle(b, &of_b);
    // Device a edits twice before it hears anything.
    let first = world.operation(write("one two three", "zero one two three"), Version(1), 20);
    let second = world.operation(write("zero one two three", "zero one three"), Version(1), 10);
    world.settle(a, &first);
    world.settle(a, &second);
    assert_eq!(world.content(), "zero one three four");
    // And who deletes what it has not seen leaves it as a revision.
    let delete = world.operation(Action::Delete, Version(1), 5);
    world.settle(a, &delete);
    assert_eq!(world.texts(), ["zero one three four", ""]);
}

#[test]
fn an_edit_of_what_was_deleted_revives_it_where_that_was_seen() {
    for seen in [true, false] {
        let (mut world, a, b) = shared("one");
        let delete = world.operation(Action::Delete, Version(1), 10);
        world.settle(a, &delete);
        let base = if seen { Version(2) } else { Version(1) };
        let again = world.operation(write("one", "again"), base, 5);
        let told = world.settle(b, &again);
        if seen {
            assert_eq!(told, Outcome::Applied { version: Version(3) });
            assert_eq!(world.content(), "again");
        } else {
            assert!(matches!(told, Outcome::Kept { version: Version(2), .. }), "{told:?}");
            assert_eq!((world.content(), world.revisions.len()), ("", 1));
            assert_eq!(world.revisions[0].why, Why::Deleted);
        }
    }
}

/// Where the id follows from what it is, two devices that do not know of each other
/// make one record.
#[test]
fn two_that_make_one_record_lose_nothing() {
    let mut world = World::new();
    let (a, b) = (world.ids.next(), world.ids.next());
    let fields = |content: Value, page: i64| Action::Create {
        fields: [("content", content), ("page", page.into())].into(),
    };
    let first = world.operation(fields(Value::Null, 1), Version::NONE, 5);
    world.settle(a, &first);
    // It was made before the other one, which has no text.
    let second = world.operation(fields("from b".into(), 2), Version::NONE, 50);
    let told = world.settle(b, &second);
    assert!(matches!(told, Outcome::Merged { revision: None, .. }), "{told:?}");
    assert_eq!((world.content(), world.revisions.len()), ("from b", 0));
    assert_eq!(world.held.as_ref().unwrap().fields.get("page"), Some(&Value::Int(1)));
    // Two texts are two.
    let later = world.ids.next();
    let third = world.operation(fields("from c".into(), 3), Version::NONE, 1);
    world.settle(later, &third);
    assert_eq!(world.texts(), ["from b", "from c"], "the later one is there");
    // Who makes it, makes it anew, and says nothing by what is empty.
    let delete = world.operation(Action::Delete, world.version, 1);
    world.settle(a, &delete);
    let (knows_nothing, kept) = (world.ids.next(), world.revisions.len());
    let fourth = world.operation(create("from d"), Version::NONE, 100);
    assert!(matches!(world.settle(knows_nothing, &fourth), Outcome::Applied { .. }));
    assert_eq!((world.content(), world.revisions.len()), ("from d", kept));
    let nothing =
        Action::Create { fields: [("content", Value::Null), ("page", Value::Null)].into() };
    let fifth = world.operation(nothing, Version::NONE, 0);
    world.settle(later, &fifth);
    assert_eq!(world.content(), "from d");
    assert_eq!(world.held.as_ref().unwrap().fields.get("page"), Some(&Value::Int(1)));
}

#[test]
fn what_the_server_has_forgotten_comes_back_as_a_revision_and_not_as_half_a_record() {
    let mut world = World { version: Version(19), ..World::new() };
    let device = world.ids.next();
    let edit = world.operation(write("one", "one two"), Version(9), 10);
    let told = world.settle(device, &edit);
    assert!(matches!(told, Outcome::Kept { version: Version(19), .. }), "{told:?}");
    assert_eq!((world.held.is_none(), world.texts()), (true, vec!["one two", ""]));
    let delete = world.operation(Action::Delete, Version(9), 10);
    assert_eq!(world.settle(device, &delete), Outcome::Applied { version: Version(19) });
}

#[test]
fn only_the_server_sets_what_is_its_own_and_the_earliest_stays() {
    let (mut world, a, b) = shared("one");
    let own = world.operation(set("count", 5i64), Version(1), 10);
    assert!(matches!(world.settle(a, &own), Outcome::Merged { version: Version(1), .. }));
    for (device, came, expected) in [(a, 50i64, 50i64), (b, 40, 40), (a, 60, 40)] {
        let operation = world.operation(set("came", came), world.version, 10);
        world.settle(device, &operation);
        assert_eq!(world.field("came"), Some(&Value::Int(expected)));
    }
    assert_eq!(world.field("count"), None);
}

#[test]
fn a_clock_that_is_wrong_by_years_is_set_right() {
    const YEARS: i64 = 10 * 365 * 86_400 * 1_000_000;
    let (mut world, ..) = shared("one");
    let mut operation = world.operation(set("page", 7i64), Version(1), 60);
    let expected = operation.at;
    let now = HybridTime::from_wall(NOW);
    for ahead in [-YEARS, 0, YEARS] {
        let device_now = UnixMicros(NOW.0 + ahead);
        let origin = Origin { device: world.ids.next(), device_now, now };
        operation.at = UnixMicros(expected.0 + ahead);
        let time = origin.time_of(&operation);
        assert_eq!(time, HybridTime::from_wall(expected), "{ahead}");
        // The clock was set right between the edit and its sending.
        let origin = Origin { device_now: NOW, ..origin };
        operation.after = HybridTime::from_wall(UnixMicros(NOW.0 - 90_000_000));
        let time = origin.time_of(&operation);
        assert!(time >= operation.after && time <= now, "{ahead}: {time:?}");
    }
}

proptest! {
    /// A revision is a record, and the record is that revision.
    #[test]
    fn a_revision_is_a_record(
        at in 0i64..1 << 40, device in any::<bool>(), overlap in any::<bool>(),
        fields in prop::collection::vec(("[a-z.]{1,6}", ".{0,9}"), 0..4),
    ) {
        let ids = IdSource::new(Clock::starting_at(UnixMicros(0)), Random::new(Seed(1)));
        let revision = Revision {
            id: ids.next(),
            of: RecordKey { table: "memos".into(), id: ids.next() },
            fields: fields.into_iter().collect(),
            at: HybridTime::from_wall(UnixMicros::from_millis(at)),
            device: device.then(|| ids.next()),
            why: if overlap { Why::Overlap } else { Why::Deleted },
        };
        let (key, fields) = revision.record();
        prop_assert_eq!(&*key.table, REVISIONS.name);
        prop_assert_eq!(Revision::of_record(key.id, &fields), Some(revision));
        prop_assert_eq!(Revision::of_record(key.id, &Fields::new()), None);
    }

    /// Whoever comes first: two devices that had not seen each other's edits end
    /// with the same, and no word of either is lost.
    #[test]
    fn the_order_of_two_edits_that_did_not_see_each_other_does_not_matter(
        at in (0usize..4, 0usize..4), replaces in (any::<bool>(), any::<bool>()),
        ago in (1i64..100, 100i64..200), pages in (2i64..9, 10i64..19), swapped in any::<bool>(),
    ) {
        let base = "a b c d";
        let edited = |at: usize, replaces: bool, word: &str| {
            let mut words: Vec<&str> = base.split(' ').collect();
            if replaces { words[at] = word; } else { words.insert(at, word); }
            words.join(" ")
        };
        let texts = [edited(at.0, replaces.0, "ONE"), edited(at.1, replaces.1, "OTHER")];
        let ended = [false, true].map(|other_first| {
            let (mut world, a, b) = shared(base);
            let action = |text: &str, page: i64| Action::Update {
                fields: [("content", Value::from(text)), ("page", Value::Int(page))].into(),
                bases: [("content", base)].into(),
            };
            let ago = if swapped { (ago.1, ago.0) } else { ago };
            let one = world.operation(action(&texts[0], pages.0), Version(1), ago.0);
            let other = world.operation(action(&texts[1], pages.1), Version(1), ago.1);
            let mut both = [(a, one), (b, other)];
            if other_first { both.reverse(); }
            for (device, operation) in &both {
                world.settle(*device, operation);
            }
            for word in ["ONE", "OTHER"] {
                assert!(world.texts().iter().any(|text| text.contains(word)), "{word}");
            }
            (world.content().to_owned(), world.field("page").cloned())
        });
        prop_assert_eq!(&ended[0], &ended[1]);
    }

    /// What the server makes of an operation, it makes of it again, and then nothing
    /// changes.
    #[test]
    fn an_operation_that_is_settled_twice_changes_nothing_more(
        page in 1i64..9, content in "[a-c ]{0,8}", delete in any::<bool>(),
    ) {
        let (mut world, a, _) = shared("a b");
        let action = if delete { Action::Delete } else {
            Action::Update {
                fields: [("content", Value::from(content)), ("page", Value::Int(page))].into(),
                bases: [("content", "a b")].into(),
            }
        };
        let operation = world.operation(action, Version(1), 10);
        world.settle(a, &operation);
        let after = world.held.clone();
        world.settle(a, &operation);
        prop_assert_eq!(world.held.clone(), after);
        prop_assert!(world.revisions.is_empty());
    }
}
