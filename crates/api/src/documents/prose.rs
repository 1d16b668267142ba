//! Makes of what utoipa gives what people read: what is meant for rustdoc alone (links to Rust paths, breaks of lines
//! in a paragraph) is taken out, and so are names that only Rust has.

use serde_json::{Map, Value};

/// What a reference to a counter looks like: `Seq` is `u64` in Rust, and utoipa makes a shape of that name.
const COUNTER: &str = "#/components/schemas/u64";

/// Cleans everything below a value.
pub(super) fn clean(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("$ref").is_some_and(|target| target == COUNTER) {
                fields.remove("$ref");
                fields.insert("type".into(), "integer".into());
                fields.insert("format".into(), "int64".into());
                fields.insert("minimum".into(), 0.into());
            }
            lift_description(fields);
            for (name, field) in fields {
                match field {
                    Value::String(text) if matches!(name.as_str(), "description" | "summary") => *text = prose(text),
                    _ => clean(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}

/// Takes the shape out that nothing refers to after [`clean`].
pub(super) fn forget_counter(document: &mut Value) {
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.remove("u64");
    }
}

/// Of a field that may be null utoipa describes the other case: the description is the field's.
fn lift_description(fields: &mut Map<String, Value>) {
    let parts = fields.get_mut("oneOf").and_then(Value::as_array_mut);
    let Some(parts) = parts.filter(|parts| parts.iter().any(|part| part["type"] == "null")) else { return };
    let said = parts.iter_mut().find_map(|part| part.as_object_mut()?.remove("description"));
    if let Some(said) = said {
        fields.entry("description").or_insert(said);
    }
}

/// One doc comment: ``[`crate::Message`]`` becomes `` `Message` ``, and each paragraph one line.
fn prose(text: &str) -> String {
    let text = text.replace("[`crate::", "`").replace("[`", "`").replace("`]", "`");
    let paragraphs = text.split("\n\n").map(|part| part.lines().map(str::trim).collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rustdoc_is_made_prose() {
        let mut value = json!({"description": "Data: [`crate::Message`],\n a [`Thing`].\n\nMore.", "name": "[`x`]"});
        clean(&mut value);
        assert_eq!(value, json!({"description": "Data: `Message`, a `Thing`.\n\nMore.", "name": "[`x`]"}));
    }

    #[test]
    fn counters_are_numbers_and_what_may_be_null_is_described_itself() {
        let mut value = json!({"seq": {"$ref": COUNTER, "description": "Its place."},
            "at": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Timestamp", "description": "When."}]}});
        clean(&mut value);
        let seq = json!({"type": "integer", "format": "int64", "minimum": 0, "description": "Its place."});
        let at = json!({"description": "When.",
            "oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Timestamp"}]});
        assert_eq!(value, json!({"seq": seq, "at": at}));
    }
}
