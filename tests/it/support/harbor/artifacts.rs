//! Repositories and artifacts by the API: shown, tagged, labelled, scanned, copied.

use serde_json::{Value, json};

use super::answer::{Answer, empty, error, forbidden, json_of, not_found, unauthorized, with};
use super::api::{Api, missing, page};
use super::manifests::{delete, immutable, is_digest, is_tag};
use super::scans;
use super::state::{Artifact, Project, State};
use super::v2::percent;
use super::who::Who;

pub(super) fn answer(state: &mut State, api: &Api<'_>, parts: &[&str]) -> Answer {
    if api.who == Who::Anonymous {
        return unauthorized();
    }
    let ["projects", project, "repositories", rest @ ..] = parts else { return missing(api.call) };
    let method = api.call.method.as_str();
    let right = match (method, rest) {
        ("GET", []) => ("repository", "list"),
        ("GET", [_]) => ("repository", "read"),
        ("DELETE", [_]) => ("repository", "delete"),
        ("GET", [_, "artifacts"]) => ("artifact", "list"),
        ("POST", [_, "artifacts"]) => ("artifact", "create"),
        ("GET", [_, "artifacts", _]) => ("artifact", "read"),
        ("DELETE", [_, "artifacts", _]) => ("artifact", "delete"),
        ("GET", [_, "artifacts", _, "tags"]) => ("tag", "list"),
        ("POST", [_, "artifacts", _, "tags"]) => ("tag", "create"),
        ("DELETE", [_, "artifacts", _, "tags", _]) => ("tag", "delete"),
        ("POST", [_, "artifacts", _, "labels"]) => ("artifact-label", "create"),
        ("DELETE", [_, "artifacts", _, "labels", _]) => ("artifact-label", "delete"),
        ("POST", [_, "artifacts", _, "scan", ..]) => ("scan", "create"),
        ("GET", [_, "artifacts", _, "additions", _]) => ("artifact-addition", "read"),
        ("GET", [_, "artifacts", _, "accessories"]) => ("accessory", "list"),
        ("HEAD", [_, "artifacts", _]) => return error(405, "METHOD_NOT_ALLOWED", "method HEAD is not allowed"),
        _ => return missing(api.call),
    };
    if !state.may(&api.who, project, right.0, right.1) {
        return forbidden();
    }
    let Some((name, rest)) = rest.split_first() else { return repositories(state, api, project) };
    // A name with slashes is encoded twice.
    let name = format!("{project}/{}", percent(name));
    if right == ("artifact", "create") {
        return copy(state, api, &name);
    }
    if state.repository(&name).is_none_or(|repository| repository.artifacts.is_empty() && method != "POST") {
        return not_found(&format!("repository {name} not found"));
    }
    of_repository(state, api, &name, rest)
}

fn of_repository(state: &mut State, api: &Api<'_>, name: &str, rest: &[&str]) -> Answer {
    let method = api.call.method.as_str();
    match (method, rest) {
        ("GET", []) => {
            let repository = state.repository(name).unwrap();
            json_of(200, &json!({ "id": repository.id, "name": name, "artifact_count": repository.artifacts.len() }))
        }
        ("DELETE", []) => delete_repository(state, name),
        ("GET", ["artifacts"]) => list(state, api, name),
        (_, ["artifacts", reference, rest @ ..]) => {
            let repository = state.repository(name).unwrap();
            let Some(digest) = repository.resolve(reference) else {
                let at = if is_digest(reference) { '@' } else { ':' };
                return not_found(&format!("artifact {name}{at}{reference} not found"));
            };
            of_artifact(state, api, name, &digest, rest)
        }
        _ => missing(api.call),
    }
}

