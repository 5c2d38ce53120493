//! `/api/v2.0/`: the calls that Slipway uses, and those that tests prepare with.

use axum::body::{Body, to_bytes};
use serde_json::{Value, json};

use super::Shared;
use super::answer::{Answer, empty, error, internal, json_of, not_found, read_only, text, unauthorized};
use super::server::Call;
use super::state::State;
use super::v2::percent;
use super::who::{Shown, Who};
use super::{artifacts, labels, projects, robots};

/// A call of the API: who, what, and the body as JSON.
pub(super) struct Api<'a> {
    pub(super) call: &'a Call,
    pub(super) who: Who,
    pub(super) body: Option<Value>,
}

impl Api<'_> {
    pub(super) fn text(&self, key: &str) -> &str {
        self.body.as_ref().and_then(|body| body[key].as_str()).unwrap_or_default()
    }

    pub(super) fn value(&self) -> Value {
        self.body.clone().unwrap_or_default()
    }
}

pub(super) async fn answer(shared: &Shared, call: Call, body: Body) -> Answer {
    if call.path.starts_with("/api/v1/") {
        return text(404, "text/html; charset=utf-8", "<!DOCTYPE HTML>\n".to_owned());
    }
    if call.path == "/api/version" {
        return text(200, "text/plain; charset=utf-8", "{\"version\":\"v2.0\"}\n".to_owned());
    }
    let bytes = to_bytes(body, 8 << 20).await.unwrap_or_default();
    let json_body = call.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let body = if json_body { serde_json::from_slice(&bytes).ok() } else { None };
    let healthy = shared.healthy() && !shared.state.lock().unwrap().faults.registry;
    let path = call.path.strip_prefix("/api/v2.0").unwrap_or_default().to_owned();
    let parts: Vec<String> = path.trim_matches('/').split('/').map(percent).collect();
    if parts.iter().any(|part| part.contains('/')) {
        return missing(&call);
    }
    let mut state = shared.state.lock().unwrap();
    let who = call.shown.api();
    match path.as_str() {
        "/ping" => return text(200, "text/plain", "Pong".to_owned()),
        "/health" => return health(&state, healthy),
        _ => {}
    }
    if state.faults.database {
        return if who == Who::Admin { internal() } else { unauthorized() };
    }
    if who == Who::Anonymous && !matches!(call.shown, Shown::Nothing) {
        return unauthorized();
    }
    let api = Api { call: &call, who, body };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    route(&mut state, &api, &parts)
}

fn route(state: &mut State, api: &Api<'_>, parts: &[&str]) -> Answer {
    if parts == ["systeminfo"] {
        return system_info(state, api);
    }
    if state.read_only && !api.call.reads() && parts[0] != "configurations" {
        return read_only();
    }
    match parts {
        ["projects", ..] if parts.get(2) == Some(&"repositories") => artifacts::answer(state, api, parts),
        ["projects" | "quotas", ..] => projects::answer(state, api, parts),
        ["robots", ..] => robots::answer(state, api, parts),
        ["labels", ..] => labels::answer(state, api),
        ["configurations"] => configure(state, api),
        ["users", "current", "permissions"] => permissions(state, api),
        ["users", "current"] => match api.who {
            Who::Anonymous => unauthorized(),
            Who::Robot(_) => error(412, "PRECONDITION", "get current user not available for security context: robot"),
            _ => json_of(200, &json!({ "username": state.name(&api.who), "sysadmin_flag": api.who == Who::Admin })),
        },
        _ => missing(api.call),
    }
}

pub(super) fn missing(call: &Call) -> Answer {
    not_found(&format!("path {} was not found", percent(&call.path)))
}

fn system_info(state: &State, api: &Api<'_>) -> Answer {
    let mut info = json!({
        "auth_mode": "db_auth", "banner_message": "", "oidc_provider_name": "", "primary_auth_mode": false,
        "self_registration": false,
    });
    if api.who != Who::Anonymous {
        info["harbor_version"] = json!("v2.16.0-c50c7ddd");
        info["read_only"] = json!(state.read_only);
        info["project_creation_restriction"] = json!(if state.admin_only { "adminonly" } else { "everyone" });
        info["registry_url"] = json!(api.call.host());
    }
    json_of(200, &info)
}

