//! Robots: made, listed, re-keyed, disabled, deleted.

use serde_json::{Value, json};

use super::answer::{Answer, empty, error, forbidden, json_of, not_found, unauthorized, with};
use super::api::{Api, missing, page};
use super::state::{Robot, State, secret};
use super::who::Who;

/// What a robot may have in a project.
pub(crate) const PROJECT_RIGHTS: &[&str] = &[
    "accessory:list",
    "artifact-addition:read",
    "artifact-label:create",
    "artifact-label:delete",
    "artifact:create",
    "artifact:delete",
    "artifact:list",
    "artifact:read",
    "export-cve:create",
    "export-cve:read",
    "immutable-tag:create",
    "immutable-tag:delete",
    "immutable-tag:list",
    "immutable-tag:update",
    "label:create",
    "label:delete",
    "label:list",
    "label:read",
    "label:update",
    "log:list",
    "member:create",
    "member:delete",
    "member:list",
    "member:read",
    "member:update",
    "metadata:create",
    "metadata:delete",
    "metadata:list",
    "metadata:read",
    "metadata:update",
    "notification-policy:create",
    "notification-policy:delete",
    "notification-policy:list",
    "notification-policy:read",
    "notification-policy:update",
    "preheat-policy:create",
    "preheat-policy:delete",
    "preheat-policy:list",
    "preheat-policy:read",
    "preheat-policy:update",
    "project:delete",
    "project:read",
    "project:update",
    "quota:read",
    "repository:delete",
    "repository:list",
    "repository:pull",
    "repository:push",
    "repository:read",
    "repository:update",
    "robot:create",
    "robot:delete",
    "robot:list",
    "robot:read",
    "sbom:create",
    "sbom:read",
    "sbom:stop",
    "scan:create",
    "scan:read",
    "scan:stop",
    "scanner:create",
    "scanner:read",
    "tag-retention:create",
    "tag-retention:delete",
    "tag-retention:list",
    "tag-retention:read",
    "tag-retention:update",
    "tag:create",
    "tag:delete",
    "tag:list",
];

/// What a robot may have on the system.
pub(crate) const SYSTEM_RIGHTS: &[&str] = &[
    "audit-log:list",
    "catalog:read",
    "garbage-collection:create",
    "garbage-collection:list",
    "garbage-collection:read",
    "garbage-collection:stop",
    "garbage-collection:update",
    "jobservice-monitor:list",
    "jobservice-monitor:stop",
    "label:create",
    "label:delete",
    "label:read",
    "label:update",
    "ldap-user:create",
    "ldap-user:list",
    "preheat-instance:create",
    "preheat-instance:delete",
    "preheat-instance:list",
    "preheat-instance:read",
    "preheat-instance:update",
    "project:create",
    "project:list",
    "purge-audit:create",
    "purge-audit:list",
    "purge-audit:read",
    "purge-audit:stop",
    "purge-audit:update",
    "quota:list",
    "quota:read",
    "quota:update",
    "registry:create",
    "registry:delete",
    "registry:list",
    "registry:read",
    "registry:update",
    "replication-adapter:list",
    "replication-policy:create",
    "replication-policy:delete",
    "replication-policy:list",
    "replication-policy:read",
    "replication-policy:update",
    "replication:create",
    "replication:list",
    "replication:read",
    "robot:create",
    "robot:delete",
    "robot:list",
    "robot:read",
    "scan-all:create",
    "scan-all:read",
    "scan-all:stop",
    "scan-all:update",
    "scanner:create",
    "scanner:delete",
    "scanner:list",
    "scanner:read",
    "scanner:update",
    "security-hub:list",
    "security-hub:read",
    "system-volumes:read",
    "user-group:create",
    "user-group:delete",
    "user-group:list",
    "user-group:read",
    "user-group:update",
    "user:create",
    "user:delete",
    "user:list",
    "user:read",
    "user:update",
];

pub(super) fn answer(state: &mut State, api: &Api<'_>, parts: &[&str]) -> Answer {
    if api.who == Who::Anonymous {
        return unauthorized();
    }
    match (api.call.method.as_str(), parts) {
        ("POST", ["robots"]) => create(state, api),
        ("GET", ["robots"]) => list(state, api),
        (method, ["robots", id]) => one(state, api, method, id),
        _ => missing(api.call),
    }
}

