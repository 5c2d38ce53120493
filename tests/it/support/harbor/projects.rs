//! Projects, their quotas, metadata and immutable rules.

use serde_json::{Value, json};

use super::answer::{Answer, empty, error, forbidden, json_of, not_found, unauthorized, with};
use super::api::{Api, missing, page};
use super::state::{Project, State};
use super::who::Who;

const METADATA: &[&str] = &[
    "public",
    "auto_scan",
    "prevent_vul",
    "severity",
    "enable_content_trust",
    "enable_content_trust_cosign",
    "auto_sbom_generation",
    "reuse_sys_cve_allowlist",
    "retention_id",
    "proxy_speed_kb",
];

pub(super) fn answer(state: &mut State, api: &Api<'_>, parts: &[&str]) -> Answer {
    match (api.call.method.as_str(), parts) {
        ("HEAD", ["projects"]) => head(state, api),
        ("POST", ["projects"]) => create(state, api),
        ("GET", ["projects"]) => list(state, api),
        ("GET", ["quotas"]) => quotas(state, api),
        ("PUT", ["quotas", id]) => set_quota(state, api, id),
        (method, ["projects", name, rest @ ..]) => {
            let name = match find(state, api, name) {
                Ok(name) => name,
                Err(refusal) => return refusal,
            };
            one(state, api, method, &name, rest)
        }
        _ => missing(api.call),
    }
}

/// A project by its name or, where the name could be a number, by that.
fn find(state: &State, api: &Api<'_>, name: &str) -> Result<String, Answer> {
    if api.who == Who::Anonymous {
        return Err(unauthorized());
    }
    let by_name = api.call.header("x-is-resource-name") == Some("true");
    let id = name.parse::<u64>().ok().filter(|_| !by_name);
    let found = match id {
        Some(id) => state.projects.values().find(|project| project.id == id).map(|project| project.name.clone()),
        None => state.projects.get(name).map(|project| project.name.clone()),
    };
    found.ok_or_else(|| not_found(&format!("project {name} not found")))
}

fn one(state: &mut State, api: &Api<'_>, method: &str, name: &str, rest: &[&str]) -> Answer {
    let right = match (method, rest) {
        ("GET", ["immutabletagrules"]) => ("immutable-tag", "list"),
        ("POST", ["immutabletagrules"]) => ("immutable-tag", "create"),
        ("GET", _) => ("project", "read"),
        ("DELETE", []) => ("project", "delete"),
        ("PUT", []) | (_, ["metadatas", ..]) => ("project", "update"),
        (_, ["members"]) => ("member", "create"),
        ("PATCH", []) => {
            return error(405, "METHOD_NOT_ALLOWED", "method PATCH is not allowed, but [PUT,GET,DELETE] are");
        }
        _ => return missing(api.call),
    };
    if matches!(rest, [other, ..] if !["immutabletagrules", "summary", "metadatas", "members"].contains(other)) {
        return missing(api.call);
    }
    if !state.may(&api.who, name, right.0, right.1) {
        return forbidden();
    }
    let quota = state.may(&api.who, name, "quota", "read");
    let admin = api.who == Who::Admin;
    let project = state.projects.get_mut(name).unwrap();
    match (method, rest) {
        ("GET", []) => json_of(200, &show(project)),
        ("GET", ["summary"]) => {
            let repositories = project.repositories.values().filter(|one| !one.artifacts.is_empty()).count();
            let mut summary = json!({ "repo_count": repositories });
            if admin {
                summary["project_admin_count"] = json!(1);
            }
            if quota {
                summary["quota"] =
                    json!({ "hard": { "storage": hard(project) }, "used": { "storage": project.used() } });
            }
            json_of(200, &summary)
        }
        ("PUT", []) => {
            merge(project, &api.value()["metadata"]);
            empty(200)
        }
        ("DELETE", []) => {
            if project.repositories.values().any(|one| !one.artifacts.is_empty()) {
                let message = "precondition failed: the project contains repositories, can not be deleted";
                return error(412, "PRECONDITION", message);
            }
            state.projects.remove(name);
            empty(200)
        }
        ("GET", ["metadatas"]) => json_of(200, &json!(project.metadata)),
        ("POST", ["metadatas"]) => add_metadata(project, &api.value()),
        ("PUT", ["metadatas", key]) => {
            merge(project, &json!({ *key: api.value()[*key] }));
            empty(200)
        }
        ("GET", ["immutabletagrules"]) => {
            let count = project.immutable.len().to_string();
            let mut rules = project.immutable.clone();
            // One that is in force says nothing of it.
            rules.iter_mut().filter_map(Value::as_object_mut).for_each(|rule| rule.retain(|_, value| *value != false));
            with(json_of(200, &json!(rules)), "x-total-count", &count)
        }
        ("POST", ["immutabletagrules"]) => add_rule(project, api.value()),
        ("POST", ["members"]) => {
            let user = api.value()["member_user"]["username"].as_str().unwrap_or_default().to_owned();
            project.members.insert(user, api.value()["role_id"].as_u64().unwrap_or(3));
            with(empty(201), "location", &format!("/api/v2.0/projects/{name}/members/{}", project.members.len()))
        }
        _ => missing(api.call),
    }
}

fn head(state: &State, api: &Api<'_>) -> Answer {
    if api.who == Who::Anonymous {
        return unauthorized();
    }
    let name = api.call.query("project_name").unwrap_or_default();
    if state.projects.contains_key(name) { empty(200) } else { not_found(&format!("project {name} not found")) }
}

