//! A server that answers as GitLab's API documentation says, its refusals included, and remembers what it was told.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post, put};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The token that its API wants.
pub(super) const TOKEN: &str = "glpat-of-the-test";

/// What it was told, and how it answers.
#[derive(Default)]
struct State_ {
    /// Commit statuses, in the order in which they were taken.
    statuses: Vec<Value>,
    /// Comments by their number.
    notes: Vec<Value>,
    /// Refuses this many further statuses with 502, as a proxy before a GitLab that restarts.
    away: usize,
    branches: Value,
    tags: Value,
    merge_requests: Value,
    /// How often the last of the lists was asked for.
    looks: usize,
    /// Takes statuses and does not get to say so.
    silent: bool,
    /// Takes this many further comments, and whoever stands before it says 502.
    mute: usize,
}

impl State_ {
    fn add_note(&mut self, mut note: Value) -> Value {
        note["id"] = json!(self.notes.len() + 100);
        self.notes.push(note.clone());
        note
    }
}

/// How far a build is that has this status.
pub(super) fn rank(state: &str) -> usize {
    ["pending", "running", "success"].iter().position(|one| *one == state).unwrap_or(usize::MAX)
}

/// GitLab, as far as the server speaks to it.
#[derive(Clone)]
pub(super) struct GitLab {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State_>>,
    told: watch::Sender<usize>,
}

impl GitLab {
    /// Begins to answer.
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State_ {
            branches: json!([]),
            tags: json!([]),
            merge_requests: json!([]),
            ..State_::default()
        }));
        let gitlab = Self { address, state, told: watch::Sender::new(0) };
        let routes = Router::new()
            .route("/api/v4/projects/{id}/statuses/{sha}", post(status))
            .route("/api/v4/projects/{id}/merge_requests/{iid}/notes", post(note).get(list_notes))
            .route("/api/v4/projects/{id}/merge_requests/{iid}/notes/{note}", put(change_note))
            .route("/api/v4/projects/{id}", get(project))
            .route("/api/v4/projects/{id}/repository/branches", get(branches))
            .route("/api/v4/projects/{id}/repository/tags", get(tags))
            .route("/api/v4/projects/{id}/merge_requests", get(merge_requests))
            .route("/api/v4/projects/{id}/repository/commits/{sha}", get(commit))
            .with_state(gitlab.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        gitlab
    }

    /// Refuses so many statuses.
    pub(super) fn away(&self, times: usize) {
        self.state.lock().unwrap().away = times;
    }

    /// Takes what it is told and gives no answer, as when the connection breaks behind it.
    pub(super) fn silent(&self, silent: bool) {
        self.state.lock().unwrap().silent = silent;
    }

    /// Takes so many comments without saying so.
    pub(super) fn mute(&self, times: usize) {
        self.state.lock().unwrap().mute = times;
    }

    /// Somebody else writes a comment.
    pub(super) fn comment(&self, body: &str) {
        self.state.lock().unwrap().add_note(json!({ "body": body }));
    }

    /// Shows these branches.
    pub(super) fn shows(&self, branches: Value) {
        self.state.lock().unwrap().branches = branches;
    }

    /// Shows these tags and merge requests.
    pub(super) fn shows_more(&self, tags: Value, merge_requests: Value) {
        let mut state = self.state.lock().unwrap();
        (state.tags, state.merge_requests) = (tags, merge_requests);
    }

    /// Waits until everything was looked at so many times more.
    pub(super) async fn until_looked(&self, times: usize) {
        let mut told = self.told.subscribe();
        let wanted = self.state.lock().unwrap().looks + times;
        let reached = told.wait_for(|_| self.state.lock().unwrap().looks >= wanted);
        let reached = tokio::time::timeout(std::time::Duration::from_secs(90), reached).await.map(drop);
        assert!(reached.is_ok(), "it is not looked at");
    }

    /// The names of all statuses.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let state = self.state.lock().unwrap();
        state.statuses.iter().map(|status| status["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The states that a commit's status of this name went through.
    pub(super) fn states(&self, sha: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let of = state.statuses.iter().filter(|status| status["sha"] == sha);
        of.map(|status| status["state"].as_str().unwrap().to_owned()).collect()
    }

    /// The last status of a commit.
    pub(super) fn last(&self, sha: &str) -> Value {
        let state = self.state.lock().unwrap();
        state.statuses.iter().rev().find(|status| status["sha"] == sha).cloned().unwrap_or_default()
    }

    /// The comments as they are now.
    pub(super) fn notes(&self) -> Vec<Value> {
        self.state.lock().unwrap().notes.clone()
    }

    /// Waits until a commit's last status is this one.
    pub(super) async fn until(&self, sha: &str, state: &str) -> Value {
        let mut told = self.told.subscribe();
        let reached = told.wait_for(|_| self.last(sha)["state"] == state);
        let reached = tokio::time::timeout(std::time::Duration::from_secs(90), reached).await.map(drop);
        assert!(reached.is_ok(), "{sha} never is `{state}`: {:?}", self.states(sha));
        self.last(sha)
    }

    /// Waits until a commit is at a status or past it.
    pub(super) async fn until_reached(&self, sha: &str, state: &str) {
        let mut told = self.told.subscribe();
        let reached = told.wait_for(|_| self.states(sha).iter().any(|one| rank(one) >= rank(state)));
        let reached = tokio::time::timeout(std::time::Duration::from_secs(90), reached).await.map(drop);
        assert!(reached.is_ok(), "{sha} never reaches `{state}`: {:?}", self.states(sha));
    }

    /// Waits until there are as many comments.
    pub(super) async fn until_notes(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut told = self.told.subscribe();
        let reached = told.wait_for(|_| wanted(&self.notes()));
        let reached = tokio::time::timeout(std::time::Duration::from_secs(90), reached).await.map(drop);
        assert!(reached.is_ok(), "the comments never are as wanted: {:#?}", self.notes());
        self.notes()
    }

    /// Takes a status, or refuses it.
    fn take(&self, sha: &str, mut status: Value) -> (StatusCode, String) {
        let mut state = self.state.lock().unwrap();
        if state.away > 0 {
            state.away -= 1;
            return (StatusCode::BAD_GATEWAY, "<html>502</html>".to_owned());
        }
        let last = state.statuses.iter().rev().find(|one| one["sha"] == sha && one["name"] == status["name"]);
        if last.is_some_and(|last| last["state"] == status["state"]) {
            let message =
                "Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")";
            return (StatusCode::BAD_REQUEST, json!({ "message": message }).to_string());
        }
        for key in ["name", "description", "target_url"] {
            assert!(status[key].as_str().unwrap().chars().count() <= 255, "{key} is too long for GitLab");
        }
        status["sha"] = json!(sha);
        state.statuses.push(status.clone());
        (StatusCode::CREATED, status.to_string())
    }

    fn heard(&self) {
        self.told.send_modify(|count| *count += 1);
    }
}

