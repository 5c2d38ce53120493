//! Manifests, tags and referrers: the registry keeps the bytes, Harbor knows the artifacts.

use axum::body::{Body, to_bytes};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Shared;
use super::answer::{Answer, empty, encoded_json, error, internal, not_found, text, with};
use super::quota;
use super::scans;
use super::server::Call;
use super::state::{Artifact, Repository, Scan, State};
use super::v2::{Target, forward, project_of};

/// Bytes that a manifest may have.
const LIMIT: usize = 4 << 20;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) async fn answer(shared: &Shared, call: &Call, target: &Target, body: Body) -> Answer {
    match (call.method.as_str(), target) {
        ("PUT", Target::Manifest(name, reference)) => put(shared, call, name, reference, body).await,
        ("GET" | "HEAD", Target::Manifest(name, reference)) => show(shared, call, name, reference).await,
        ("DELETE", Target::Manifest(name, reference)) => {
            delete(&mut shared.state.lock().unwrap(), name, reference, true).unwrap_or_else(|refusal| refusal)
        }
        ("GET", Target::Tags(name)) => tags(&shared.state.lock().unwrap(), call, name),
        ("GET", Target::Referrers(name, digest)) => referrers(&shared.state.lock().unwrap(), call, name, digest),
        _ => error(405, "UNSUPPORTED", "The operation is unsupported."),
    }
}

pub(super) fn is_digest(reference: &str) -> bool {
    reference.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64)
}

async fn put(shared: &Shared, call: &Call, name: &str, reference: &str, body: Body) -> Answer {
    let Ok(bytes) = to_bytes(body, LIMIT).await else {
        return error(413, "REQUEST_ENTITY_TOO_LARGE", "request entity too large");
    };
    if !is_digest(reference) && !is_tag(reference) {
        return error(400, "BAD_REQUEST", &format!("bad request: invalid tag name: {reference}"));
    }
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
    let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let project = project_of(name).to_owned();
    {
        let state = shared.state.lock().unwrap();
        let known = &state.projects[&project];
        let short = name.split_once('/').map_or("", |(_, short)| short);
        // Also the digest that the tag has.
        let taken = known.repositories.get(short).is_some_and(|repository| repository.tags.contains_key(reference));
        if taken && immutable(known, short, reference) {
            let message = format!("Failed to process request due to '{short}:{reference}' configured as immutable.");
            return error(412, "PRECONDITION", &message);
        }
        if !known.blobs.contains_key(&digest)
            && let Err(over) = quota::fits(known, bytes.len() as u64)
        {
            return over.answer();
        }
    }
    let config = match manifest["config"]["digest"].as_str().filter(|_| is_image_config(&manifest)) {
        Some(config) => blob(shared, name, config).await.map(|bytes| serde_json::from_slice(&bytes)),
        None => None,
    };
    if matches!(config, Some(Err(_))) {
        return internal();
    }
    let length = bytes.len() as u64;
    let answer = forward(shared, call, Body::from(bytes), &call.path).await;
    if answer.status() == 400
        && known_kind(call).is_none_or(|kind| manifest["mediaType"].as_str().is_some_and(|own| own != kind))
    {
        return error(400, "MANIFEST_INVALID", "unmarshal manifest failed: missing signature key");
    }
    if answer.status() == 400 && manifest.is_null() {
        return error(400, "MANIFEST_INVALID", "unmarshal manifest failed: invalid character");
    }
    if answer.status() != 201 {
        return answer;
    }
    let media_type = manifest["mediaType"].as_str().or(call.header("content-type")).unwrap_or_default().to_owned();
    let config = config.and_then(Result::ok).unwrap_or_default();
    let artifact = Artifact { manifest, media_type, length, config, ..Artifact::default() };
    let subject = shared.state.lock().unwrap().enter(name, reference, &digest, artifact);
    match subject {
        Some(subject) => with(answer, "oci-subject", &subject),
        None => answer,
    }
}

/// The type that a manifest is sent as, if it is one.
fn known_kind(call: &Call) -> Option<&str> {
    let kind = call.header("content-type")?.split(';').next()?;
    let known = ["application/vnd.oci.image.", "application/vnd.docker.distribution.manifest."];
    known.iter().any(|start| kind.starts_with(start)).then_some(kind)
}

fn is_image_config(manifest: &Value) -> bool {
    let kind = manifest["config"]["mediaType"].as_str().unwrap_or_default();
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"].contains(&kind)
}

async fn blob(shared: &Shared, name: &str, digest: &str) -> Option<Vec<u8>> {
    let found = shared.http.get(format!("{}/v2/{name}/blobs/{digest}", shared.registry)).send().await.ok()?;
    if !found.status().is_success() {
        return None;
    }
    found.bytes().await.ok().map(|bytes| bytes.to_vec())
}

