//! The description of the API (`OpenAPI` 3.1), from the table that makes the routes and the types that they speak.

use std::sync::Arc;

use axum::routing::MethodRouter;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::super::Shared;
use super::super::access::Role;
use super::super::http::problem::Problem;

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// An endpoint: what is asked, what is answered, who may.
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) router: MethodRouter<Arc<Shared>>,
    method: &'static str,
    id: &'static str,
    summary: &'static str,
    role: Role,
    query: Option<SchemaOf>,
    body: Option<SchemaOf>,
    needs_body: bool,
    headers: Vec<(&'static str, &'static str)>,
    answers: Vec<(u16, &'static str, Option<SchemaOf>)>,
    problems: Vec<u16>,
}

impl Endpoint {
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        router: MethodRouter<Arc<Shared>>,
    ) -> Self {
        let (query, body, headers, answers, problems) = (None, None, Vec::new(), Vec::new(), vec![401, 403, 429, 503]);
        let (role, needs_body) = (Role::Reader, true);
        Self { path, router, method, id, summary, role, query, body, needs_body, headers, answers, problems }
    }

    /// Who may.
    pub(super) fn needs(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// What may stand in the query.
    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(SchemaGenerator::subschema_for::<T>);
        self.problems.push(400);
        self
    }

    /// The body that is asked for.
    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<T>);
        self.problems.extend([400, 408, 413]);
        self
    }

    /// A body that may be left out.
    pub(super) fn optional_body<T: JsonSchema>(mut self) -> Self {
        self.needs_body = false;
        self.body::<T>()
    }

    /// A header that may be sent.
    pub(super) fn header(mut self, name: &'static str, meaning: &'static str) -> Self {
        self.headers.push((name, meaning));
        self
    }

    /// An answer of JSON.
    pub(super) fn answers<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, "application/json", Some(SchemaGenerator::subschema_for::<T>)));
        self
    }

    /// An answer of server-sent events, each of which is this.
    pub(super) fn sends<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, "text/event-stream", Some(SchemaGenerator::subschema_for::<T>)));
        self
    }

    /// Another answer, or none at all.
    pub(super) fn says(mut self, status: u16, kind: &'static str) -> Self {
        self.answers.push((status, kind, None));
        self
    }

    /// Further refusals.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }

    fn describe(&self, generator: &mut SchemaGenerator) -> Value {
        let mut operation = json!({
            "operationId": self.id, "summary": self.summary,
            "description": format!("Needs the role `{}`.", self.role.name()),
            "parameters": self.parameters(generator), "responses": self.responses(generator),
        });
        if let Some(body) = self.body {
            let content = json!({ "application/json": { "schema": body(generator) } });
            operation["requestBody"] = json!({ "required": self.needs_body, "content": content });
        }
        operation
    }

    fn parameters(&self, generator: &mut SchemaGenerator) -> Vec<Value> {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let of_path =
            names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": path_schema(name) }));
        let mut parameters: Vec<Value> = of_path.collect();
        if let Some(query) = self.query {
            // Its properties are the keys of the query.
            let reference = query(generator).to_value();
            let name =
                reference["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
            let schema = generator.definitions().get(&name).cloned().unwrap_or(reference);
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let description = schema["description"].clone();
                parameters.push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
            }
        }
        for (name, meaning) in &self.headers {
            parameters
                .push(json!({ "name": name, "in": "header", "description": meaning, "schema": { "type": "string" } }));
        }
        parameters
    }

    fn responses(&self, generator: &mut SchemaGenerator) -> Map<String, Value> {
        let mut responses = Map::new();
        for (status, kind, schema) in &self.answers {
            let mut answer = json!({ "description": meaning(*status) });
            if !kind.is_empty() {
                let schema = schema.map_or_else(|| json!({ "type": "string" }), |schema| schema(generator).to_value());
                answer["content"] = json!({ *kind: { "schema": schema } });
            }
            responses.insert(status.to_string(), answer);
        }
        let problem = generator.subschema_for::<Problem>();
        let mut problems = self.problems.clone();
        if self.path.contains('{') {
            problems.push(404);
        }
        for status in problems {
            let content = json!({ "application/problem+json": { "schema": problem } });
            let answer = json!({ "description": meaning(status), "content": content });
            responses.entry(status.to_string()).or_insert(answer);
        }
        responses
    }
}

/// What may stand at a place of a path.
fn path_schema(name: &str) -> Value {
    match name {
        "id" => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" }),
        "version" => json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000 }),
        _ => json!({ "type": "string", "pattern": "^[a-z0-9]+([._-][a-z0-9]+)*$", "maxLength": 100 }),
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        201 => "Made.",
        202 => "Taken.",
        204 => "Gone.",
        206 => "A part of it.",
        304 => "Nothing has changed.",
        400 => "The request is malformed.",
        401 => "No token, or one that does not count.",
        403 => "The token may not.",
        404 => "There is no such thing.",
        408 => "The body took too long.",
        409 => "It contradicts what is there.",
        412 => "It has changed meanwhile.",
        413 => "The body is too large.",
        416 => "There is no such part.",
        422 => "The repository cannot be planned.",
        429 => "Too many requests.",
        _ => "Something that it depends on does not answer.",
    }
}

/// The whole description.
#[must_use]
pub(in crate::server) fn document() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        "/components/schemas".clone_into(settings.definitions_path.to_mut());
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for endpoint in super::endpoints() {
        let operation = endpoint.describe(&mut generator);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Slipway", "version": "1", "description": "Turns commits into container images." },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "token": [] }],
    })
}