fn refusal(headers: &HeaderMap) -> Option<(StatusCode, String)> {
    let token = headers.get("private-token").and_then(|value| value.to_str().ok());
    (token != Some(TOKEN)).then(|| (StatusCode::UNAUTHORIZED, json!({ "message": "401 Unauthorized" }).to_string()))
}

async fn status(
    State(gitlab): State<GitLab>,
    Path((_, sha)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    if let Some(refusal) = refusal(&headers) {
        return refusal;
    }
    let answer = gitlab.take(&sha, serde_json::from_slice(&body).unwrap());
    if answer.0 == StatusCode::CREATED {
        gitlab.heard();
        if gitlab.state.lock().unwrap().silent {
            return std::future::pending().await;
        }
    }
    answer
}

async fn note(State(gitlab): State<GitLab>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    if let Some(refusal) = refusal(&headers) {
        return refusal;
    }
    let mut state = gitlab.state.lock().unwrap();
    let note = state.add_note(serde_json::from_slice(&body).unwrap());
    let is_mute = state.mute > 0;
    state.mute = state.mute.saturating_sub(1);
    drop(state);
    gitlab.heard();
    if is_mute {
        return (StatusCode::BAD_GATEWAY, "<html>502</html>".to_owned());
    }
    (StatusCode::CREATED, note.to_string())
}

/// Which page is asked for.
type Asked = Query<HashMap<String, String>>;

fn page(all: &[Value], Query(asked): &Asked) -> String {
    let number = |key: &str| asked[key].parse::<usize>().unwrap();
    let (page, size) = (number("page"), number("per_page"));
    json!(all.iter().skip((page - 1) * size).take(size).collect::<Vec<_>>()).to_string()
}

async fn list_notes(State(gitlab): State<GitLab>, asked: Asked) -> String {
    page(&gitlab.notes(), &asked)
}

async fn change_note(
    State(gitlab): State<GitLab>,
    Path((_, _, number)): Path<(String, String, usize)>,
    body: Bytes,
) -> (StatusCode, String) {
    let changed: Value = serde_json::from_slice(&body).unwrap();
    let mut state = gitlab.state.lock().unwrap();
    let Some(note) = number.checked_sub(100).and_then(|at| state.notes.get_mut(at)) else {
        return (StatusCode::NOT_FOUND, json!({ "message": "404 Not found" }).to_string());
    };
    note["body"] = changed["body"].clone();
    note["changes"] = json!(note["changes"].as_u64().unwrap_or_default() + 1);
    drop(state);
    gitlab.heard();
    (StatusCode::OK, changed.to_string())
}

async fn project() -> String {
    json!({ "id": 15 }).to_string()
}

async fn branches(State(gitlab): State<GitLab>, asked: Asked) -> String {
    page(gitlab.state.lock().unwrap().branches.as_array().unwrap(), &asked)
}

async fn tags(State(gitlab): State<GitLab>, asked: Asked) -> String {
    page(gitlab.state.lock().unwrap().tags.as_array().unwrap(), &asked)
}

async fn merge_requests(State(gitlab): State<GitLab>, asked: Asked) -> String {
    assert_eq!(asked.0["state"], "opened");
    let mut state = gitlab.state.lock().unwrap();
    state.looks += 1;
    let listed = page(state.merge_requests.as_array().unwrap(), &asked);
    drop(state);
    gitlab.heard();
    listed
}

async fn commit(Path((_, sha)): Path<(String, String)>) -> String {
    let message = if sha.starts_with("bbbb") { "wip [skip ci]" } else { "a change" };
    json!({ "id": sha, "message": message }).to_string()
}
