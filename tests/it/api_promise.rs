//! What was promised of the HTTP API holds: programs that were written for `/api/v1` go on working.
//!
//! `tests/fixtures/api/1.json` is the description as it was promised, and nothing writes it. Whatever is added to the API may be
//! added there when it is released; what stands there stays.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value, json};

/// What is sent may be told less strictly, what is answered more strictly, than it was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Sent,
    Answered,
}

/// Two descriptions, and what does not hold any more.
struct Promise<'a> {
    old: &'a Value,
    new: &'a Value,
    broken: Vec<String>,
    /// Types that were compared; they may contain themselves.
    seen: HashSet<(String, String, Way)>,
}

fn promised() -> Value {
    let path = format!("{}/tests/fixtures/api/1.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn broken(old: &Value, new: &Value) -> Vec<String> {
    let mut promise = Promise { old, new, broken: Vec::new(), seen: HashSet::new() };
    promise.paths();
    promise.broken
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn texts(value: &Value) -> BTreeSet<&str> {
    let all = value.as_array().into_iter().flatten().chain(Some(value));
    all.filter_map(Value::as_str).collect()
}

/// The values that a schema lists, where it lists them.
fn listed(schema: &Value) -> Option<BTreeSet<String>> {
    if let Some(value) = schema.get("const") {
        return Some(BTreeSet::from([value.to_string()]));
    }
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().map(ToString::to_string).collect());
    }
    let parts = schema["oneOf"].as_array()?;
    let parts: Option<Vec<_>> = parts.iter().map(listed).collect();
    Some(parts?.into_iter().flatten().collect())
}

/// The schemas of which a value has one.
fn variants(schema: &Value) -> Vec<&Value> {
    ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten().collect()
}

fn role(operation: &Value) -> Option<usize> {
    let said = operation["description"].as_str().unwrap_or_default();
    ["reader", "builder", "admin"].iter().position(|role| said.contains(&format!("`{role}`")))
}

/// What a reference refers to, and its name.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> (String, &'a Value) {
    let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) else {
        return (String::new(), schema);
    };
    (name.to_owned(), &document["components"]["schemas"][name])
}

impl Promise<'_> {
    fn breaks(&mut self, place: &str, what: &str) {
        self.broken.push(format!("{place}: {what}"));
    }

    fn paths(&mut self) {
        let (old, new) = (self.old, self.new);
        for (path, operations) in object(&old["paths"]) {
            for (method, operation) in object(operations) {
                let place = format!("{} {path}", method.to_uppercase());
                match new["paths"][path].get(method) {
                    None => self.breaks(&place, "it is gone"),
                    Some(now) => self.operation(&place, operation, now),
                }
            }
        }
    }

    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        if role(new) > role(old) {
            self.breaks(place, "it takes a higher role");
        }
        self.parameters(place, &old["parameters"], &new["parameters"]);
        let (was, is) = (&old["requestBody"], &new["requestBody"]);
        if is["required"] == true && was["required"] != true {
            self.breaks(place, "it takes a body");
        }
        for (kind, content) in object(&was["content"]) {
            self.schema(&format!("{place}, its body"), &content["schema"], &is["content"][kind]["schema"], Way::Sent);
        }
        for (status, answer) in object(&old["responses"]) {
            for (kind, content) in object(&answer["content"]) {
                let place = format!("{place}, {status}");
                match new["responses"][status]["content"].get(kind) {
                    None => self.breaks(&place, &format!("it is no {kind} any more")),
                    Some(now) => self.schema(&place, &content["schema"], &now["schema"], Way::Answered),
                }
            }
        }
    }

    fn parameters(&mut self, place: &str, old: &Value, new: &Value) {
        let all = |of: &'_ Value| of.as_array().cloned().unwrap_or_default();
        let (was, is) = (all(old), all(new));
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        for one in &was {
            let place = format!("{place}, {}", one["name"]);
            match is.iter().find(|other| same(one, other)) {
                None => self.breaks(&place, "it is gone"),
                Some(other) => self.schema(&place, &one["schema"], &other["schema"], Way::Sent),
            }
        }
        for one in is.iter().filter(|one| one["required"] == true) {
            if !was.iter().any(|other| same(one, other) && other["required"] == true) {
                self.breaks(place, &format!("it takes {}", one["name"]));
            }
        }
    }

    fn schema(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        let ((was, old), (is, new)) = (resolved(self.old, old), resolved(self.new, new));
        if !was.is_empty() && !is.is_empty() && !self.seen.insert((was, is, way)) {
            return;
        }
        self.kind(place, old, new, way);
        self.values(place, old, new, way);
        self.properties(place, old, new, way);
        for inner in ["items", "additionalProperties"] {
            if old[inner].is_object() && new[inner].is_object() {
                self.schema(&format!("{place}[]"), &old[inner], &new[inner], way);
            }
        }
        // Whoever sends one of the old ones still may; whoever is answered knows each of the new ones.
        let (asked, known) = if way == Way::Sent { (old, new) } else { (new, old) };
        for one in variants(asked) {
            let fits = |other: &&Value| {
                let (old, new) = if way == Way::Sent { (one, *other) } else { (*other, one) };
                let mut trial = Promise { old: self.old, new: self.new, broken: Vec::new(), seen: self.seen.clone() };
                trial.schema(place, old, new, way);
                trial.broken.is_empty()
            };
            if listed(asked).is_none() && !variants(known).iter().any(fits) {
                self.breaks(place, &format!("it has not the same forms: {one}"));
            }
        }
    }

    fn kind(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        let (was, is) = (texts(&old["type"]), texts(&new["type"]));
        let (narrow, wide) = if way == Way::Sent { (&was, &is) } else { (&is, &was) };
        if !wide.is_empty() && (narrow.is_empty() || !narrow.is_subset(wide)) {
            self.breaks(place, &format!("it was {was:?} and is {is:?}"));
        }
    }

    /// What may be sent; answers may come to say more, as new failures do.
    fn values(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        if way == Way::Answered {
            return;
        }
        if let Some(is) = listed(new)
            && listed(old).is_none_or(|was| !was.is_subset(&is))
        {
            self.breaks(place, &format!("it may only be one of {is:?}"));
        }
        let tighter = |key: &str, sign: f64| {
            let of = |schema: &Value| schema[key].as_f64().map_or(f64::NEG_INFINITY, |bound| bound * sign);
            of(new) > of(old)
        };
        let lower = ["minimum", "minLength", "minItems"].iter().find(|key| tighter(key, 1.0));
        let upper = ["maximum", "maxLength", "maxItems"].iter().find(|key| tighter(key, -1.0));
        for key in lower.into_iter().chain(upper) {
            self.breaks(place, &format!("its `{key}` is {}", new[*key]));
        }
        if !new["pattern"].is_null() && new["pattern"] != old["pattern"] {
            self.breaks(place, &format!("its `pattern` is {}", new["pattern"]));
        }
    }

    fn properties(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        let (was, is) = (texts(&old["required"]), texts(&new["required"]));
        let (asked, given) = if way == Way::Sent { (&is, &was) } else { (&was, &is) };
        for name in asked.difference(given) {
            let what = if way == Way::Sent { "has to be sent" } else { "may be absent" };
            self.breaks(place, &format!("`{name}` {what}"));
        }
        for (name, property) in object(&old["properties"]) {
            match new["properties"].get(name) {
                Some(now) => self.schema(&format!("{place}.{name}"), property, now, way),
                None if way == Way::Sent && new["additionalProperties"] != false => {}
                None => self.breaks(place, &format!("`{name}` is gone")),
            }
        }
    }
}

