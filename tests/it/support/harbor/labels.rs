//! Labels of projects and of all.

use serde_json::{Value, json};

use super::answer::{Answer, empty, error, forbidden, unauthorized, with};
use super::api::{Api, missing, page};
use super::state::State;
use super::who::Who;

pub(super) fn answer(state: &mut State, api: &Api<'_>) -> Answer {
    if api.who == Who::Anonymous {
        return unauthorized();
    }
    match api.call.method.as_str() {
        "GET" => list(state, api),
        "POST" => create(state, api),
        _ => missing(api.call),
    }
}

fn namespace(state: &State, id: Option<u64>) -> String {
    state.projects.values().find(|one| Some(one.id) == id).map_or("/".to_owned(), |project| project.name.clone())
}

fn list(state: &State, api: &Api<'_>) -> Answer {
    let (scope, id) = (api.call.query("scope"), api.call.query("project_id").and_then(|id| id.parse::<u64>().ok()));
    if !state.may(&api.who, &namespace(state, id), "label", "list") {
        return forbidden();
    }
    let name = api.call.query("name");
    let fits = |label: &&Value| {
        scope.is_none_or(|scope| label["scope"] == scope)
            && id.is_none_or(|id| label["project_id"] == id)
            && name.is_none_or(|name| label["name"].as_str().is_some_and(|known| known.contains(name)))
    };
    page(api.call, state.labels.iter().filter(fits).cloned().collect())
}

fn create(state: &mut State, api: &Api<'_>) -> Answer {
    let mut label = api.value();
    let id = label["project_id"].as_u64();
    if !state.may(&api.who, &namespace(state, id), "label", "create") {
        return forbidden();
    }
    let same = |known: &Value| ["name", "scope", "project_id"].iter().all(|key| known[*key] == label[*key]);
    if state.labels.iter().any(same) {
        return error(409, "CONFLICT", &format!("label {} already exists", api.text("name")));
    }
    let id = state.id();
    label["id"] = json!(id);
    state.labels.push(label);
    with(empty(201), "location", &format!("/api/v2.0/labels/{id}"))
}
