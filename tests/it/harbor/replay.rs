//! Asks what was recorded again: names of accounts become accounts, digests and sessions become those of this run, and
//! what the recording had set up beforehand is set up.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{headers, setup};
use crate::support::harbor::{ADMIN, Harbor};

pub(super) struct Replay {
    pub(super) harbor: Harbor,
    http: reqwest::Client,
    /// Secrets of robots, by their name on the wire.
    pub(super) secrets: BTreeMap<String, String>,
    /// What was recorded, and what it is in this run: digests, and numbers as `kind/number`.
    pub(super) known: BTreeMap<String, String>,
    /// Locations of upload sessions, the newest last, with the bytes sent.
    sessions: BTreeMap<String, (Vec<String>, Vec<u8>)>,
}

impl Replay {
    pub(super) fn start() -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let harbor = Harbor::start();
        Self {
            harbor,
            http: http.timeout(Duration::from_secs(20)).build().unwrap(),
            secrets: BTreeMap::from([(ADMIN.0.to_owned(), ADMIN.1.to_owned())]),
            known: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    pub(super) fn records() -> Vec<Value> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/harbor/recorded.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asks once; what differs, if anything does.
    pub(super) async fn ask(&mut self, record: &Value) -> Option<String> {
        let (id, request, expected) = (record["id"].as_str().unwrap(), &record["request"], &record["response"]);
        setup::before(self, id).await;
        let method = request["method"].as_str().unwrap();
        let target = request["path"].as_str().unwrap();
        let success = expected["status"].as_u64().unwrap() < 300;
        let mut body = self.body(id, target, request["body"].as_str()).into_bytes();
        if method == "PUT" && target.contains("/manifests/") && (success || id == "manifest-config-not-json") {
            body = self.with_blobs(id, target, body).await;
            if let Some((_, recorded)) = target.split_once("/manifests/sha256:") {
                self.known.insert(recorded.to_owned(), format!("{:x}", HexOf(&Sha256::digest(&body))));
            }
        }
        let path = self.path(id, target, method, &body, success).await;
        let mut sent = self.http.request(method.parse().unwrap(), self.harbor.url(&path));
        for (name, value) in request["headers"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            match name.to_ascii_lowercase().as_str() {
                "authorization" => {
                    if let Some(authorization) = self.authorization(id, value, target).await {
                        sent = sent.header("authorization", authorization);
                    }
                }
                "content-length" | "transfer-encoding" | "connection" | "host" => {}
                _ => sent = sent.header(name, self.translated(value)),
            }
        }
        let answer = match sent.body(body.clone()).send().await {
            Ok(answer) => answer,
            Err(error) => return Some(format!("no answer: {error}")),
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap_or_default();
        // Before this answer is learned from, or it would be as it is expected to be.
        let of_this_run = (self.harbor.host(), &self.known);
        let found = compare(expected, status, &text)
            .or_else(|| headers::differing(id, expected, &headers, (&of_this_run.0, of_this_run.1)));
        self.learn(target, method, expected, &headers, &text);
        found
    }

    /// The body to send; bytes that were only counted are made, equal ones where the recorded digests were equal.
    fn body(&self, id: &str, target: &str, recorded: Option<&str>) -> String {
        let Some(text) = recorded else { return String::new() };
        if let Some(count) = text.strip_prefix('<').and_then(|rest| rest.strip_suffix(" bytes>")) {
            let count: usize = count.parse().unwrap();
            let seed = target.split_once("digest=sha256:").map_or(id, |(_, digest)| digest);
            return format!("{seed} ").repeat(count / (seed.len() + 1) + 1)[..count].to_owned();
        }
        self.translated(&text.replace("<secret>", "OwnSecret1"))
    }

    /// Puts what is of this run in place of what was recorded.
    pub(super) fn translated(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (recorded, live) in self.known.iter().filter(|(recorded, _)| recorded.len() == 64) {
            if out.contains(recorded.as_str()) {
                out = out.replace(recorded.as_str(), live);
            }
        }
        for (key, kind) in [("\"project_id\": ", "projects"), ("\"id\": ", "labels")] {
            if let Some((before, rest)) = out.split_once(key) {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                if let Some(live) = self.known.get(&format!("{kind}/{digits}")) {
                    out = format!("{before}{key}{live}{}", &rest[digits.len()..]);
                }
            }
        }
        out
    }

    async fn path(&mut self, id: &str, target: &str, method: &str, body: &[u8], success: bool) -> String {
        let mut path = self.translated(target);
        for kind in ["projects", "robots", "quotas", "labels"] {
            let infix = format!("/{kind}/");
            if let Some((before, rest)) = path.clone().split_once(&infix) {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                // A quota has the number of its project here.
                let named = format!("{}/{}", if kind == "quotas" { "projects" } else { kind }, &rest[..end]);
                if let Some(live) = self.known.get(&named).filter(|_| !id.contains("numeric")) {
                    path = format!("{before}{infix}{live}{}", &rest[end..]);
                }
            }
        }
        for (start, end) in [("reference_id=", ""), ("ProjectID%3D", ""), ("project_id=", ""), ("/project/", "")] {
            if let Some((before, rest)) = path.clone().split_once(start) {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                if let Some(live) = self.known.get(&format!("projects/{digits}")) {
                    path = format!("{before}{start}{live}{end}{}", &rest[digits.len()..]);
                }
            }
        }
        let Some((repository, rest)) =
            target.split_once("/blobs/uploads/").filter(|(_, rest)| rest.len() >= 36 && !rest.starts_with('?'))
        else {
            return path;
        };
        let session = rest[..36].to_owned();
        if !self.sessions.contains_key(&session) && !session.starts_with("00000000") {
            let begun = self.begin(&repository.replace("/slip/g", "/slip/f")).await;
            let mut locations = vec![begun.clone()];
            if id.starts_with("interrupted") || id.starts_with("upload-status") {
                // Bytes that came in after the location was told.
                let sent = self.request("PATCH", &begun).body("x").send().await.unwrap();
                locations.push(below_v2(sent.headers()["location"].to_str().unwrap()));
            }
            let sent = if locations.len() > 1 { b"x".to_vec() } else { Vec::new() };
            self.sessions.insert(session.clone(), (locations, sent));
        }
        let Some((locations, sent)) = self.sessions.get_mut(&session) else { return path };
        let stale = [
            "old-location",
            "stale",
            "interrupted",
            "chunk-status2",
            "chunk-patch2",
            "chunk-put",
            "chunk-status-after",
        ];
        let old = stale.iter().any(|part| id.contains(part)) && !success && !id.starts_with("chunkok");
        let mut location = if old { locations[0].clone() } else { locations.last().unwrap().clone() };
        if id.contains("without-state") {
            location.truncate(location.find('?').unwrap());
        }
        if id == "upload-location-other-repo" {
            location = location.replacen("/slip/f/", "/slip/g/", 1);
        }
        if method == "PATCH" && success {
            sent.extend_from_slice(body);
        }
        if let Some((_, digest)) = rest.split_once("digest=") {
            let mut whole = sent.clone();
            whole.extend_from_slice(body);
            let live = format!("{:x}", HexOf(&Sha256::digest(&whole)));
            let recorded = digest.trim_start_matches("sha256:");
            let wrong =
                id.contains("wrong-digest") && !success || !digest.starts_with("sha256:") || recorded.len() != 64;
            if !wrong {
                self.known.insert(recorded.to_owned(), live.clone());
            }
            let digest = if wrong { digest.to_owned() } else { format!("sha256:{live}") };
            let digest = if id == "chunk-hole-put" { format!("sha256:{}", "0".repeat(64)) } else { digest };
            let glue = if location.contains('?') { '&' } else { '?' };
            location = format!("{location}{glue}digest={digest}");
        }
        location
    }

    /// Begins an upload that the recording had begun without showing it.
    async fn begin(&self, repository: &str) -> String {
        let faults = std::mem::take(&mut self.harbor.state().faults);
        let url = self.harbor.url(&format!("{repository}/blobs/uploads/"));
        let begun = self.http.post(url).basic_auth(ADMIN.0, Some(ADMIN.1)).send().await.unwrap();
        self.harbor.state().faults = faults;
        let location = begun.headers().get("location").map_or("", |value| value.to_str().unwrap());
        below_v2(location)
    }

    /// A manifest that is taken names blobs that are there: those that were not recorded are sent.
    async fn with_blobs(&mut self, id: &str, target: &str, body: Vec<u8>) -> Vec<u8> {
        let Ok(mut manifest) = serde_json::from_slice::<Value>(&body) else { return body };
        let repository = target.split("/manifests/").next().unwrap().trim_start_matches("/v2/").to_owned();
        let mut text = String::from_utf8(body).unwrap();
        let mut blobs: Vec<(Value, bool)> = vec![(manifest["config"].take(), true)];
        blobs.extend(manifest["layers"].as_array().into_iter().flatten().map(|layer| (layer.clone(), false)));
        for (blob, config) in blobs {
            let Some(digest) = blob["digest"].as_str() else { continue };
            if blob["mediaType"].as_str().is_some_and(|kind| kind.contains("foreign")) {
                continue;
            }
            let url = self.harbor.url(&format!("/v2/{repository}/blobs/{digest}"));
            let there = self.http.head(url).basic_auth(ADMIN.0, Some(ADMIN.1)).send().await.unwrap();
            if there.status().is_success() {
                continue;
            }
            let hex = digest.trim_start_matches("sha256:");
            let empty = format!("{:x}", HexOf(&Sha256::digest(b"{}")));
            let content = if config && id == "manifest-config-not-json" {
                "not json".to_owned()
            } else if hex == empty {
                "{}".to_owned()
            } else if config {
                json!({ "architecture": "amd64", "os": "linux", "config": { "Env": [hex] } }).to_string()
            } else {
                format!("blob {hex}")
            };
            let live = setup::blob(self, &repository, content.into_bytes()).await;
            text = text.replace(hex, &live);
            self.known.insert(hex.to_owned(), live);
        }
        for child in manifest["manifests"].as_array().into_iter().flatten() {
            let hex = child["digest"].as_str().unwrap_or_default().trim_start_matches("sha256:").to_owned();
            let url = self.harbor.url(&format!("/v2/{repository}/manifests/sha256:{hex}"));
            let there = self.http.head(url).basic_auth(ADMIN.0, Some(ADMIN.1));
            let there = there.header("accept", child["mediaType"].as_str().unwrap_or_default());
            if there.send().await.unwrap().status().is_success() {
                continue;
            }
            let live = setup::image(self, &format!("{repository}:child-{}", &hex[..8]), None).await;
            text = text.replace(&hex, &live);
            self.known.insert(hex, live);
        }
        text.into_bytes()
    }

    /// The header that stands for a placeholder; none for an anonymous request.
    async fn authorization(&self, id: &str, value: &str, target: &str) -> Option<String> {
        use base64::Engine as _;
        let (kind, name) = value.split_once(' ')?;
        let name = name.trim_start_matches('<').trim_end_matches('>');
        if kind == "Basic" {
            if name == "not base64" {
                return Some("Basic !".to_owned());
            }
            let name = name.trim_end_matches(":password");
            let wrong = ["bad", "nosuch-", "garbage"].iter().any(|part| id.contains(part) && !id.contains("badname"))
                && [
                    "project-create-badpw",
                    "token-badpw",
                    "v2-basic-bad",
                    "badsecret",
                    "users-current-bad",
                    "permissions-bad",
                ]
                .iter()
                .any(|part| id.contains(part));
            let secret = self.secrets.get(name).filter(|_| !wrong).map_or("Wrong12345", String::as_str);
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}"));
            return Some(format!("Basic {pair}"));
        }
        if id == "v2-bearer-garbage" {
            return Some("Bearer garbage".to_owned());
        }
        Some(format!("Bearer {}", setup::token(self, id, name, target).await))
    }

    /// A token of an account for these projects.
    pub(super) async fn token(&self, account: Option<&str>, scopes: &[&str]) -> String {
        let mut url = url::Url::parse(&self.harbor.url("/service/token")).unwrap();
        url.query_pairs_mut().append_pair("service", "harbor-registry");
        for scope in scopes {
            url.query_pairs_mut().append_pair("scope", &format!("repository:{scope}:pull,push"));
        }
        let mut request = self.http.get(url);
        if let Some(name) = account {
            request = request.basic_auth(name, Some(self.secrets.get(name).map_or("Wrong12345", String::as_str)));
        }
        let answer = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&answer).unwrap_or_default()["token"].as_str().unwrap_or_default().to_owned()
    }

