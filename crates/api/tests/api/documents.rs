//! Generated documents are as checked in. `UPDATE_GENERATED=1` writes them anew.

use std::{fs, path::Path};

fn is_current(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, generated).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "docs/{name} is not what the code says: run `UPDATE_GENERATED=1 cargo test -p api document`"
    );
}

#[test]
fn openapi_document_is_current() {
    is_current("openapi.json", &api::openapi_document());
}

#[test]
fn errors_document_is_current() {
    is_current("errors.md", &api::errors_document());
}

#[test]
fn openapi_document_says_for_each_operation_how_it_fails_and_who_may_call_it() {
    let document: serde_json::Value = serde_json::from_str(&api::openapi_document()).unwrap();
    let open = ["/v1/auth/guest", "/v1/auth/register", "/v1/auth/login", "/v1/auth/refresh", "/v1/openapi.json"];
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let line = format!("{method} {path}");
            assert!(operation["responses"]["default"]["$ref"].is_string(), "{line}");
            assert_eq!(operation["security"].is_array(), !open.contains(&path.as_str()), "{line}");
            assert!(operation["summary"].is_string(), "{line}");
            assert!(names.insert(operation["operationId"].to_string()), "two operations have the name of {line}");
        }
    }
    // Every reference leads somewhere.
    for part in api::openapi_document().split("\"$ref\": \"#").skip(1) {
        let pointer = &part[..part.find('"').unwrap()];
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}