/// Always 200: what is down stands in the body.
fn health(state: &State, registry: bool) -> Answer {
    let parts = [
        ("core", true),
        ("database", !state.faults.database || state.faults.late),
        ("jobservice", !(state.faults.redis || state.faults.database && state.faults.late)),
        ("portal", !state.faults.portal),
        ("redis", !state.faults.redis),
        ("registry", registry),
        ("registryctl", true),
    ];
    let word = |well: bool| if well { "healthy" } else { "unhealthy" };
    let components: Vec<Value> =
        parts.iter().map(|(name, well)| json!({ "name": name, "status": word(*well) })).collect();
    let all = parts.iter().all(|(_, well)| *well);
    json_of(200, &json!({ "components": components, "status": word(all) }))
}

impl Shared {
    fn healthy(&self) -> bool {
        std::net::TcpStream::connect(self.registry.trim_start_matches("http://")).is_ok()
    }
}

fn configure(state: &mut State, api: &Api<'_>) -> Answer {
    if api.who != Who::Admin {
        return if api.who == Who::Anonymous { unauthorized() } else { super::answer::forbidden() };
    }
    let body = api.value();
    if let Some(read_only) = body["read_only"].as_bool() {
        state.read_only = read_only;
    }
    if let Some(minutes) = body["token_expiration"].as_i64() {
        if minutes < 1 {
            return error(400, "BAD_REQUEST", "the token_expiration value must be positive");
        }
        state.token_minutes = minutes;
    }
    if let Some(prefix) = body["robot_name_prefix"].as_str() {
        prefix.clone_into(&mut state.robot_prefix);
    }
    if let Some(restriction) = body["project_creation_restriction"].as_str() {
        state.admin_only = restriction == "adminonly";
    }
    empty(200)
}

/// What one may do in a project, named by its number.
fn permissions(state: &State, api: &Api<'_>) -> Answer {
    if api.who == Who::Anonymous {
        return unauthorized();
    }
    let scope = api.call.query("scope").unwrap_or_default();
    let id = scope.strip_prefix("/project/").and_then(|id| id.parse::<u64>().ok());
    let project = state.projects.values().find(|project| Some(project.id) == id);
    let relative = api.call.query("relative") == Some("true");
    let resource = if relative { "repository".to_owned() } else { format!("{scope}/repository") };
    let actions = project.map(|project| state.actions(&api.who, &project.name)).unwrap_or_default();
    let all: Vec<Value> = actions.iter().map(|action| json!({ "action": action, "resource": resource })).collect();
    json_of(200, &json!(all))
}

/// A page of a list, with the headers that tell of the others.
pub(super) fn page(call: &Call, all: Vec<Value>) -> Answer {
    let size = match call.query("page_size").map(str::parse::<i64>) {
        Some(Ok(size)) if size > 100 => {
            let message = "validation failure list:\npage_size in query should be less than or equal to 100";
            return error(422, "UNPROCESSABLE_ENTITY", message);
        }
        Some(Ok(size)) if size < 1 => usize::MAX,
        Some(Ok(size)) => usize::try_from(size).unwrap_or(10),
        _ => 10,
    };
    let number = call.query("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(1).max(1);
    let total = all.len();
    let shown: Vec<Value> = all.into_iter().skip(size.saturating_mul(number - 1)).take(size).collect();
    let answer = super::answer::with(json_of(200, &json!(shown)), "x-total-count", &total.to_string());
    let link = |page: usize, rel: &str| {
        let rest: Vec<String> = call
            .query
            .iter()
            .filter(|(key, _)| key != "page" && key != "page_size")
            .map(|(key, value)| format!("&{key}={value}"))
            .collect();
        format!("<{}?page={page}&page_size={size}{}>; rel=\"{rel}\"", call.path, rest.concat())
    };
    let mut links = Vec::new();
    if number > 1 {
        links.push(link(number - 1, "prev"));
    }
    let all = call.query("page_size") == Some("-1");
    if all {
        // Everything, and a page after it that there is not.
        links.push(format!("<{}?page=2&page_size=-1>; rel=\"next\"", call.path));
    } else if size != usize::MAX && number * size < total {
        links.push(link(number + 1, "next"));
    }
    if links.is_empty() { answer } else { super::answer::with(answer, "link", &links.join(" , ")) }
}