#[test]
fn what_was_promised_holds() {
    let broken = broken(&promised(), &slipway::server::openapi());
    assert!(broken.is_empty(), "programs that use the API would break:\n{}", broken.join("\n"));
}

#[test]
fn what_breaks_programs_is_found() {
    let old = promised();
    let without = |pointer: &str, key: &str| {
        let mut new = old.clone();
        new.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")).as_object_mut().unwrap().remove(key).unwrap();
        new
    };
    let with = |pointer: &str, value: Value| {
        let mut new = old.clone();
        *new.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        new
    };
    let list = "/paths/~1api~1v1~1builds/get";
    let mut parameters = old.pointer(&format!("{list}/parameters")).unwrap().clone();
    parameters.as_array_mut().unwrap().push(json!({ "name": "page", "in": "query", "required": true, "schema": {} }));
    let schemas = "/components/schemas";
    let mut with_reason = old["components"]["schemas"]["Reason"].clone();
    with_reason["required"] = json!(["reason"]);
    for (new, said) in [
        (without("/paths", "/api/v1/queue"), "GET /api/v1/queue: it is gone"),
        (with(&format!("{list}/description"), json!("Needs the role `admin`.")), "a higher role"),
        (with(&format!("{list}/parameters"), parameters), "it takes \"page\""),
        (with(&format!("{list}/parameters"), json!([])), "\"product_line\": it is gone"),
        (with("/paths/~1api~1v1~1builds~1{id}~1cancel/post/requestBody/required", json!(true)), "it takes a body"),
        (without(&format!("{schemas}/BuildView/properties"), "commit"), "`commit` is gone"),
        (with(&format!("{schemas}/BuildView/required"), json!(["id"])), "`commit` may be absent"),
        (with(&format!("{schemas}/BuildView/properties/size"), json!({ "type": "string" })), "it was {\"integer\"}"),
        (with(&format!("{schemas}/Reason"), with_reason), "`reason` has to be sent"),
        (with(&format!("{schemas}/Reason/properties/reason/maxLength"), json!(5)), "its `maxLength` is 5"),
        (without(&format!("{schemas}/Application/properties"), "directory"), "`directory` is gone"),
        (with(&format!("{schemas}/Role"), json!({ "type": "string", "enum": ["admin"] })), "it may only be one of"),
        (without(&format!("{list}/responses/200/content"), "application/json"), "no application/json any more"),
    ] {
        let found = broken(&old, &new);
        assert!(found.iter().any(|one| one.contains(said)), "{said}: {found:#?}");
    }
}

#[test]
fn what_is_added_breaks_nothing() {
    let old = promised();
    let mut new = old.clone();
    let mut add = |pointer: &str, key: &str, value: Value| {
        let place = new.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}"));
        match place {
            Value::Array(array) => array.push(value),
            place => drop(place.as_object_mut().unwrap_or(&mut Map::new()).insert(key.to_owned(), value)),
        }
    };
    add("/paths", "/api/v1/more", json!({ "get": {} }));
    add("/components/schemas/BuildView/properties", "more", json!({ "type": "string" }));
    add("/components/schemas/BuildView/required", "", json!("more"));
    add("/components/schemas/Application/properties", "more", json!({ "type": "string" }));
    add("/paths/~1api~1v1~1builds/get/parameters", "", json!({ "name": "more", "in": "query", "schema": {} }));
    add("/paths/~1api~1v1~1builds/get/responses", "202", json!({ "description": "Later." }));
    assert_eq!(broken(&old, &new), Vec::<String>::new());
    assert_eq!(broken(&old, &old), Vec::<String>::new());
}