fn of_artifact(state: &mut State, api: &Api<'_>, name: &str, digest: &str, rest: &[&str]) -> Answer {
    let outcome = state.findings.get(name).cloned();
    match (api.call.method.as_str(), rest) {
        ("GET", []) => {
            let wants = api.call.query("with_scan_overview") == Some("true");
            let artifact = state.repository_mut(name).unwrap().artifacts.get_mut(digest).unwrap();
            let scan = if wants { scans::overview(artifact, outcome.as_ref()) } else { None };
            let mut shown = show(state, name, digest);
            if let Some(scan) = scan {
                shown["scan_overview"] = scan;
            }
            json_of(200, &shown)
        }
        ("DELETE", []) => delete(state, name, digest, false).unwrap_or_else(|refusal| refusal),
        ("GET", ["tags"]) => page(api.call, tags(state, name, digest)),
        ("POST", ["tags"]) => tag(state, api, name, digest),
        ("DELETE", ["tags", tag]) => untag(state, name, digest, tag),
        ("POST", ["labels"]) => label(state, api, name, digest),
        ("DELETE", ["labels", id]) => {
            let artifact = state.repository_mut(name).unwrap().artifacts.get_mut(digest).unwrap();
            artifact.labels.retain(|known| known.to_string() != *id);
            empty(200)
        }
        ("POST", ["scan"]) => scans::start(state, name, digest, &api.value()),
        ("POST", ["scan", "stop"]) => match state.repository(name).unwrap().artifacts[digest].scan {
            Some(_) => empty(202),
            None => error(400, "BAD_REQUEST", &format!("no scan job for artifact digest={digest}")),
        },
        ("GET", ["additions", "vulnerabilities"]) => {
            let artifact = &state.repository(name).unwrap().artifacts[digest];
            if !state.scanner {
                let id = project(state, name).id;
                return not_found(&format!("no scanner registration configured for project: {id}"));
            }
            json_of(200, &scans::report(artifact, outcome.as_ref()))
        }
        ("GET", ["additions", "sbom"]) => {
            error(400, "BAD_REQUEST", "addition SBOM isn't supported for IMAGE(manifest version 2)")
        }
        ("GET", ["accessories"]) => page(api.call, accessories(state, name, digest)),
        _ => missing(api.call),
    }
}

fn project<'a>(state: &'a State, name: &str) -> &'a Project {
    &state.projects[name.split('/').next().unwrap_or_default()]
}

fn show(state: &State, name: &str, digest: &str) -> Value {
    let (project, repository) = (project(state, name), state.repository(name).unwrap());
    let artifact = &repository.artifacts[digest];
    let labels: Vec<&Value> =
        state.labels.iter().filter(|label| artifact.labels.contains(&label["id"].as_u64().unwrap_or(0))).collect();
    json!({
        "id": artifact.id, "digest": digest, "size": artifact.size, "project_id": project.id,
        "repository_id": repository.id, "repository_name": name, "media_type": artifact.manifest["config"]["mediaType"],
        "manifest_media_type": artifact.media_type, "type": "IMAGE", "tags": tags(state, name, digest), "labels": labels,
        "extra_attrs": { "architecture": artifact.config["architecture"], "os": artifact.config["os"], "config": artifact.config["config"] },
        "push_time": "2026-11-21T02:45:29.000Z",
    })
}

fn tags(state: &State, name: &str, digest: &str) -> Vec<Value> {
    let (project, repository) = (project(state, name), state.repository(name).unwrap());
    let short = name.split_once('/').map_or("", |(_, short)| short);
    let named = repository.tags.iter().filter(|(_, named)| *named == digest);
    named.map(|(tag, _)| json!({ "name": tag, "immutable": immutable(project, short, tag) })).collect()
}

/// The newest first; accessories are not shown.
fn list(state: &State, api: &Api<'_>, name: &str) -> Answer {
    let repository = state.repository(name).unwrap();
    let q = api.call.query("q").unwrap_or_default();
    let mut all: Vec<(&String, &Artifact)> =
        repository.artifacts.iter().filter(|(_, artifact)| artifact.accessory.is_none()).collect();
    all.sort_by_key(|(_, artifact)| std::cmp::Reverse(artifact.id));
    let fits = |digest: &String| match q.strip_prefix("tags=") {
        Some("nil") => tags(state, name, digest).is_empty(),
        Some(tag) => tags(state, name, digest).iter().any(|one| one["name"] == tag),
        None => true,
    };
    page(api.call, all.iter().filter(|(digest, _)| fits(digest)).map(|(digest, _)| show(state, name, digest)).collect())
}

