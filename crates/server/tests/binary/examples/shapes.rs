//! Whether a value is what a document says of it, and has nothing that the document does not say.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The shapes of one document, closed: a field that is not documented is refused.
pub(super) struct Shapes {
    components: Value,
}

impl Shapes {
    pub(super) fn of(document: &Value) -> Self {
        let mut schemas = document["components"]["schemas"].clone();
        let open = schemas.clone();
        for schema in schemas.as_object_mut().unwrap().values_mut() {
            close(schema, &open);
        }
        Self { components: json!({ "schemas": schemas }) }
    }

    /// Panics, naming what is wrong, when the value is not of this schema.
    pub(super) fn check(&self, what: &str, schema: &Value, value: &Value) {
        let mut whole = schema.clone();
        close(&mut whole, &self.components["schemas"]);
        whole["components"] = self.components.clone();
        let validator: Validator = jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{what}: {error}"));
        let wrong: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{what}: {wrong:#?}\n{value:#}");
    }
}

/// Refuses what is not named. What is put together of several parts is made one first, since each part alone would
/// refuse the others' fields.
fn close(schema: &mut Value, named: &Value) {
    if let Some(parts) = schema["allOf"].as_array() {
        *schema = together(parts, named);
    }
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".into(), false.into());
            }
            fields.values_mut().for_each(|field| close(field, named));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, named)),
        _ => {}
    }
}

fn together(parts: &[Value], named: &Value) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in parts {
        let part = match part["$ref"].as_str() {
            Some(target) => &named[target.rsplit('/').next().unwrap()],
            None => part,
        };
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    json!({ "type": "object", "properties": properties, "required": required })
}
