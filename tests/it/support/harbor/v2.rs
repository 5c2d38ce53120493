//! `/v2/`: whose repository, who may, and on to the registry.

use axum::body::Body;
use axum::http::header;

use super::answer::{Answer, bad_gateway, early, empty, encoded_json, error, internal, of_v2, text, with};
use super::server::Call;
use super::state::State;
use super::who::{Shown, Who};
use super::{Shared, manifests, uploads};

/// What a path below `/v2/` names.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Manifest(String, String),
    Uploads(String),
    Upload(String, String),
    Blob(String),
    Tags(String),
    Referrers(String, String),
}

impl Target {
    fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2/")?;
        let decode = |text: &str| percent(text);
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags(name.to_owned()));
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads")) {
            return Some(Self::Uploads(name.to_owned()));
        }
        for (infix, make) in [
            ("/blobs/uploads/", Self::Upload as fn(String, String) -> Self),
            ("/manifests/", Self::Manifest),
            ("/referrers/", Self::Referrers),
        ] {
            if let Some((name, last)) = rest.rsplit_once(infix) {
                return Some(make(name.to_owned(), decode(last)));
            }
        }
        rest.rsplit_once("/blobs/").map(|(name, _)| Self::Blob(name.to_owned()))
    }

    pub(super) fn repository(&self) -> &str {
        match self {
            Self::Manifest(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Blob(name)
            | Self::Tags(name)
            | Self::Referrers(name, _) => name,
        }
    }
}

pub(super) async fn answer(shared: &Shared, call: Call, body: Body) -> Answer {
    if call.path == "/v2/" {
        return root(shared, &call).await;
    }
    if call.path == "/v2/_catalog" {
        return catalog(&shared.state.lock().unwrap(), &call);
    }
    let Some(target) = Target::of(&call.path).filter(|target| is_name(target.repository())) else {
        let what = format!("un-recognized request: {} {}", call.method, call.path);
        return refused(&what, "");
    };
    if matches!(&target, Target::Manifest(_, reference) if reference.is_empty()) {
        return of_v2(text(404, "text/plain; charset=utf-8", "404 page not found\n".to_owned()));
    }
    if !target.repository().contains('/') {
        let message = format!("bad request: invalid repository name: {}", target.repository());
        return early(error(400, "BAD_REQUEST", &message));
    }
    let refused = authorize(&shared.state.lock().unwrap(), &call, &target);
    if let Err(refusal) = refused {
        return uploads::in_the_middle(shared, body, refusal).await;
    }
    if target.repository().len() > 255 {
        return of_v2(error(500, "UNKNOWN", "unknown error"));
    }
    if target.repository().len() > 245 {
        return of_v2(text(500, "application/json; charset=utf-8", "{}".to_owned()));
    }
    if let Err(refusal) = policy(&shared.state.lock().unwrap(), &call, &target) {
        return refusal;
    }
    match &target {
        Target::Manifest(..) | Target::Tags(_) | Target::Referrers(..) => {
            manifests::answer(shared, &call, &target, body).await
        }
        Target::Uploads(_) | Target::Upload(..) | Target::Blob(_) => {
            uploads::answer(shared, &call, &target, body).await
        }
    }
}

async fn root(shared: &Shared, call: &Call) -> Answer {
    let known = {
        let state = shared.state.lock().unwrap();
        let who = state.caller(&call.shown);
        who != Who::Anonymous
    };
    if !known {
        let challenge = match call.shown {
            Shown::Nothing => bearer(call, &[]),
            _ => "Basic realm=\"harbor\"".to_owned(),
        };
        let answer = error(401, "UNAUTHORIZED", "unauthorized: unauthorized");
        return of_v2(with(answer, "www-authenticate", &challenge));
    }
    forward(shared, call, Body::empty(), &call.path).await
}

