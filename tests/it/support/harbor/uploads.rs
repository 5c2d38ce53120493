//! Blobs: the registry keeps them, the quota is Harbor's.

use axum::body::Body;
use futures_util::StreamExt as _;
use serde_json::json;

use super::Shared;
use super::answer::{Answer, bad_gateway, error, of_v2, text};
use super::quota::{self, Over};
use super::server::Call;
use super::v2::{Target, forward, project_of};

/// From this size on, the proxy has not sent all of a body when the core refuses it.
const BREAKS: u64 = 128 << 10;

pub(super) async fn answer(shared: &Shared, call: &Call, target: &Target, body: Body) -> Answer {
    if !call.reads() && shared.state.lock().unwrap().faults.disk_full {
        // At the beginning of an upload it says so by a number alone.
        let detail = match call.method.as_str() {
            "POST" => {
                json!({ "DriverName": "filesystem", "Enclosed": { "Op": "write", "Path": "/storage", "Err": 28 } })
            }
            _ => json!("write /storage: no space left on device"),
        };
        let error = json!({ "code": "UNKNOWN", "message": "unknown error", "detail": detail });
        drain(body).await;
        return of_v2(text(500, "application/json; charset=utf-8", json!({ "errors": [error] }).to_string()));
    }
    match (call.method.as_str(), target) {
        ("POST", Target::Uploads(name)) => begin(shared, call, name, body).await,
        ("PATCH", Target::Upload(_, session)) => counted(shared, call, session, body).await,
        ("PUT", Target::Upload(name, session)) => finish(shared, call, name, session, body).await,
        ("GET", Target::Uploads(_)) => of_v2(error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")),
        ("HEAD", Target::Blob(name)) => {
            let known = shared.state.lock().unwrap().repository(name).is_some();
            let mut answer = forward(shared, call, body, &call.path).await;
            // Of a repository that it does not know, the core says so by itself.
            if !known && answer.status() == 404 {
                answer.headers_mut().remove("docker-distribution-api-version");
            }
            answer
        }
        _ => forward(shared, call, body, &call.path).await,
    }
}

/// A mount counts at once; a session counts when it ends.
async fn begin(shared: &Shared, call: &Call, name: &str, body: Body) -> Answer {
    let source = call.query("mount").zip(call.query("from"));
    if let Some((digest, from)) = source {
        let size = size_of(shared, from, digest).await;
        if let Some(size) = size
            && let Err(over) = shared.reserve(project_of(name), digest, size)
        {
            return over.answer();
        }
    }
    forward(shared, call, body, &call.path).await
}

/// The bytes of a blob in a repository.
async fn size_of(shared: &Shared, name: &str, digest: &str) -> Option<u64> {
    let head = shared.http.head(format!("{}/v2/{name}/blobs/{digest}", shared.registry)).send().await.ok()?;
    let length = head.headers().get("content-length")?.to_str().ok()?.parse().ok()?;
    head.status().is_success().then_some(length)
}

/// Takes bytes of a session and counts them.
async fn counted(shared: &Shared, call: &Call, session: &str, body: Body) -> Answer {
    let (state, session) = (shared.state.clone(), session.to_owned());
    let counted = body.into_data_stream().inspect(move |piece| {
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let mut state = state.lock().unwrap();
        state.received += bytes;
        *state.uploads.entry(session.clone()).or_default() += bytes;
    });
    forward(shared, call, Body::from_stream(counted), &call.path).await
}

async fn finish(shared: &Shared, call: &Call, name: &str, session: &str, body: Body) -> Answer {
    let digest = call.query("digest").unwrap_or_default().to_owned();
    let (project, coming) = (project_of(name), call.length());
    let before = shared.state.lock().unwrap().uploads.get(session).copied().unwrap_or(0);
    if let Err(over) = shared.reserve(project, &digest, before + coming) {
        return in_the_middle(shared, body, over.answer()).await;
    }
    let answer = forward(shared, call, body, &call.path).await;
    if answer.status() == 201 {
        shared.state.lock().unwrap().uploads.remove(session);
    } else {
        shared.give_back(project, &digest);
    }
    answer
}

/// A refusal, as it comes to a client that has not sent all of its body yet.
pub(super) async fn in_the_middle(shared: &Shared, body: Body, refusal: Answer) -> Answer {
    let came = drain(body).await;
    let breaks = shared.state.lock().unwrap().faults.refusals_break;
    if breaks && came > BREAKS { bad_gateway() } else { refusal }
}

/// Reads all of a body; gives its bytes.
async fn drain(body: Body) -> u64 {
    let (mut pieces, mut came) = (body.into_data_stream(), 0);
    while let Some(Ok(piece)) = pieces.next().await {
        came += piece.len() as u64;
    }
    came
}

impl Shared {
    /// Counts a blob in a project, unless it is counted or does not fit.
    pub(super) fn reserve(&self, project: &str, digest: &str, size: u64) -> Result<(), Over> {
        let mut state = self.state.lock().unwrap();
        let Some(project) = state.projects.get_mut(project) else { return Ok(()) };
        if project.blobs.contains_key(digest) {
            return Ok(());
        }
        quota::fits(project, size)?;
        project.blobs.insert(digest.to_owned(), size);
        Ok(())
    }

    /// Takes back what was counted for something that the registry then refused.
    fn give_back(&self, project: &str, digest: &str) {
        if let Some(project) = self.state.lock().unwrap().projects.get_mut(project) {
            project.blobs.remove(digest);
        }
    }
}