impl State {
    /// Enters what the registry took; gives the subject that it names.
    pub(super) fn enter(
        &mut self,
        name: &str,
        reference: &str,
        digest: &str,
        mut artifact: Artifact,
    ) -> Option<String> {
        let (project, short) = name.split_once('/')?;
        let (fresh, second) = (self.id(), self.id());
        let scans = self.scanner;
        let project = self.projects.get_mut(project)?;
        let auto = scans && project.flag("auto_scan");
        project.blobs.insert(digest.to_owned(), artifact.length);
        let repository = project
            .repositories
            .entry(short.to_owned())
            .or_insert_with(|| Repository { id: second, ..Repository::default() });
        let named = |value: &Value| value["size"].as_u64().unwrap_or(0);
        let layers = artifact.manifest["layers"].as_array().into_iter().flatten().map(named).sum::<u64>();
        artifact.size = artifact.length + layers + named(&artifact.manifest["config"]);
        let subject = artifact.manifest["subject"]["digest"].as_str().map(str::to_owned);
        artifact.accessory = accessory(&artifact.manifest, reference)
            .zip(subject.clone().or_else(|| signed(reference)))
            .map(|(kind, of)| (of, kind));
        if auto && artifact.accessory.is_none() {
            artifact.scan = Some(Scan::default());
        }
        let known = repository.artifacts.entry(digest.to_owned()).or_insert_with(|| Artifact { id: fresh, ..artifact });
        let _ = known;
        if !is_digest(reference) {
            repository.tags.insert(reference.to_owned(), digest.to_owned());
        }
        subject
    }
}

/// The subject that a cosign tag names.
fn signed(reference: &str) -> Option<String> {
    reference.strip_prefix("sha256-")?.strip_suffix(".sig").map(|hex| format!("sha256:{hex}"))
}

fn accessory(manifest: &Value, reference: &str) -> Option<&'static str> {
    if signed(reference).is_some() {
        return Some("signature.cosign");
    }
    manifest.get("subject")?;
    let kind = manifest["artifactType"].as_str().or(manifest["config"]["mediaType"].as_str()).unwrap_or_default();
    Some(match kind {
        "application/vnd.dev.cosign.artifact.sig.v1+json" => "signature.cosign",
        kind if kind.starts_with("application/vnd.dev.sigstore.bundle") => "signature.cosign",
        "application/vnd.cncf.notary.signature" => "signature.notation",
        "application/vnd.goharbor.harbor.sbom.v1" => "sbom.harbor",
        _ => "subject.accessory",
    })
}

async fn show(shared: &Shared, call: &Call, name: &str, reference: &str) -> Answer {
    let digest = {
        let state = shared.state.lock().unwrap();
        let project = &state.projects[project_of(name)];
        if project.proxy {
            return not_found(&format!("resource not found: repo {name}, tag {reference} not found"));
        }
        let found = state.repository(name).filter(|repository| !repository.artifacts.is_empty());
        let Some(repository) = found else {
            return not_found(&format!("repository {name} not found"));
        };
        let Some(digest) = repository.resolve(reference) else {
            let at = if is_digest(reference) { '@' } else { ':' };
            return not_found(&format!("artifact {name}{at}{reference} not found"));
        };
        // Whatever the account; only a bearer with the right to push who calls itself a signer is let through.
        if let Some(why) = scans::gate(&state, name, &digest)
            && !scans::exempt(&state, call, name)
        {
            return error(412, "PROJECTPOLICYVIOLATION", &why);
        }
        digest
    };
    forward(shared, call, Body::empty(), &format!("/v2/{name}/manifests/{digest}")).await
}