    /// Asks as the administrator, for what has to be there.
    pub(super) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), self.harbor.url(path)).basic_auth(ADMIN.0, Some(ADMIN.1))
    }

    /// Keeps what later records name: sessions, digests, numbers, secrets.
    fn learn(
        &mut self,
        target: &str,
        method: &str,
        expected: &Value,
        headers: &reqwest::header::HeaderMap,
        text: &str,
    ) {
        let live = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let old = |name: &str| expected["headers"][name].as_str().unwrap_or_default().to_owned();
        let (was, is) = (old("Location"), live("location"));
        if let Some((_, session)) = was.split_once("/blobs/uploads/").filter(|_| is.contains("/blobs/uploads/")) {
            let path = below_v2(&is);
            self.sessions.entry(session[..36].to_owned()).or_default().0.push(path);
        }
        for kind in ["projects", "labels"] {
            if let (Some((_, was)), Some((_, is))) =
                (was.split_once(&format!("/{kind}/")), is.split_once(&format!("/{kind}/")))
            {
                self.known.insert(format!("{kind}/{was}"), is.to_owned());
            }
        }
        let (was, is) = (old("Docker-Content-Digest"), live("docker-content-digest"));
        if was.starts_with("sha256:") && is.starts_with("sha256:") && was != is {
            self.known.insert(was[7..].to_owned(), is[7..].to_owned());
        }
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let recorded: Value =
            expected["body"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if method == "POST" && target.ends_with("/robots") && body["secret"].is_string() {
            self.secrets.insert(body["name"].as_str().unwrap().to_owned(), body["secret"].as_str().unwrap().to_owned());
            self.known.insert(format!("robots/{}", recorded["id"]), body["id"].to_string());
        }
        if method == "PATCH" && target.contains("/robots/") {
            let robots: Vec<_> =
                self.harbor.state().robots.iter().map(|robot| (robot.name.clone(), robot.secret.clone())).collect();
            let prefix = self.harbor.state().robot_prefix.clone();
            self.secrets.extend(robots.into_iter().map(|(name, secret)| (format!("{prefix}{name}"), secret)));
        }
    }
}

