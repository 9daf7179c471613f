//! Every answer's outside: `{"ok":true,"data":…}` or `{"ok":false,"error":{…}}`.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ErrorCode;

/// An answer, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Envelope<T> {
    /// It was done.
    Success(Success<T>),
    /// It was not.
    Failure(Failure),
}

/// What `ok` is says which of the two it is. Reading it as an untagged enum would have to keep
/// all of it first, and then say of nothing what is wrong with it.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Envelope<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound(deserialize = "T: Deserialize<'de>"))]
        struct Read<T> {
            ok: bool,
            #[serde(default = "Option::default", deserialize_with = "present")]
            data: Option<T>,
            error: Option<ErrorBody>,
        }

        /// Also what is `null`.
        fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<T>, D::Error> {
            T::deserialize(deserializer).map(Some)
        }

        match Read::deserialize(deserializer)? {
            Read { ok: true, data: Some(data), error: None } => {
                Ok(Self::Success(Success::new(data)))
            }
            Read { ok: false, data: None, error: Some(error) } => {
                Ok(Self::Failure(Failure::new(error)))
            }
            Read { ok: true, .. } => Err(D::Error::missing_field("data")),
            Read { ok: false, .. } => Err(D::Error::missing_field("error")),
        }
    }
}

impl<T> Envelope<T> {
    /// The data, or why there is none.
    pub fn into_result(self) -> Result<T, ErrorBody> {
        match self {
            Self::Success(success) => Ok(success.data),
            Self::Failure(failure) => Err(failure.error),
        }
    }
}

/// `{"ok":true,"data":…}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Success<T> {
    /// Always `true`.
    #[cfg_attr(feature = "openapi", schema(value_type = bool, example = true))]
    pub ok: Literal<true>,
    /// What was asked for; `null` where there is nothing to say.
    pub data: T,
}

impl<T> Success<T> {
    /// Around `data`.
    pub const fn new(data: T) -> Self {
        Self { ok: Literal, data }
    }
}

/// `{"ok":false,"error":{…}}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// Always `false`.
    #[cfg_attr(feature = "openapi", schema(value_type = bool, example = false))]
    pub ok: Literal<false>,
    /// Why.
    pub error: ErrorBody,
}

impl Failure {
    /// Around `error`.
    pub const fn new(error: ErrorBody) -> Self {
        Self { ok: Literal, error }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// For people, in the language of the request; says what to do.
    pub message: String,
    /// What is wrong with single fields; empty where it is not about fields.
    #[serde(default)]
    pub fields: Vec<FieldMessage>,
    /// Whether the same request may succeed later without anybody's doing.
    pub retryable: bool,
    /// What a program needs to go on, such as `existingId` of the thing that is
    /// already there. Left out where there is nothing.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object, required = false))]
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldMessage {
    /// The field, by its path on the wire: `content`, `tags[2]`; also a query
    /// parameter or a header by its name.
    pub field: String,
    /// For people, in the language of the request.
    pub message: String,
}

/// The data of an answer that has nothing to say: `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nothing;

impl Serialize for Nothing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::__dev::ComposeSchema for Nothing {
    fn compose(
        _: Vec<utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>>,
    ) -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new().schema_type(Type::Null).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Nothing {}

/// A boolean that is always the same, so that the two kinds of answer can't be
/// taken for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Literal<const VALUE: bool>;

impl<const VALUE: bool> Serialize for Literal<VALUE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(VALUE)
    }
}

impl<'de, const VALUE: bool> Deserialize<'de> for Literal<VALUE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = bool::deserialize(deserializer)?;
        if value == VALUE {
            Ok(Self)
        } else {
            Err(D::Error::invalid_value(
                Unexpected::Bool(value),
                &if VALUE { "true" } else { "false" },
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_read_back_as_what_they_are() {
        let success = Envelope::Success(Success::new(vec![1, 2]));
        let text = serde_json::to_string(&success).unwrap();
        assert_eq!(text, r#"{"ok":true,"data":[1,2]}"#);
        assert_eq!(serde_json::from_str::<Envelope<Vec<u32>>>(&text).unwrap(), success);

        let failure: Envelope<Vec<u32>> = Envelope::Failure(Failure::new(ErrorBody {
            code: ErrorCode::NotFound,
            message: "m".to_owned(),
            fields: vec![],
            retryable: false,
            details: serde_json::Map::new(),
        }));
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(
            text,
            r#"{"ok":false,"error":{"code":"NOT_FOUND","message":"m","fields":[],"retryable":false}}"#
        );
        assert_eq!(serde_json::from_str::<Envelope<Vec<u32>>>(&text).unwrap(), failure);
    }

    #[test]
    fn ok_false_with_data_is_neither() {
        assert!(serde_json::from_str::<Envelope<u32>>(r#"{"ok":false,"data":1}"#).is_err());
    }

    #[test]
    fn nothing_to_say_is_null() {
        let text = serde_json::to_string(&Success::new(Nothing)).unwrap();
        assert_eq!(text, r#"{"ok":true,"data":null}"#);
        assert!(serde_json::from_str::<Envelope<Nothing>>(&text).unwrap().into_result().is_ok());
    }
}
