//! Doc comments as descriptions: what is meant for rustdoc alone (links to Rust paths, breaks of lines in a paragraph)
//! is taken out.

use serde_json::Value;

/// Cleans every `description` and `summary` below a value.
pub(super) fn clean(value: &mut Value) {
    match value {
        Value::Object(fields) => {
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
}