/// The path of a location.
fn below_v2(location: &str) -> String {
    location.split_once("/v2/").map(|(_, rest)| format!("/v2/{rest}")).unwrap_or_default()
}

/// Bytes in hexadecimal.
pub(super) struct HexOf<'a>(pub(super) &'a [u8]);

impl std::fmt::LowerHex for HexOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What differs between the recorded answer and this one.
fn compare(expected: &Value, status: u16, text: &str) -> Option<String> {
    if expected["status"] != status {
        return Some(format!(
            "status {status}, was {}: {}",
            expected["status"],
            text.chars().take(200).collect::<String>()
        ));
    }
    let error = |text: &str| {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let first = &body["errors"][0];
        let words = first["message"].as_str().unwrap_or_default().split("failed:").next().unwrap_or_default();
        let words = words.split(['\n', '"', '(']).next().unwrap_or_default();
        let words: Vec<&str> = words
            .split_whitespace()
            .filter(|word| !word.contains("sha256:") && !word.starts_with(|c: char| c.is_ascii_digit()))
            .collect();
        (first["code"].as_str().unwrap_or_default().to_owned(), words.join(" "))
    };
    let recorded = error(expected["body"].as_str().unwrap_or_default());
    // Harbor's own sentences are compared; those of the registry behind are the registry's.
    let live = error(text);
    if recorded != live {
        return Some(format!("{live:?}, was {recorded:?}"));
    }
    let (recorded, live) = (components(expected["body"].as_str().unwrap_or_default()), components(text));
    if recorded != live {
        return Some(format!("{live:?}, was {recorded:?}"));
    }
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    invented(&json(expected["body"].as_str().unwrap_or_default()), &json(text), "")
}

