//! As much of OpenAPI as it takes to hold every answer against the description.

use axum::http::Method;
use serde_json::{Map, Value};
use std::sync::LazyLock;

use crate::console::assets::OPENAPI;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(OPENAPI).unwrap());

/// Every documented (method, path).
pub(super) fn documented() -> Vec<(Method, String)> {
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(|method| (method.to_uppercase().parse().unwrap(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

/// Whether the description says that this route wants no credential.
pub(super) fn is_open(method: &Method, path: &str) -> bool {
    let operation = &DESCRIPTION["paths"][path][method.as_str().to_lowercase()];
    operation["security"].as_array().is_some_and(|security| {
        security.is_empty() || security.iter().any(|one| one.as_object().is_some_and(Map::is_empty))
    })
}

/// The roles that the description says a route lets; `verb` is what a route with several is asked for.
pub(super) fn roles(method: &Method, path: &str, verb: &str) -> Vec<String> {
    let roles = &DESCRIPTION["paths"][path][method.as_str().to_lowercase()]["x-roles"];
    let roles = if roles.is_object() { &roles[verb] } else { roles };
    roles.as_array().into_iter().flatten().map(|role| role.as_str().unwrap().to_owned()).collect()
}

/// What any route may answer without saying so: the throttle's, and being late or on the way out.
const ANYWHERE: [&str; 3] = ["408", "429", "503"];

/// Holds an answer against the description; panics where they differ.
pub(super) fn check(method: &Method, path: &str, status: u16, content_type: &str, body: &[u8]) {
    let path = path.split('?').next().unwrap();
    let Some((template, item)) = DESCRIPTION["paths"].as_object().unwrap().iter().find(|(one, _)| fits(one, path))
    else {
        return;
    };
    let operation = &item[method.as_str().to_lowercase()];
    if operation.is_null() {
        assert_eq!(status, 405, "{method} {template} is not documented");
        return;
    }
    let responses = &operation["responses"];
    let status = status.to_string();
    let response = match responses.get(&status) {
        None if ANYWHERE.contains(&status.as_str()) => &responses["default"],
        None => panic!("{method} {template} answered {status}, which is not documented"),
        Some(response) => response,
    };
    let Some(content) = resolve(response).get("content") else {
        assert!(body.is_empty(), "{method} {template} {status} should have no body");
        return;
    };
    let media_type = content_type.split(';').next().unwrap();
    let schema = &content[media_type]["schema"];
    assert!(!schema.is_null(), "{method} {template} {status} as {media_type} is not documented");
    if media_type.ends_with("json") {
        let value: Value = serde_json::from_slice(body).unwrap();
        valid(schema, &value, &format!("{method} {template} {status}"));
    }
}

/// Holds the data of an event against a schema by name.
pub(super) fn check_as(name: &str, value: &Value) {
    valid(&DESCRIPTION["components"]["schemas"][name], value, name);
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(&path).all(|(one, other)| one.starts_with('{') || one == other)
}

fn resolve(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        Some(reference) => DESCRIPTION.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn valid(schema: &Value, value: &Value, at: &str) {
    let schema = resolve(schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        // One of ours and `null`.
        let choice = choices.iter().find(|choice| (choice["type"] == "null") == value.is_null());
        return valid(choice.unwrap(), value, at);
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value} is not one of {words:?}");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let is = |wanted: &&str| match *wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("{at}: a type {other}"),
    };
    assert!(types.iter().any(is), "{at}: {value} is not {types:?}");
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(object.contains_key(name), "{at}: {name} is missing");
        }
        for (name, inner) in object {
            match schema["properties"].get(name) {
                Some(known) => valid(known, inner, &format!("{at}.{name}")),
                None => assert_ne!(schema["additionalProperties"], false, "{at}: {name} is not documented"),
            }
        }
    }
    for inner in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
        valid(&schema["items"], inner, &format!("{at}[]"));
    }
}
