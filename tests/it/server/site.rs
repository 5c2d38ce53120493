//! A server with a configuration of its own, an application, and somebody who asks it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::timeout;

use super::gitlab::{GitLab, TOKEN};
use crate::services::{run, service};
use crate::support::fleet::Repository;
use crate::support::slipway::{PRODUCT_LINE, Slipway};

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// The secret token of the webhook.
pub(super) const SECRET: &str = "hook-of-the-test";

/// A toolchain of tests: runs the repository's own script, and puts its files into an image.
const SCRIPT: &str = r#"
name = "script"
title = "Script"

[detect]
files = ["build.sh"]

[run]
"" = "debian"

[[steps]]
step = "compile"
command = ["sh", "build.sh"]

[library]
coordinates = "script"
repository = "nowhere"

[image]
workdir = "/app"
command = ["/bin/sh", "/app/build.sh"]
layers = [{ name = "application", from = "source", to = "/app" }]
"#;

/// A configuration and a directory of a server's own.
pub(super) struct Site {
    pub(super) slipway: Slipway,
    pub(super) gitlab: GitLab,
    pub(super) state: tempfile::TempDir,
}

/// A server that runs.
pub(super) struct Server {
    pub(super) child: Child,
    log: PathBuf,
    out: PathBuf,
    pub(super) url: String,
    pub(super) http: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Site {
    /// With settings of the test's own: `SECTION__KEY` and the value.
    pub(super) async fn new(settings: &[(&str, &str)]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let catalog = state.path().join("catalog/toolchains/script");
        std::fs::create_dir_all(&catalog).unwrap();
        std::fs::write(catalog.join("toolchain.toml"), SCRIPT).unwrap();
        let gitlab = GitLab::start().await;
        let place = state.path().display();
        let hook = |name: &str| format!("[credentials.{name}]\npassword = {{ file = \"{place}/{name}\" }}\n");
        for (name, text) in [("hook", SECRET), ("hook-next", "hook-of-tomorrow"), ("api", TOKEN)] {
            std::fs::write(state.path().join(name), text).unwrap();
        }
        let host = gitlab.address;
        let secret = |name: &str| {
            format!("[credentials.{name}]\npassword = {{ file = \"{place}/{name}\" }}\nhosts = [\"{host}\"]\n")
        };
        let config = format!(
            "[sources]\nallow = [\"{git}/\"]\n{hook}{next}{api}\
             [server]\nlisten = \"127.0.0.1:0\"\ndirectory = \"{place}/server\"\n\
             [server.gitlab]\nurl = \"http://{host}\"\ncredentials = \"api\"\nwebhook_secrets = [\"hook\", \"hook-next\"]\nreconcile = \"0s\"\n\
             [amqp]\nretry_delays = [\"1s\", \"1s\"]\n\
             [worker]\nname = \"tester\"\ngrace = \"20s\"\n",
            git = service("SLIPWAY_TEST_GIT"),
            hook = hook("hook"),
            next = hook("hook-next"),
            api = secret("api"),
        );
        let mut slipway = Slipway::new()
            .and(&config)
            .env("SLIPWAY__BUILD__CATALOG", &state.path().join("catalog").display().to_string())
            .env("SLIPWAY__BUILD__RUNNER", "host")
            .env("SLIPWAY__BUILD__START_CHECK__ENABLED", "false");
        for (key, value) in settings {
            slipway = slipway.env(&format!("SLIPWAY__{key}"), value);
        }
        Self { slipway, gitlab, state }
    }

    /// Starts a server, and waits until it answers.
    pub(super) async fn start(&self) -> Server {
        self.start_with(&[]).await
    }

    /// The same with other settings than the site's: `SECTION__KEY` and the value.
    pub(super) async fn start_with(&self, settings: &[(&str, &str)]) -> Server {
        let name = uuid::Uuid::now_v7().simple();
        let (log, out) = (self.state.path().join(format!("{name}.log")), self.state.path().join(format!("{name}.out")));
        let mut command = self.slipway.command(&["server".to_owned()]);
        command.envs(settings.iter().map(|(key, value)| (format!("SLIPWAY__{key}"), value)));
        command.stdout(std::fs::File::create(&out).unwrap()).stderr(std::fs::File::create(&log).unwrap());
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut server = Server { child, log, out, url: String::new(), http };
        server.says("the server answers").await;
        let text = server.log();
        let address = text.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().to_owned();
        server.url = format!("http://{address}");
        if !self.token_file().is_file() {
            let said = server.out();
            let token =
                said.split("once: ").nth(1).unwrap_or_else(|| panic!("no token is shown: {said}\n{}", server.log()));
            std::fs::write(self.token_file(), token.trim()).unwrap();
        }
        server
    }

    fn token_file(&self) -> PathBuf {
        self.state.path().join("admin")
    }

    /// The admin token.
    pub(super) fn token(&self) -> String {
        std::fs::read_to_string(self.token_file()).unwrap()
    }

    /// Makes a repository's application known.
    pub(super) async fn application(&self, server: &Server, repository: &Repository, differs: Value) {
        let mut application = json!({
            "product_line": PRODUCT_LINE, "name": repository.name, "repository": repository.url, "kind": "library",
        });
        for (key, value) in differs.as_object().into_iter().flatten() {
            application[key] = value.clone();
        }
        let path = format!("/api/v1/applications/{PRODUCT_LINE}/{}", repository.name);
        let answer = self.ask(server, "PUT", &path, Some(&application)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Asks as the admin.
    pub(super) async fn ask(&self, server: &Server, method: &str, path: &str, body: Option<&Value>) -> Answer {
        server.ask(method, path, Some(&self.token()), body).await
    }

    /// Waits until a build is in a state, and gives it.
    pub(super) async fn until(&self, server: &Server, id: &str, state: &str) -> Value {
        let reached = async {
            loop {
                let build = self.ask(server, "GET", &format!("/api/v1/builds/{id}"), None).await.json();
                if build["state"] == state {
                    return build;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if let Ok(build) = timeout(PATIENCE, reached).await {
            return build;
        }
        let build = self.ask(server, "GET", &format!("/api/v1/builds/{id}"), None).await.text;
        panic!("the build never is `{state}`: {build}\n{}", server.log());
    }
}

impl Server {
    /// Waits until the metrics hold a line.
    pub(super) async fn until_measured(&self, line: &str) {
        let reached = async {
            while !self.ask("GET", "/metrics", None, None).await.text.contains(line) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "never `{line}`: {}", self.ask("GET", "/metrics", None, None).await.text);
    }

    /// Asks.
    pub(super) async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.send(request).await
    }

    /// Sends what GitLab would, with its secret token.
    pub(super) async fn hook(&self, payload: &Value, key: &str) -> Answer {
        self.hook_with(payload, &[("x-gitlab-token", SECRET), ("idempotency-key", key)]).await
    }

    /// The same with any headers.
    pub(super) async fn hook_with(&self, payload: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.post(format!("{}/webhooks/gitlab", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.header("content-type", "application/json").body(payload.to_string())).await
    }

    /// Sends a request, and reads all of the answer.
    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = timeout(PATIENCE, request.send()).await.expect("the server answers in time");
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}\n{}", self.log()));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.unwrap() }
    }

    /// Waits until the log has these words.
    pub(super) async fn says(&self, words: &str) {
        let said = async {
            while !self.log().contains(words) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("the server never says `{words}`:\n{}", self.log()));
    }

    /// What it has written.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn out(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }

    /// Sends a signal by name.
    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the server runs").to_string();
        run(Path::new("/"), &["kill", "-s", name, &pid]);
    }

    /// Waits for its end and gives the exit code.
    pub(super) async fn end(&mut self) -> Option<i32> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("the server never ends:\n{}", self.log())).unwrap().code()
    }
}

/// What GitLab sends when somebody pushes to a branch (GitLab documentation, "Push events").
pub(super) fn push(repository: &Repository, branch: &str, message: &str) -> Value {
    let path = repository.url.strip_suffix(".git").unwrap().splitn(4, '/').nth(3).unwrap();
    json!({
        "object_kind": "push", "event_name": "push", "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
        "after": repository.commit, "ref": format!("refs/heads/{branch}"), "ref_protected": true,
        "checkout_sha": repository.commit, "user_id": 4, "user_name": "John Smith", "user_username": "jsmith",
        "project_id": 15,
        "project": {
            "id": 15, "name": "Order", "web_url": "http://example.com/mike/order", "path_with_namespace": path,
            "git_http_url": "http://evil.example.com/other.git", "default_branch": "main", "visibility_level": 0
        },
        "commits": [{
            "id": repository.commit, "message": message, "title": message, "timestamp": "2026-11-21T23:36:29+02:00",
            "author": { "name": "Ada", "email": "ada@example.com" }, "added": ["CHANGELOG"], "modified": [], "removed": []
        }],
        "total_commits_count": 1
    })
}