/// What is an image's or a project's own, and another's here.
const OWN: [&str; 3] = ["/extra_attrs", "/manifests/annotations", "/metadata"];

/// What the Harbor for tests says and the real one does not: a client that reads it would find nothing there.
fn invented(recorded: &Value, live: &Value, at: &str) -> Option<String> {
    match (recorded, live) {
        (Value::Object(recorded), Value::Object(live)) => live.iter().find_map(|(key, value)| {
            let at = format!("{at}/{key}");
            match recorded.get(key) {
                _ if OWN.contains(&at.as_str()) => None,
                Some(recorded) => invented(recorded, value, &at),
                None => Some(format!("{at} is not there")),
            }
        }),
        (Value::Array(recorded), Value::Array(live)) => {
            let first = recorded.first()?;
            live.iter().find_map(|value| invented(first, value, at))
        }
        (Value::Null, _) | (_, Value::Null) => None,
        (recorded, live) => (std::mem::discriminant(recorded) != std::mem::discriminant(live))
            .then(|| format!("{at}: `{live}`, was `{recorded}`")),
    }
}

/// The parts of Harbor that an answer about its health names, and how they are.
fn components(text: &str) -> Vec<(String, String)> {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let components = body["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    components.iter().map(|component| (text(&component["name"]), text(&component["status"]))).collect()
}
