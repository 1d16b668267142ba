//! Objects within requests that are objects indeed: serde alone would read an array into a struct by position, which
//! no client means. For `deserialize_with` of fields whose type is a struct, or many.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A `T` that was written as an object.
struct Object<T>(T);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// One, or null.
pub(crate) fn option<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

/// Any number.
pub(crate) fn many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(deserializer)?.into_iter().map(|Object(value)| value).collect())
}

/// Any number, or null.
pub(crate) fn option_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let objects = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(objects.map(|objects| objects.into_iter().map(|Object(value)| value).collect()))
}

#[cfg(test)]
mod tests {
    use crate::{BulkRead, CreateConversation, EditMessage, SendMessage};

    #[test]
    fn an_array_is_no_object() {
        let id = "01900000-0000-7000-8000-000000000000";
        assert!(serde_json::from_str::<EditMessage>(r#"{"content":"a","mentions":[{"offset":0,"length":1}]}"#).is_ok());
        assert!(serde_json::from_str::<EditMessage>(r#"{"content":"a","mentions":null}"#).is_ok());
        let error = serde_json::from_str::<EditMessage>(r#"{"content":"a","mentions":[[0,1,null]]}"#).unwrap_err();
        assert!(error.to_string().contains("expected an object"), "{error}");
        let subject = r#"{"kind":"group","title":"a","subject":["listing","7","A chair",null]}"#;
        assert!(serde_json::from_str::<CreateConversation>(subject).is_err());
        assert!(serde_json::from_str::<BulkRead>(&format!(r#"{{"items":[["{id}",1]]}}"#)).is_err());
        let attachment = r#"{"attachments":[["image","https://example.com"]]}"#;
        assert!(serde_json::from_str::<SendMessage>(attachment).is_err());
    }
}