fn accessories(state: &State, name: &str, digest: &str) -> Vec<Value> {
    let all = &state.repository(name).unwrap().artifacts;
    all.iter()
        .filter_map(|(own, artifact)| {
            let (subject, kind) = artifact.accessory.as_ref().filter(|(subject, _)| subject == digest)?;
            Some(json!({ "artifact_id": artifact.id, "digest": own, "size": artifact.size, "type": kind, "subject_artifact_digest": subject }))
        })
        .collect()
}

/// Adds a tag; it never moves one.
fn tag(state: &mut State, api: &Api<'_>, name: &str, digest: &str) -> Answer {
    let tag = api.text("name");
    if !is_tag(tag) {
        return error(400, "BAD_REQUEST", &format!("bad request: invalid tag name: {tag}"));
    }
    let repository = state.repository_mut(name).unwrap();
    if repository.tags.contains_key(tag) {
        let message = format!("tag {tag} already exists under the repository {}", repository.id);
        return error(409, "CONFLICT", &message);
    }
    repository.tags.insert(tag.to_owned(), digest.to_owned());
    empty(201)
}

fn untag(state: &mut State, name: &str, digest: &str, tag: &str) -> Answer {
    let short = name.split_once('/').map_or("", |(_, short)| short);
    if immutable(project(state, name), short, tag) {
        let message = format!("the tag {tag} configured as immutable, cannot be deleted");
        return error(412, "PRECONDITION", &message);
    }
    let repository = state.repository_mut(name).unwrap();
    let id = repository.artifacts[digest].id;
    if repository.tags.get(tag).is_none_or(|named| named != digest) {
        return not_found(&format!("tag {tag} attached to artifact {id} not found"));
    }
    repository.tags.remove(tag);
    empty(200)
}

fn label(state: &mut State, api: &Api<'_>, name: &str, digest: &str) -> Answer {
    let id = api.value()["id"].as_u64().unwrap_or(0);
    if !state.labels.iter().any(|label| label["id"] == id) {
        return not_found(&format!("label {id} not found"));
    }
    let artifact = state.repository_mut(name).unwrap().artifacts.get_mut(digest).unwrap();
    if artifact.labels.contains(&id) {
        let message = format!("label {id} is already added to the artifact {}", artifact.id);
        return error(409, "CONFLICT", &message);
    }
    artifact.labels.push(id);
    empty(200)
}

fn delete_repository(state: &mut State, name: &str) -> Answer {
    let (project_name, short) = name.split_once('/').unwrap();
    let known = &state.projects[project_name];
    let fixed = known.repositories[short].tags.keys().find(|tag| immutable(known, short, tag));
    if let Some(tag) = fixed {
        let message = format!("the tag {tag} configured as immutable, cannot be deleted");
        return error(412, "PRECONDITION", &message);
    }
    state.projects.get_mut(project_name).unwrap().repositories.remove(short);
    empty(200)
}

fn repositories(state: &State, api: &Api<'_>, project: &str) -> Answer {
    let Some(known) = state.projects.get(project) else { return not_found(&format!("project {project} not found")) };
    let all = known.repositories.iter().filter(|(_, one)| !one.artifacts.is_empty());
    let show = |(name, one): (&String, &super::state::Repository)| json!({ "id": one.id, "name": format!("{project}/{name}"), "artifact_count": one.artifacts.len() });
    page(api.call, all.map(show).collect())
}

/// Copies an artifact; its tag comes along.
fn copy(state: &mut State, api: &Api<'_>, name: &str) -> Answer {
    let from = api.call.query("from").unwrap_or_default();
    let (source, reference) = from.split_once('@').or_else(|| from.rsplit_once(':')).unwrap_or((from, ""));
    let found = state.repository(source).and_then(|repository| {
        let digest = repository.resolve(reference)?;
        Some((digest.clone(), repository.artifacts[&digest].clone()))
    });
    let Some((digest, artifact)) = found else {
        return error(400, "BAD_REQUEST", &format!("artifact {from} not found"));
    };
    state.enter(name, reference, &digest, Artifact { accessory: None, ..artifact });
    let (project, rest) = name.split_once('/').unwrap_or((name, ""));
    // Encoded once, where it has to be asked for encoded twice.
    let rest = rest.replace('/', "%2F");
    let location = format!("/api/v2.0/projects/{project}/repositories/{rest}/artifacts/{reference}");
    with(empty(201), "location", &location)
}
