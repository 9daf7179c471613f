//! A field of a change: left out, emptied, or given.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::FieldProblem;

/// One field of a request that changes what is given and keeps the rest, where
/// emptying the field means something.
///
/// Its field needs both attributes:
/// ```
/// use endpaper_api::Patch;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Change {
///     #[serde(default, skip_serializing_if = "Patch::is_absent")]
///     review: Patch<String>,
/// }
/// let read = |json| serde_json::from_str::<Change>(json).unwrap().review;
/// assert_eq!(read("{}"), Patch::Absent);
/// assert_eq!(read(r#"{"review":null}"#), Patch::Null);
/// assert_eq!(read(r#"{"review":"good"}"#), Patch::Value("good".to_owned()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Patch<T> {
    /// The field stays as it is.
    #[default]
    Absent,
    /// The field is emptied.
    Null,
    /// The field becomes this.
    Value(T),
}

impl<T> Patch<T> {
    /// Whether the field stays as it is.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The new value, where one is given.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// `None`: keep; `Some(None)`: empty; `Some(Some(value))`: set.
    pub fn into_option(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// The same patch of another type.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Absent => Patch::Absent,
            Self::Null => Patch::Null,
            Self::Value(value) => Patch::Value(change(value)),
        }
    }

    /// What a field that was `old` becomes.
    pub fn apply(self, old: Option<T>) -> Option<T> {
        match self {
            Self::Absent => old,
            Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::<T>::deserialize(deserializer)? {
            None => Self::Null,
            Some(value) => Self::Value(value),
        })
    }
}

/// Reads a field that may be left out and can't be emptied: `null` is refused as
/// [`FieldProblem::Required`]. To be used with `default`.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Option::<T>::deserialize(deserializer)?;
    value.map(Some).ok_or_else(|| FieldProblem::Required.into_serde())
}

/// What `derive(ToSchema)` would write, could it see that `Null` is JSON's null.
#[cfg(feature = "openapi")]
impl<T: utoipa::__dev::ComposeSchema> utoipa::__dev::ComposeSchema for Patch<T> {
    fn compose(
        generics: Vec<utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>>,
    ) -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        Option::<T>::compose(generics)
    }
}

#[cfg(feature = "openapi")]
impl<T: utoipa::__dev::ComposeSchema + utoipa::ToSchema> utoipa::ToSchema for Patch<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("Patch_{}", T::name()).into()
    }

    fn schemas(
        schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>,
    ) {
        T::schemas(schemas);
    }
}