fn create(state: &mut State, api: &Api<'_>) -> Answer {
    let body = api.value();
    let permissions = body["permissions"].as_array().cloned().unwrap_or_default();
    let project = permissions.first().and_then(|first| first["namespace"].as_str()).unwrap_or_default().to_owned();
    let (name, level) = (api.text("name").to_owned(), api.text("level").to_owned());
    if let Some(duration) = body["duration"].as_i64().filter(|duration| *duration != -1 && *duration < 1) {
        let message = format!(
            "bad request error duration input: {duration}, duration must be either -1(Never) or a positive integer"
        );
        return error(400, "BAD_REQUEST", &message);
    }
    if permissions.is_empty() {
        return error(400, "BAD_REQUEST", "bad request empty permission");
    }
    if name.len() > 255 {
        return super::answer::internal();
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let gaps = |gap: &str| ["", ".", "_", "-"].contains(&gap);
    if !(name.starts_with(plain) && name.ends_with(plain) && name.split(plain).all(gaps)) {
        return error(400, "BAD_REQUEST", "robot name is not in lower case or contains illegal characters");
    }
    for permission in &permissions {
        let known = if permission["kind"] == "system" { SYSTEM_RIGHTS } else { PROJECT_RIGHTS };
        for entry in permission["access"].as_array().into_iter().flatten() {
            let right =
                format!("{}:{}", entry["resource"].as_str().unwrap_or(""), entry["action"].as_str().unwrap_or(""));
            if !known.contains(&right.as_str()) {
                return error(400, "BAD_REQUEST", &format!("bad request permission: {right}"));
            }
        }
    }
    let Some(id) = state.projects.get(&project).map_or((level == "system").then_some(0), |known| Some(known.id)) else {
        return not_found(&format!("project {project} not found"));
    };
    let creates = state.may(&api.who, "/", "robot", "create") || state.may(&api.who, &project, "robot", "create");
    if !creates {
        return forbidden();
    }
    let full = if level == "system" { name.clone() } else { format!("{project}+{name}") };
    if state.robots.iter().any(|robot| robot.name == full) {
        return error(409, "CONFLICT", &format!("robot account {id}:{full} already exists"));
    }
    let mut robot = Robot::new(full, &level, json!(permissions));
    robot.duration = body["duration"].as_i64().unwrap_or(-1);
    robot.disabled = body["disable"] == true;
    let (secret, duration) = (robot.secret.clone(), robot.duration);
    let wire = state.enrol(robot);
    let id = state.robots.last().map_or(0, |robot| robot.id);
    let expires = if duration == -1 { -1 } else { 1_795_228_720 + duration * 86_400 };
    let made = json!({ "creation_time": "2026-11-21T02:38:39.106Z", "expires_at": expires, "id": id, "name": wire, "secret": secret });
    with(json_of(201, &made), "location", &format!("/api/v2.0/robots/{id}"))
}

fn show(state: &State, robot: &Robot) -> Value {
    json!({
        "id": robot.id, "name": format!("{}{}", state.robot_prefix, robot.name), "disable": robot.disabled,
        "duration": robot.duration, "expires_at": if robot.expired { json!(1) } else { json!(-1) }, "editable": true,
        "level": robot.level, "permissions": robot.permissions, "creation_time": "2026-11-21T02:38:39.106Z",
    })
}

/// Without a question it lists system robots only.
fn list(state: &State, api: &Api<'_>) -> Answer {
    let q = api.call.query("q").unwrap_or_default();
    let wanted = q.split(',').find_map(|term| term.strip_prefix("ProjectID=")).and_then(|id| id.parse::<u64>().ok());
    let project = state.projects.values().find(|project| Some(project.id) == wanted);
    let namespace = project.map_or("/", |project| project.name.as_str());
    if !state.may(&api.who, namespace, "robot", "list") && !state.may(&api.who, "/", "robot", "list") {
        return forbidden();
    }
    let fits = |robot: &&Robot| match project {
        Some(project) => robot.name.starts_with(&format!("{}+", project.name)),
        None => robot.level == "system" && wanted.is_none(),
    };
    let name = q.split(',').find_map(|term| term.strip_prefix("name="));
    let named =
        |robot: &&Robot| name.is_none_or(|name| robot.name == name || robot.name.ends_with(&format!("+{name}")));
    page(api.call, state.robots.iter().filter(fits).filter(named).map(|robot| show(state, robot)).collect())
}

fn one(state: &mut State, api: &Api<'_>, method: &str, id: &str) -> Answer {
    let action = match method {
        "GET" => "read",
        "DELETE" => "delete",
        _ => "update",
    };
    let Some(index) = state.robots.iter().position(|robot| robot.id.to_string() == id) else {
        return not_found(&format!("robot {id} not found"));
    };
    let namespace = state.robots[index].name.split_once('+').map_or("/", |(project, _)| project).to_owned();
    if !state.may(&api.who, "/", "robot", action) && !state.may(&api.who, &namespace, "robot", action) {
        return forbidden();
    }
    match method {
        "GET" => json_of(200, &show(state, &state.robots[index])),
        "PUT" => {
            state.robots[index].disabled = api.value()["disable"] == true;
            empty(200)
        }
        "DELETE" => {
            state.robots.remove(index);
            empty(200)
        }
        "PATCH" => match api.value()["secret"].as_str().filter(|secret| !secret.is_empty()) {
            None => {
                state.robots[index].secret = secret();
                json_of(200, &json!({ "secret": state.robots[index].secret }))
            }
            Some(own) => {
                let has = |test: fn(char) -> bool| own.chars().any(test);
                let good =
                    has(|c| c.is_ascii_uppercase()) && has(|c| c.is_ascii_lowercase()) && has(|c| c.is_ascii_digit());
                if !(8..=128).contains(&own.len()) || !good {
                    let message = "the secret must be 8-128, inclusively, characters long with at least 1 uppercase letter, 1 lowercase letter and 1 number";
                    return error(400, "BAD_REQUEST", message);
                }
                own.clone_into(&mut state.robots[index].secret);
                json_of(200, &json!({}))
            }
        },
        _ => missing(api.call),
    }
}
