//! Values of columns, and rows as reads return them.

use std::fmt;
use std::sync::Arc;

use stdx::ids::Id;
use stdx::{HybridTime, UnixMicros};
use uuid::Uuid;

use crate::error::DbError;

/// A value of a column. There is no floating point: two engines round it
/// differently, and money must not round at all.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// A number, a truth value (0 or 1) or an instant (microseconds).
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes, or an id (16 bytes).
    Bytes(Vec<u8>),
}

impl Value {
    /// What it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Null => 1,
            Self::Int(_) => 8,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Int(int) => write!(f, "{int}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => match <[u8; 16]>::try_from(bytes.as_slice()) {
                Ok(id) => write!(f, "{}", Uuid::from_bytes(id)),
                Err(_) => write!(f, "{} bytes", bytes.len()),
            },
        }
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<i32> for Value {
    fn from(int: i32) -> Self {
        Self::Int(int.into())
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Self::Int(int.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Int(truth.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Bytes(id.into_bytes().to_vec())
    }
}

impl From<UnixMicros> for Value {
    fn from(at: UnixMicros) -> Self {
        Self::Int(at.0)
    }
}

impl From<HybridTime> for Value {
    fn from(at: HybridTime) -> Self {
        Self::Int(at.as_i64())
    }
}

impl<V: Into<Self>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The value of an id newtype. (A blanket `From` would collide with the others.)
#[must_use]
pub fn id(id: impl Id) -> Value {
    Value::from(id.uuid())
}

/// Reads one column of a [`Row`] as a Rust type.
pub trait FromValue: Sized {
    /// What the type is called in the error when the value is another.
    const EXPECTED: &'static str;
    /// The value, or `None` where it has another shape.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for i64 {
    const EXPECTED: &'static str = "a number";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }
}

impl FromValue for u32 {
    const EXPECTED: &'static str = "a number from 0 to 4294967295";
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).and_then(|int| int.try_into().ok())
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "0 or 1";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "a text";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    const EXPECTED: &'static str = "bytes";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl FromValue for Uuid {
    const EXPECTED: &'static str = "an id of 16 bytes";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Self::from_slice(bytes).ok(),
            _ => None,
        }
    }
}

impl FromValue for UnixMicros {
    const EXPECTED: &'static str = "an instant in microseconds";
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

impl FromValue for HybridTime {
    const EXPECTED: &'static str = "a version";
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).and_then(Self::from_i64)
    }
}

impl FromValue for Value {
    const EXPECTED: &'static str = "a value";
    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// One row of an answer: values by column name.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(columns: Arc<[String]>, values: Vec<Value>) -> Self {
        debug_assert_eq!(columns.len(), values.len());
        Self { columns, values }
    }

    /// The value of the column `name`, as a Rust type.
    ///
    /// # Errors
    /// [`DbError::Shape`] when the answer has no such column or its value is
    /// of another type: the program and the tables disagree.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, DbError> {
        let Some(at) = self.columns.iter().position(|column| column == name) else {
            return Err(DbError::Shape(format!(
                "the answer has no column `{name}`; it has {}",
                self.columns.join(", ")
            )));
        };
        T::from_value(&self.values[at]).ok_or_else(|| {
            DbError::Shape(format!(
                "column `{name}` should be {}, and is {:?}",
                T::EXPECTED,
                self.values[at]
            ))
        })
    }

    /// The id in the column `name`.
    pub fn id<I: Id>(&self, name: &str) -> Result<I, DbError> {
        self.get(name).map(I::from_uuid)
    }

    /// The id in the column `name`, where there is one.
    pub fn id_or_null<I: Id>(&self, name: &str) -> Result<Option<I>, DbError> {
        Ok(self.get::<Option<Uuid>>(name)?.map(I::from_uuid))
    }

    /// The names of the columns, in the order of the answer.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The values, in the order of the answer.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    pub(crate) fn into_values(self) -> Vec<Value> {
        self.values
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.columns.iter().zip(&self.values)).finish()
    }
}

/// Named values for [`crate::Tx::insert`] and [`crate::Tx::update`], and
/// parameter lists for reads.
///
/// ```
/// use multi_master::fields;
/// let author = "한강";
/// let fields = fields! { "author" => author, "pages" => 247i64, "cover" => None::<String> };
/// assert_eq!(fields.len(), 3);
/// ```
#[macro_export]
macro_rules! fields {
    ($($name:expr => $value:expr),* $(,)?) => {
        ::std::vec![$(($name, $crate::Value::from($value))),*]
    };
}

/// A parameter list for a read: `params![user, "Reading", 20i64]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        ::std::vec![$($crate::Value::from($value)),*] as ::std::vec::Vec<$crate::Value>
    };
}