fn catalog(state: &State, call: &Call) -> Answer {
    if state.caller(&call.shown) != Who::Admin {
        return refused("unauthorized to list catalog", "Basic realm=\"harbor\"");
    }
    let names = state.projects.iter().flat_map(|(project, entry)| {
        entry
            .repositories
            .iter()
            .filter(|(_, repository)| !repository.artifacts.is_empty())
            .map(move |(name, _)| format!("{project}/{name}"))
    });
    let all: Vec<String> = names.collect();
    let n = call.query("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let answer = encoded_json(200, &serde_json::json!({ "repositories": all.iter().take(n).collect::<Vec<_>>() }));
    if n >= all.len() {
        return answer;
    }
    let last = all[n.saturating_sub(1)].replace('/', "%2F");
    with(answer, "link", &format!("</v2/_catalog?last={last}&n={n}>; rel=\"next\""))
}

impl State {
    /// Who a request is from.
    pub(super) fn caller(&self, shown: &Shown) -> Who {
        match shown {
            Shown::Nothing | Shown::Bearer(None) => Who::Anonymous,
            Shown::Basic(who) => who.clone(),
            Shown::Bearer(Some(token)) => self.tokens.get(token).map_or(Who::Anonymous, |token| token.who.clone()),
        }
    }

    /// Whether a request may do something in a project. A token keeps what it was given.
    fn lets(&self, shown: &Shown, project: &str, action: &str) -> bool {
        match shown {
            Shown::Nothing | Shown::Bearer(None) => false,
            Shown::Basic(who) => self.may(who, project, "repository", action),
            Shown::Bearer(Some(token)) => {
                let access = self.tokens.get(token).and_then(|token| token.access.get(project));
                access.is_some_and(|actions| actions.contains(action))
            }
        }
    }
}

/// Rights are a project's; without one it is a 401, whatever the reason.
fn authorize(state: &State, call: &Call, target: &Target) -> Result<(), Answer> {
    if state.faults.database {
        let sends = call.method == "POST" || (call.method == "PUT" && matches!(target, Target::Manifest(..)));
        let away = "failed to connect to `user=harbor database=registry`: postgresql:5432 (10.0.0.2): dial error";
        return Err(if sends { early(internal()) } else { refused(away, "") });
    }
    let action = match call.method.as_str() {
        "GET" | "HEAD" if !matches!(target, Target::Upload(..) | Target::Uploads(_)) => "pull",
        "DELETE" => "delete",
        _ => "push",
    };
    let source = call.query("mount").and(call.query("from"));
    let mut needs = vec![(target.repository(), action)];
    needs.extend(source.map(|from| (from, "pull")));
    let scopes: Vec<String> = needs
        .iter()
        .map(|(name, action)| format!("repository:{name}:{}", if *action == "push" { "pull,push" } else { action }))
        .collect();
    if matches!(call.shown, Shown::Nothing) && call.reads() {
        return Err(refused("authorize header needed to send HEAD to repository", &bearer(call, &scopes)));
    }
    let unknown = |name: &&str| !state.projects.contains_key(project_of(name));
    for (name, action) in &needs {
        let basic = !matches!(call.shown, Shown::Bearer(_));
        if unknown(name) && (basic || *name == target.repository()) {
            return Err(refused(&format!("project {} not found", project_of(name)), ""));
        }
        // A token that names a missing project is refused as a whole.
        let whole = !basic && needs.iter().any(|(name, _)| unknown(name));
        if whole || !state.lets(&call.shown, project_of(name), action) {
            let challenge = match call.shown {
                Shown::Nothing => bearer(call, &scopes),
                _ => "Basic realm=\"harbor\"".to_owned(),
            };
            return Err(refused(&format!("unauthorized to access repository: {name}, action: {action}"), &challenge));
        }
    }
    Ok(())
}

/// What no right helps against: read-only mode and proxy projects.
fn policy(state: &State, call: &Call, target: &Target) -> Result<(), Answer> {
    if call.reads() {
        return Ok(());
    }
    if state.read_only {
        return Err(super::answer::read_only());
    }
    let project = project_of(target.repository());
    if state.projects.get(project).is_some_and(|project| project.proxy) {
        let message = format!("denied: can not push artifact to a proxy project: {project}");
        return Err(error(403, "DENIED", &message));
    }
    Ok(())
}

pub(super) fn project_of(repository: &str) -> &str {
    repository.split('/').next().unwrap_or_default()
}

/// A 401 with the message twice, as Harbor wraps its errors.
fn refused(message: &str, challenge: &str) -> Answer {
    of_v2(with(error(401, "UNAUTHORIZED", &format!("{message}: {message}")), "www-authenticate", challenge))
}

fn bearer(call: &Call, scopes: &[String]) -> String {
    let realm = format!("Bearer realm=\"http://{}/service/token\",service=\"harbor-registry\"", call.host());
    if scopes.is_empty() { realm } else { format!("{realm},scope=\"{}\"", scopes.join(" ")) }
}

/// Sends a request on to the registry, with its body as it comes.
pub(super) async fn forward(shared: &Shared, call: &Call, body: Body, path: &str) -> Answer {
    if shared.state.lock().unwrap().faults.registry {
        return empty(502);
    }
    let query = if call.raw_query.is_empty() { String::new() } else { format!("?{}", call.raw_query) };
    let method = reqwest::Method::from_bytes(call.method.as_bytes()).unwrap();
    let mut request = shared.http.request(method, format!("{}{path}{query}", shared.registry));
    for name in [header::ACCEPT, header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_RANGE, header::RANGE] {
        for value in call.headers.get_all(&name) {
            request = request.header(name.clone(), value.clone());
        }
    }
    for name in ["host", "if-none-match", "x-forwarded-proto"] {
        if let Some(value) = call.headers.get(name) {
            request = request.header(name, value.clone());
        }
    }
    if !call.reads() {
        request = request.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let Ok(response) = request.send().await else {
        return if shared.registry_down() { empty(502) } else { bad_gateway() };
    };
    let status = response.status();
    let headers = response.headers().clone();
    let mut answer = Answer::new(Body::from_stream(response.bytes_stream()));
    *answer.status_mut() = status;
    for (name, value) in &headers {
        if ![header::TRANSFER_ENCODING, header::CONNECTION].contains(name) {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    // The core answers so by itself.
    if status == 304 {
        answer.headers_mut().remove("docker-distribution-api-version");
    }
    answer
}

impl Shared {
    /// Whether nothing listens behind us: a refusal that the proxy words, or none at all.
    fn registry_down(&self) -> bool {
        let address = self.registry.trim_start_matches("http://");
        std::net::TcpStream::connect(address).is_err()
    }
}

/// The distribution project's grammar of repository names.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        part.starts_with(plain)
            && part.ends_with(plain)
            && part.split(plain).all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
    };
    !name.is_empty() && name.split('/').all(part)
}

pub(super) fn percent(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
