//! `POST /webhooks/gitlab`: who sends it is checked over its raw body, and it is answered when it is on the disk.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use super::super::application::Application;
use super::super::http::client::Client;
use super::super::http::json_text;
use super::super::http::problem::Problem;
use super::super::store::applications::Stored;
use super::super::store::builds::Build;
use super::super::store::deliveries::{self, Answered};
use super::super::{Shared, ask, hash};
use super::decide::{Asked, decide};
use super::payload::Payload;
use super::project;
use super::secrets::shown;
use crate::model::failure::Failure;

/// The most that GitLab sends.
const LARGEST: usize = 25 << 20;

/// What became of a delivery.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// The builds that were asked for.
    builds: Vec<String>,
    /// What was not built, and why.
    ignored: Vec<Ignored>,
}

#[derive(Debug, Serialize)]
struct Ignored {
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    reason: String,
}

/// Takes a delivery.
pub(in crate::server) async fn receive(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, stream) = request.into_parts();
    let client = head.extensions.get::<Client>().copied();
    let known = known(&shared, &head.headers).await;
    if !known && client.is_some_and(|Client(address)| !shared.limiter.has(address)) {
        return Err(Problem::too_many());
    }
    let taken = take(&shared, &head.headers, stream).await;
    if let (Err(Problem { status: 401, .. }), Some(Client(address))) = (&taken, client) {
        shared.limiter.takes(address);
    }
    taken
}

/// Whether a delivery shows the server's own secret token, which takes no look at its body.
async fn known(shared: &Shared, headers: &HeaderMap) -> bool {
    let (current, mut secrets) = (shared.current(), Vec::new());
    for name in &current.config.server.gitlab.webhook_secrets {
        secrets.extend(shared.gitlab.secrets.of(&current.config, name, "*").await);
    }
    // A signature is over the body; without it, none fits.
    shown(&secrets, headers, b"", 0).contains(&true)
}

async fn take(shared: &Arc<Shared>, headers: &HeaderMap, stream: Body) -> Result<Response, Problem> {
    if !["x-gitlab-token", "webhook-signature"].iter().any(|name| headers.contains_key(*name)) {
        return Err(Problem::unauthorized("there is neither a secret token nor a signature"));
    }
    let housed = shared.room.read(stream, LARGEST).await?;
    let raw = &housed.bytes;
    let payload = Payload::read(raw);
    let project = payload.as_ref().map(|payload| payload.project.path_with_namespace.as_str()).unwrap_or_default();
    let mut found = Vec::new();
    for path in project::paths(&shared.current().config, project) {
        found.extend(shared.store.of_repository(&path).await?);
    }
    let applications = authentic(shared, headers, raw, &found).await?;
    let payload = payload.ok_or_else(|| Problem::bad_request("the body is not what GitLab sends: JSON of an event"))?;
    let key = format!("gitlab:{}", delivery_key(headers, raw));
    if let Some(answered) = shared.store.answered(&key).await? {
        return repeated(&answered, raw);
    }
    let (answer, builds) = consider(&payload, &applications);
    let status = if builds.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let text = serde_json::to_string(&answer).unwrap_or_default();
    let answered = Answered { body_hash: hash(raw), status: status.as_u16(), answer: text };
    if !written(shared, &key, &answered, &builds).await? {
        // The same delivery came twice at once, and the other was faster.
        let answered = shared.store.answered(&key).await?.unwrap_or(answered);
        return repeated(&answered, raw);
    }
    ask::asked(shared, &builds);
    Ok(json_text(status, answered.answer))
}

/// Writes the answer with what it speaks of; says whether its key was free.
async fn written(shared: &Arc<Shared>, key: &str, answered: &Answered, builds: &[Build]) -> Result<bool, Failure> {
    let (own, key, answered, builds) = (shared.clone(), key.to_owned(), answered.clone(), builds.to_vec());
    let write = shared.store.together(move |change| {
        Box::pin(async move {
            let free = deliveries::answer(change, &key, &answered).await?;
            for build in builds.iter().filter(|_| free) {
                ask::ask(&own, change, build).await?;
            }
            Ok(free)
        })
    });
    write.await
}