fn create(state: &mut State, api: &Api<'_>) -> Answer {
    if !api.call.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        let message =
            "validation failure list:\nunsupported media type \"text/plain\", only [application/json] are allowed";
        return error(422, "UNPROCESSABLE_ENTITY", message);
    }
    if api.who == Who::Anonymous {
        return unauthorized();
    }
    let Some(body) = &api.body else {
        let message = "validation failure list:\nparsing project body from \"\" failed, because unexpected EOF";
        return error(422, "UNPROCESSABLE_ENTITY", message);
    };
    match &api.who {
        Who::Robot(id) => {
            let robot = state.robots.iter().find(|robot| robot.id == *id);
            if robot.is_none_or(|robot| robot.level != "system") {
                return error(403, "FORBIDDEN", "Only system level robot can create project");
            }
            if !state.may(&api.who, "/", "project", "create") {
                return forbidden();
            }
        }
        Who::User(_) if state.admin_only => {
            return error(403, "FORBIDDEN", "Only system admin can create project");
        }
        _ => {}
    }
    let name = api.text("project_name").to_owned();
    if name.len() > 255 {
        let message =
            "validation failure list:\nvalidation failure list:\nproject_name in body should be at most 255 chars long";
        return error(422, "UNPROCESSABLE_ENTITY", message);
    }
    if name.is_empty() {
        let message = "Project name  is illegal in length. (greater than 255 or less than 1)";
        return error(400, "BAD_REQUEST", message);
    }
    if !is_name(&name) {
        return error(400, "BAD_REQUEST", "project name is not in lower case or contains illegal characters");
    }
    if state.projects.contains_key(&name) {
        return error(409, "CONFLICT", &format!("The project named {name} already exists"));
    }
    // Others than administrators are ignored here, and 0 too.
    let limit = body["storage_limit"].as_u64().filter(|limit| *limit > 0 && api.who == Who::Admin);
    let mut project = Project { limit, proxy: body["registry_id"].as_u64().is_some(), ..Project::default() };
    merge(&mut project, &body["metadata"]);
    let id = state.create(&name, project);
    with(empty(201), "location", &format!("/api/v2.0/projects/{id}"))
}

/// Lower case, digits, and single `.`, `_` or `-` between them.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(plain) && name.ends_with(plain) && name.split(plain).all(|gap| ["", ".", "_", "-"].contains(&gap))
}

fn hard(project: &Project) -> i64 {
    project.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1)
}

fn show(project: &Project) -> Value {
    let mut shown = json!({
        "name": project.name, "project_id": project.id, "metadata": project.metadata,
        "repo_count": project.repositories.len(),
    });
    if project.proxy {
        shown["registry_id"] = json!(1);
    }
    shown
}

fn merge(project: &mut Project, metadata: &Value) {
    for (key, value) in metadata.as_object().into_iter().flatten() {
        if let Some(value) = value.as_str() {
            project.metadata.insert(key.clone(), value.to_owned());
        }
    }
}

fn add_metadata(project: &mut Project, body: &Value) -> Answer {
    let Some((key, _)) = body.as_object().and_then(|body| body.iter().next()) else { return empty(400) };
    if !METADATA.contains(&key.as_str()) {
        return error(400, "BAD_REQUEST", &format!("invalid key: {key}"));
    }
    if project.metadata.contains_key(key) {
        return error(409, "CONFLICT", &format!("metadata {key} already exists for project {}", project.id));
    }
    merge(project, body);
    empty(200)
}

fn add_rule(project: &mut Project, mut rule: Value) -> Answer {
    let selectors = |rule: &Value| (rule["scope_selectors"].clone(), rule["tag_selectors"].clone());
    if project.immutable.iter().any(|known| selectors(known) == selectors(&rule)) {
        return error(409, "CONFLICT", "immutable rule already exists");
    }
    let id = project.immutable.len() + 1;
    rule["id"] = json!(id);
    project.immutable.push(rule);
    with(empty(201), "location", &format!("/api/v2.0/projects/{}/immutabletagrules/{id}", project.id))
}

fn list(state: &State, api: &Api<'_>) -> Answer {
    let exact = api.call.query("q").and_then(|q| q.strip_prefix("name="));
    let fuzzy = api.call.query("name");
    let seen = |project: &&Project| {
        let named =
            exact.is_none_or(|name| project.name == name) && fuzzy.is_none_or(|name| project.name.contains(name));
        named && (project.flag("public") || state.may(&api.who, &project.name, "repository", "pull"))
    };
    page(api.call, state.projects.values().filter(seen).map(show).collect())
}

fn quotas(state: &State, api: &Api<'_>) -> Answer {
    if !state.may(&api.who, "/", "quota", "list") {
        return if api.who == Who::Anonymous { unauthorized() } else { error(403, "FORBIDDEN", &state.name(&api.who)) };
    }
    let wanted = api.call.query("reference_id").and_then(|id| id.parse::<u64>().ok());
    let all = state.projects.values().filter(|project| wanted.is_none_or(|id| project.id == id)).map(|project| {
        json!({
            "id": project.id, "hard": { "storage": hard(project) }, "used": { "storage": project.used() },
            "ref": { "id": project.id, "name": project.name, "owner_name": "" },
        })
    });
    page(api.call, all.collect())
}

fn set_quota(state: &mut State, api: &Api<'_>, id: &str) -> Answer {
    if !state.may(&api.who, "/", "quota", "update") {
        return forbidden();
    }
    let Some(project) = state.projects.values_mut().find(|project| project.id.to_string() == id) else {
        return not_found(&format!("quota {id} not found"));
    };
    project.limit = api.value()["hard"]["storage"].as_u64();
    empty(200)
}
