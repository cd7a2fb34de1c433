//! Google's Discovery document as a judge: which operation a request is, whether its parameters exist, whether a
//! body fits its schema. <https://developers.google.com/discovery/v1/reference/apis>

use std::collections::BTreeMap;

use http::Method;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// One operation of the document.
pub(crate) struct Operation {
    pub(crate) id: String,
    method: String,
    segments: Vec<String>,
    parameters: Map<String, Value>,
    pub(crate) request: Option<String>,
    pub(crate) response: Option<String>,
}

/// The document, ready to judge.
pub(crate) struct Discovery {
    pub(crate) revision: String,
    pub(crate) operations: Vec<Operation>,
    global_parameters: Map<String, Value>,
    validators: BTreeMap<String, Validator>,
}

impl Discovery {
    pub(crate) fn read(text: &str) -> Self {
        let document: Value = serde_json::from_str(text).unwrap();
        let schemas = document["schemas"].as_object().unwrap();
        let definitions: Map<String, Value> = schemas
            .iter()
            .map(|(name, schema)| (name.clone(), json_schema(schema)))
            .collect();
        let validator = |name: &String| {
            let schema = json!({"$ref": format!("#/$defs/{name}"), "$defs": definitions});
            jsonschema::options()
                .should_validate_formats(true)
                .build(&schema)
                .unwrap()
        };
        let mut operations = Vec::new();
        collect(&document["resources"], &mut operations);
        Self {
            revision: document["revision"].as_str().unwrap().to_owned(),
            operations,
            global_parameters: document["parameters"].as_object().unwrap().clone(),
            validators: schemas
                .keys()
                .map(|name| (name.clone(), validator(name)))
                .collect(),
        }
    }

    /// The operation that a path below the service path belongs to; literal segments win over parameters.
    pub(crate) fn operation(&self, method: &Method, path: &str) -> &Operation {
        let given: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let fits = |operation: &&Operation| {
            operation.method == method.as_str()
                && operation.segments.len() == given.len()
                && operation
                    .segments
                    .iter()
                    .zip(&given)
                    .all(|(want, got)| want.starts_with('{') || want == got)
        };
        let literals =
            |operation: &&Operation| operation.segments.iter().filter(|s| !s.starts_with('{')).count();
        let found = self.operations.iter().filter(fits).max_by_key(literals);
        found.unwrap_or_else(|| panic!("{method} {path} is no operation of the document"))
    }

    /// Every query parameter exists, and its value is one the document allows.
    pub(crate) fn check_query(&self, operation: &Operation, query: &str) {
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let known = operation
                .parameters
                .get(name.as_ref())
                .or_else(|| self.global_parameters.get(name.as_ref()));
            let known = known.unwrap_or_else(|| panic!("{} has no parameter {name}", operation.id));
            if let Some(allowed) = known["enum"].as_array() {
                assert!(
                    allowed.contains(&json!(value)),
                    "{}: {name}={value}",
                    operation.id
                );
            }
        }
    }

    /// The body fits the named schema, with no field beside those of the document.
    pub(crate) fn check_body(&self, what: &str, schema: Option<&String>, body: &Value) {
        let Some(schema) = schema else {
            assert!(body.is_null(), "{what} has no body in the document, got {body}");
            return;
        };
        let faults: Vec<String> = self.validators[schema]
            .iter_errors(body)
            .map(|fault| format!("{} at {}", fault, fault.instance_path))
            .collect();
        assert!(
            faults.is_empty(),
            "{what} does not fit {schema}: {faults:#?}\n{body:#}"
        );
    }
}

fn collect(resources: &Value, operations: &mut Vec<Operation>) {
    for resource in resources.as_object().into_iter().flat_map(Map::values) {
        for method in resource["methods"].as_object().into_iter().flat_map(Map::values) {
            let reference = |name: &str| method[name]["$ref"].as_str().map(str::to_owned);
            operations.push(Operation {
                id: method["id"].as_str().unwrap().to_owned(),
                method: method["httpMethod"].as_str().unwrap().to_owned(),
                segments: method["path"]
                    .as_str()
                    .unwrap()
                    .split('/')
                    .map(str::to_owned)
                    .collect(),
                parameters: method["parameters"].as_object().cloned().unwrap_or_default(),
                request: reference("request"),
                response: reference("response"),
            });
        }
        collect(&resource["resources"], operations);
    }
}

/// Discovery schemas are a dialect of JSON Schema draft 3: references are bare names, `any` is a type, and what is
/// not named is forbidden here, so that the simulator cannot invent fields.
fn json_schema(schema: &Value) -> Value {
    let mut converted = Map::new();
    if let Some(name) = schema["$ref"].as_str() {
        return json!({"$ref": format!("#/$defs/{name}")});
    }
    match schema["type"].as_str() {
        Some("any") | None => return json!({}),
        Some(kind) => converted.insert("type".to_owned(), json!(kind)),
    };
    if let Some(format @ ("date" | "date-time")) = schema["format"].as_str() {
        converted.insert("format".to_owned(), json!(format));
    }
    if let Some(allowed) = schema.get("enum") {
        converted.insert("enum".to_owned(), allowed.clone());
    }
    if let Some(items) = schema.get("items") {
        converted.insert("items".to_owned(), json_schema(items));
    }
    if schema["type"] == "object" {
        let properties = schema["properties"].as_object();
        let properties = properties
            .into_iter()
            .flatten()
            .map(|(name, one)| (name.clone(), json_schema(one)));
        converted.insert("properties".to_owned(), Value::Object(properties.collect()));
        let rest = schema
            .get("additionalProperties")
            .map_or(json!(false), json_schema);
        converted.insert("additionalProperties".to_owned(), rest);
    }
    Value::Object(converted)
}