/// The applications that whoever sent this may have built.
async fn authentic(
    shared: &Shared,
    headers: &HeaderMap,
    raw: &[u8],
    found: &[Stored],
) -> Result<Vec<Application>, Problem> {
    let applications: Vec<Application> =
        found.iter().filter_map(|stored| Application::stored(&stored.body).ok()).collect();
    let current = shared.current();
    let common = &current.config.server.gitlab.webhook_secrets;
    // Whose secrets they are: the server's, or those of an application by its place in the list.
    let mut names: Vec<(Option<usize>, &str, &str)> = common.iter().map(|name| (None, name.as_str(), "*")).collect();
    for (place, application) in applications.iter().enumerate() {
        let own = application.webhook_secrets.iter();
        names.extend(own.map(|name| (Some(place), name.as_str(), application.product_line.as_str())));
    }
    let mut secrets = Vec::new();
    for (_, name, product_line) in &names {
        let secret = shared.gitlab.secrets.of(&current.config, name, product_line).await;
        secrets.push(
            secret
                .inspect_err(|failure| tracing::error!(error = %failure, "a webhook's secret is missing"))
                .unwrap_or_default(),
        );
    }
    let now = crate::clock::since_epoch().as_secs();
    let shown = shown(&secrets, headers, raw, now);
    let known: Vec<Option<usize>> =
        names.iter().zip(shown).filter(|(_, shown)| *shown).map(|((whose, ..), _)| *whose).collect();
    if known.is_empty() {
        return Err(Problem::unauthorized("neither the secret token nor the signature is one that is known here"));
    }
    let permitted = |(place, application): &(usize, Application)| {
        let whose = (!application.webhook_secrets.is_empty()).then_some(*place);
        known.contains(&whose)
    };
    Ok(applications.into_iter().enumerate().filter(permitted).map(|(_, application)| application).collect())
}

/// What tells a delivery from its repetition: GitLab's key, or the body where an older server sends none.
fn delivery_key(headers: &HeaderMap, raw: &[u8]) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    text("webhook-id")
        .or_else(|| text("idempotency-key"))
        .map_or_else(|| hash(raw), |key| key.chars().take(200).collect())
}

fn repeated(answered: &Answered, raw: &[u8]) -> Result<Response, Problem> {
    if answered.body_hash != hash(raw) {
        return Err(Problem::conflict("another delivery came under the same key before"));
    }
    Ok(json_text(StatusCode::OK, answered.answer.clone()))
}

fn consider(payload: &Payload, applications: &[Application]) -> (Answer, Vec<Build>) {
    let (mut answer, mut builds) = (Answer::default(), Vec::new());
    let day = crate::clock::now().chars().take(10).collect::<String>();
    for application in applications {
        match considered(payload, application, &day) {
            Ok(Ok(build)) => {
                answer.builds.push(build.id.clone());
                builds.push(build);
            }
            Ok(Err(reason)) => answer.ignored.push(Ignored {
                application: Some(format!("{}/{}", application.product_line, application.name)),
                reason,
            }),
            Err(failure) => answer
                .ignored
                .push(Ignored { application: Some(application.name.to_string()), reason: failure.message }),
        }
    }
    if applications.is_empty() {
        let reason = "no application is built from this repository".to_owned();
        answer.ignored.push(Ignored { application: None, reason });
    }
    (answer, builds)
}

fn considered(payload: &Payload, application: &Application, day: &str) -> Result<Result<Build, String>, Failure> {
    let asked = match decide(payload, application) {
        Ok(asked) => asked,
        Err(reason) => return Ok(Err(reason)),
    };
    let who = [&payload.user_username, &payload.user.username].into_iter().find(|name| !name.is_empty());
    let who =
        who.map_or_else(|| "gitlab".to_owned(), |name| format!("gitlab:{}", name.chars().take(80).collect::<String>()));
    asked_for(application, asked, &who, day).map(Ok)
}

/// The build that is asked for, with those who hear of it.
pub(super) fn asked_for(application: &Application, asked: Asked, who: &str, day: &str) -> Result<Build, Failure> {
    let message = application.message(ask::new_id(), &asked.wanted, day)?;
    let mut build = Build::asked(&message, asked.cause, who)?;
    build.title = asked.title;
    if application.notify.commit_status || application.notify.merge_request {
        let mut place = asked.place;
        place.merge_request = place.merge_request.filter(|_| application.notify.merge_request);
        place.project = if application.notify.commit_status { place.project } else { 0 };
        build.gitlab = serde_json::to_string(&place).unwrap_or_default();
    }
    Ok(build)
}