/// Removes an artifact with its tags and accessories; the blobs stay.
pub(super) fn delete(state: &mut State, name: &str, reference: &str, by_digest: bool) -> Result<Answer, Answer> {
    if by_digest && !is_digest(reference) {
        let message = format!("unsupported digest {reference}: invalid checksum digest format");
        return Err(error(400, "UNSUPPORTED", &message));
    }
    let short = name.split_once('/').map_or("", |(_, short)| short);
    let missing = || {
        let at = if is_digest(reference) { '@' } else { ':' };
        not_found(&format!("artifact {name}{at}{reference} not found"))
    };
    let project = state.projects.get(project_of(name)).ok_or_else(missing)?;
    let repository = project.repositories.get(short).ok_or_else(missing)?;
    let digest = repository.resolve(reference).ok_or_else(missing)?;
    let tags = repository.tags.iter().filter(|(_, named)| **named == digest).map(|(tag, _)| tag);
    if let Some(tag) = tags.into_iter().find(|tag| immutable(project, short, tag)) {
        let message = format!("the tag {tag} configured as immutable, cannot be deleted");
        return Err(error(412, "PRECONDITION", &message));
    }
    let holds = |artifact: &Artifact| {
        artifact.manifest["manifests"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["digest"] == digest.as_str()))
    };
    if repository.artifacts.values().any(holds) {
        return Err(error(412, "VIOLATE_FOREIGN_KEY_CONSTRAINT", "the deleting artifact is referenced by others"));
    }
    let repository = state.repository_mut(name).ok_or_else(missing)?;
    repository.artifacts.remove(&digest);
    let of = |artifact: &Artifact| artifact.accessory.as_ref().is_some_and(|(subject, _)| *subject == digest);
    repository.artifacts.retain(|_, artifact| !of(artifact));
    let left: Vec<String> = repository.artifacts.keys().cloned().collect();
    repository.tags.retain(|_, named| left.contains(named));
    Ok(empty(if by_digest { 202 } else { 200 }))
}

fn tags(state: &State, call: &Call, name: &str) -> Answer {
    let Some(repository) = state.repository(name).filter(|repository| !repository.artifacts.is_empty()) else {
        return not_found(&format!("repository {name} not found"));
    };
    let n = match call.query("n").map(str::parse::<usize>) {
        Some(Err(_)) => return error(400, "BAD_REQUEST", "the N must be a positive int type"),
        n => n.and_then(Result::ok),
    };
    let last = call.query("last").unwrap_or_default();
    let after: Vec<&String> = repository.tags.keys().filter(|tag| last.is_empty() || tag.as_str() > last).collect();
    let page: Vec<&&String> = after.iter().take(n.unwrap_or(usize::MAX)).collect();
    let answer = encoded_json(200, &json!({ "name": name, "tags": page }));
    match (n, page.last()) {
        (Some(n), Some(end)) if page.len() < after.len() => {
            with(answer, "link", &format!("</v2/{name}/tags/list?last={end}&n={n}>; rel=\"next\""))
        }
        _ => answer,
    }
}

fn referrers(state: &State, call: &Call, name: &str, digest: &str) -> Answer {
    if !is_digest(digest) {
        let message = format!("unsupported digest {digest}: invalid checksum digest format");
        return error(400, "BAD_REQUEST", &message);
    }
    let artifacts = state.repository(name).map(|repository| &repository.artifacts);
    let of = |artifact: &Artifact| artifact.accessory.as_ref().is_some_and(|(subject, _)| subject == digest);
    let all: Vec<Value> = artifacts
        .into_iter()
        .flatten()
        .filter(|(_, artifact)| of(artifact))
        .map(|(digest, artifact)| {
            let kind = artifact.manifest["artifactType"].as_str().or(artifact.manifest["config"]["mediaType"].as_str());
            json!({
                "mediaType": artifact.media_type, "digest": digest, "size": artifact.length,
                "artifactType": kind, "annotations": artifact.manifest["annotations"],
            })
        })
        .collect();
    let total = all.len().to_string();
    let filter = call.query("artifactType");
    let shown: Vec<Value> =
        all.into_iter().filter(|one| filter.is_none_or(|kind| one["artifactType"] == kind)).collect();
    let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": shown });
    let answer = with(text(200, INDEX, body.to_string()), "x-total-count", &total);
    if filter.is_some() { with(answer, "oci-filters-applied", "artifactType") } else { answer }
}

/// A tag: a word character, then up to 127 of words, dots and dashes.
pub(super) fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// Whether a rule of the project holds for a tag.
pub(super) fn immutable(project: &super::state::Project, repository: &str, tag: &str) -> bool {
    project.immutable.iter().filter(|rule| rule["disabled"] != true).any(|rule| {
        let matches = |selector: &Value, text: &str, positive: &str| {
            let hit = pattern(selector["pattern"].as_str().unwrap_or_default(), text);
            hit == (selector["decoration"] == positive)
        };
        let scopes = rule["scope_selectors"]["repository"].as_array().map(Vec::as_slice).unwrap_or_default();
        let tags = rule["tag_selectors"].as_array().map(Vec::as_slice).unwrap_or_default();
        scopes.iter().all(|selector| matches(selector, repository, "repoMatches"))
            && tags.iter().all(|selector| matches(selector, tag, "matches"))
    })
}

/// `**` and `*` as doublestar reads them, as far as rules of tests go.
fn pattern(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            let Some(rest) = text.strip_prefix(before) else { return false };
            let after = after.trim_start_matches('*');
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| self::pattern(after, &rest[at..]))
        }
    }
}
