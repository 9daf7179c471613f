//! Records, their fields, and the rule of each field.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stdx::ids::NotAnId;

stdx::id_type! {
    /// Whose records they are.
    pub struct AccountId;
}

stdx::id_type! {
    /// One installation of a client, for one account.
    pub struct DeviceId;
}

stdx::id_type! {
    /// One record, made where the record is made.
    pub struct RecordId;
}

stdx::id_type! {
    /// One edit, made where the edit is made.
    pub struct OperationId;
}

stdx::id_type! {
    /// A change log: what is counted in it is counted once. It is another one after the
    /// server's store was put back from a backup, or went on without some of its writes.
    pub struct LogId;
}

/// What one field holds. As JSON it is what it looks like: `null`, `true`, `7`, `"…"`,
/// `["…"]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number; also an instant, in microseconds since 1970 UTC.
    Int(i64),
    /// A text.
    Text(Box<str>),
    /// Several texts, such as tags.
    Texts(Vec<Box<str>>),
}

impl Value {
    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 5,
            Self::Int(_) => 20,
            Self::Text(text) => text.len() + 2,
            Self::Texts(texts) => texts.iter().map(|text| text.len() + 3).sum::<usize>() + 2,
        }
    }

    /// The text, where it is one; of nothing, the empty one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null => Some(""),
            Self::Bool(_) | Self::Int(_) | Self::Texts(_) => None,
        }
    }
}

// An untagged enum would try one variant after the other, and write an error for each.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOf;

        impl<'de> Visitor<'de> for OneOf {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nothing, yes or no, a whole number, a text or a list of texts")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
                Ok(Value::Bool(yes))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Int(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
                let too_large = |_| E::invalid_value(Unexpected::Unsigned(number), &"an i64");
                i64::try_from(number).map(Value::Int).map_err(too_large)
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(text.into())
            }

            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(text.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = all.next_element()? {
                    texts.push(text);
                }
                Ok(Value::Texts(texts))
            }
        }

        deserializer.deserialize_any(OneOf)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

/// Values by the name of their field, in the order of the names.
///
/// Some fields of a record, or all of them. On the wire it is a map; a name that
/// comes twice there is an error.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fields(Vec<(Box<str>, Value)>);

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// What the field holds, where it is among these.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(name).ok().map(|at| &self.0[at].1)
    }

    /// Puts a value in the place of what the field held, which is returned.
    pub fn set(&mut self, name: &str, value: Value) -> Option<Value> {
        match self.place(name) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name.into(), value));
                None
            }
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.place(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Sets all of these.
    pub fn set_all(&mut self, others: &Self) {
        for (name, value) in others.iter() {
            self.set(name, value.clone());
        }
    }

    /// Name and value, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes they take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + 4 + value.bytes()).sum()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: AsRef<str>, V: Into<Value>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(all: I) -> Self {
        let mut fields = Self::new();
        for (name, value) in all {
            fields.set(name.as_ref(), value.into());
        }
        fields
    }
}

impl<N: AsRef<str>, V: Into<Value>, const COUNT: usize> From<[(N, V); COUNT]> for Fields {
    fn from(all: [(N, V); COUNT]) -> Self {
        all.into_iter().collect()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsMap;
        impl<'de> Visitor<'de> for AsMap {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of fields")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                use serde::de::Error as _;
                let mut fields = Fields::new();
                while let Some((name, value)) = map.next_entry::<Box<str>, Value>()? {
                    if fields.set(&name, value).is_some() {
                        return Err(M::Error::custom(format!("the field `{name}` comes twice")));
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(AsMap)
    }
}

/// Which record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The name of its table.
    pub table: Arc<str>,
    /// Its id.
    pub id: RecordId,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table, self.id)
    }
}

impl FromStr for RecordKey {
    type Err = NotAnId;

    /// As it is displayed: `memos/0190163d-8694-739b-aea5-966c26f8ad91`.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (table, id) = text.rsplit_once('/').ok_or(NotAnId)?;
        Ok(Self { table: table.into(), id: id.parse()? })
    }
}

/// Where a change stands in the change log of an account. The first is 1; 0 is
/// before all of them.
///
/// A record's version is that of its last change.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// Before all changes.
    pub const NONE: Self = Self(0);

    /// The next one.
    ///
    /// # Panics
    /// After 2^64 - 1 changes.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("nobody makes 2^64 changes"))
    }
}

/// Who wins where two devices set one field, neither having seen the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What was set later.
    Latest,
    /// What is smaller: the earlier of two instants, the smaller of two numbers.
    /// A device that has seen the other's can't make it greater either.
    Earliest,
    /// Only the server sets it.
    Server,
    /// Both, where they changed other parts of the text; else what was set later,
    /// and the other is kept as a revision.
    Text,
    /// The id of a record of this table, which is named before its own; of two, what was
    /// set later. A device that made both records sends this one when the server has
    /// that.
    Reference(&'static str),
}

/// A table: its fields and their rules. A field that is not named has no place in
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, in every protocol and store.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [(&'static str, Rule)],
}

impl Table {
    /// The rule of a field.
    #[must_use]
    pub fn rule(&self, field: &str) -> Option<Rule> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, rule)| *rule)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_a_map_on_the_wire() {
        let fields: Fields = [
            ("page", Value::Int(-3)),
            ("content", Value::from("책 \"읽기\"")),
            ("tags", Value::Texts(vec!["a".into(), "".into()])),
            ("finished", Value::Null),
            ("open", Value::Bool(true)),
        ]
        .into();
        let text = serde_json::to_string(&fields).unwrap();
        assert_eq!(
            text,
            r#"{"content":"책 \"읽기\"","finished":null,"open":true,"page":-3,"tags":["a",""]}"#
        );
        assert_eq!(serde_json::from_str::<Fields>(&text).unwrap(), fields);
        let bounds = Fields::from([("least", i64::MIN), ("most", i64::MAX)]);
        let text = serde_json::to_string(&bounds).unwrap();
        assert_eq!(serde_json::from_str::<Fields>(&text).unwrap(), bounds);
        for (wrong, why) in [
            (r#"{"a":1,"a":2}"#, "the field `a` comes twice"),
            (r#"{"a":1.5}"#, "expected nothing, yes or no, a whole number, a text or a list"),
            (r#"{"a":{"b":1}}"#, "invalid type: map"),
            (r#"{"a":["b",1]}"#, "invalid type: integer `1`, expected a string"),
            (r#"{"a":["b",null]}"#, "invalid type: null, expected a string"),
            (r#"{"a":9223372036854775808}"#, "expected an i64"),
            ("[]", "a map of fields"),
        ] {
            let error = serde_json::from_str::<Fields>(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    proptest! {
        /// They are what a sorted map would be.
        #[test]
        fn fields_are_a_map(steps in prop::collection::vec(("[a-e]", prop::option::of(0i64..9)), 0..40)) {
            let (mut fields, mut map) = (Fields::new(), std::collections::BTreeMap::new());
            for (name, value) in steps {
                if let Some(value) = value {
                    let before = fields.set(&name, value.into());
                    prop_assert_eq!(before, map.insert(name, Value::Int(value)));
                } else {
                    prop_assert_eq!(fields.remove(&name), map.remove(&name));
                }
            }
            let all: Vec<(String, Value)> =
                fields.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
            prop_assert_eq!(all, map.into_iter().collect::<Vec<_>>());
        }
    }
}
