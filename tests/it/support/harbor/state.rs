//! What the Harbor knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use serde_json::{Value, json};

use super::who::Who;

/// Everything; one lock is enough for tests.
pub(crate) struct State {
    pub(crate) projects: BTreeMap<String, Project>,
    pub(crate) robots: Vec<Robot>,
    /// Passwords of people.
    pub(crate) users: BTreeMap<String, String>,
    pub(crate) labels: Vec<Value>,
    pub(crate) read_only: bool,
    /// Whether only administrators (and system robots) create projects.
    pub(crate) admin_only: bool,
    /// Life of a token.
    pub(crate) token_minutes: i64,
    pub(crate) robot_prefix: String,
    pub(crate) faults: Faults,
    /// Whether there is a scanner.
    pub(crate) scanner: bool,
    /// What a scan of a repository finds; a repository that is not here is clean.
    pub(crate) findings: BTreeMap<String, Scanned>,
    /// Requests with their `X-Request-Id`.
    pub(crate) requests: Vec<(String, Option<String>)>,
    /// Logins that were refused; each costs a real Harbor 1.5 s.
    pub(crate) refused_logins: u32,
    /// What happens when a request comes.
    pub(crate) when: Option<When>,
    pub(super) tokens: HashMap<String, Token>,
    /// Bytes that came by `PATCH`.
    pub(crate) received: u64,
    /// Bytes of unfinished uploads, by session.
    pub(super) uploads: HashMap<String, u64>,
    ids: u64,
}

/// Told of every request (`METHOD /path`) and its length before it is answered; may change anything, and have it answered
/// in another way.
pub(crate) type When = Box<dyn FnMut(&mut State, &str, u64) -> Option<Instead> + Send>;

/// What comes instead of an answer.
pub(crate) enum Instead {
    /// An error of Harbor's: status, code and message.
    Error(u16, &'static str, &'static str),
    /// A page of the proxy in front.
    Page(u16),
    /// The same, with this `Retry-After`.
    Later(u16, &'static str),
    /// The connection ends when a part of the body has come.
    Cut,
    /// The usual answer, but not before this is told or dropped; meanwhile no byte of the body is read.
    Held(tokio::sync::oneshot::Receiver<()>),
}

/// What is broken.
#[derive(Default, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each part may be down")]
pub(crate) struct Faults {
    pub(crate) database: bool,
    pub(crate) core: bool,
    pub(crate) registry: bool,
    pub(crate) disk_full: bool,
    pub(crate) redis: bool,
    /// Whether it has not noticed yet that its database is away; what works off jobs has.
    pub(crate) late: bool,
    /// Its pages for people, which nobody else needs; Harbor is unhealthy without them all the same.
    pub(crate) portal: bool,
    /// Whether the proxy in front turns a refusal in the middle of a large body into a 502.
    pub(crate) refusals_break: bool,
}

/// A token and what it lets its bearer do.
pub(super) struct Token {
    pub(super) who: Who,
    /// Actions by project.
    pub(super) access: BTreeMap<String, BTreeSet<String>>,
    pub(super) issued: Instant,
    pub(super) seconds: i64,
}

#[derive(Default)]
pub(crate) struct Project {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Bytes that it may hold; none is without limit.
    pub(crate) limit: Option<u64>,
    /// Whether it mirrors another registry.
    pub(crate) proxy: bool,
    /// Sizes by digest: each counts once.
    pub(crate) blobs: BTreeMap<String, u64>,
    pub(crate) repositories: BTreeMap<String, Repository>,
    pub(crate) immutable: Vec<Value>,
    pub(crate) members: BTreeMap<String, u64>,
}

#[derive(Default)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) artifacts: BTreeMap<String, Artifact>,
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
pub(crate) struct Artifact {
    pub(crate) id: u64,
    pub(crate) manifest: Value,
    pub(crate) media_type: String,
    /// Bytes of the manifest and of what it names.
    pub(crate) size: u64,
    pub(crate) length: u64,
    /// The subject's digest and the accessory's type.
    pub(crate) accessory: Option<(String, &'static str)>,
    pub(crate) config: Value,
    pub(crate) labels: Vec<u64>,
    pub(crate) scan: Option<Scan>,
}

/// A scan that was asked for.
#[derive(Clone, Default)]
pub(crate) struct Scan {
    /// How often it was looked at: the first look sees it running.
    pub(crate) looks: u32,
}

/// How a scan ends.
#[derive(Clone)]
pub(crate) enum Scanned {
    /// With these: CVE and severity.
    Found(Vec<(String, String)>),
    /// In an error.
    Failed,
    /// Never.
    Running,
}

#[derive(Clone)]
pub(crate) struct Robot {
    pub(crate) id: u64,
    /// `project+name` or `name`, without the prefix.
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) disabled: bool,
    pub(crate) expired: bool,
    pub(crate) duration: i64,
    pub(crate) level: String,
    /// As the API takes and gives them.
    pub(crate) permissions: Value,
}

impl State {
    pub(super) fn new() -> Self {
        let mut state = Self {
            projects: BTreeMap::new(),
            robots: Vec::new(),
            users: BTreeMap::from([(super::ADMIN.0.to_owned(), super::ADMIN.1.to_owned())]),
            labels: Vec::new(),
            read_only: false,
            admin_only: false,
            token_minutes: 30,
            robot_prefix: "robot$".to_owned(),
            faults: Faults { refusals_break: true, ..Faults::default() },
            scanner: true,
            findings: BTreeMap::new(),
            requests: Vec::new(),
            refused_logins: 0,
            when: None,
            tokens: HashMap::new(),
            received: 0,
            uploads: HashMap::new(),
            ids: 0,
        };
        let public = BTreeMap::from([("public".to_owned(), "true".to_owned())]);
        state.create("library", Project { metadata: public, ..Project::default() });
        state
    }

    /// Lets a token expire, so many seconds ago.
    pub(crate) fn age(&mut self, token: &str, seconds: i64) {
        if let Some(token) = self.tokens.get_mut(token).filter(|_| seconds > 0) {
            token.seconds = -seconds;
        }
    }

    /// Lets every token expire that was given out, so many seconds ago.
    pub(crate) fn age_all(&mut self, seconds: i64) {
        self.tokens.values_mut().for_each(|token| token.seconds = -seconds);
    }

    /// A number that nothing else has.
    pub(super) fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Enters a project and gives its number.
    pub(crate) fn create(&mut self, name: &str, mut project: Project) -> u64 {
        project.id = self.id();
        name.clone_into(&mut project.name);
        let id = project.id;
        project.metadata.entry("public".to_owned()).or_insert_with(|| "false".to_owned());
        self.projects.insert(name.to_owned(), project);
        id
    }

    /// Enters a robot and gives its name on the wire.
    pub(crate) fn enrol(&mut self, mut robot: Robot) -> String {
        robot.id = self.id();
        let name = format!("{}{}", self.robot_prefix, robot.name);
        self.robots.push(robot);
        name
    }

    /// The project and repository that `p/r` names, and the rest.
    pub(crate) fn repository(&self, full: &str) -> Option<&Repository> {
        let (project, name) = full.split_once('/')?;
        self.projects.get(project)?.repositories.get(name)
    }

    pub(crate) fn repository_mut(&mut self, full: &str) -> Option<&mut Repository> {
        let (project, name) = full.split_once('/')?;
        self.projects.get_mut(project)?.repositories.get_mut(name)
    }
}

impl Project {
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.metadata.get(key).is_some_and(|value| value == "true")
    }

    pub(crate) fn used(&self) -> u64 {
        self.blobs.values().sum()
    }
}

impl Repository {
    /// The digest that a tag or digest names.
    pub(crate) fn resolve(&self, reference: &str) -> Option<String> {
        if self.artifacts.contains_key(reference) {
            return Some(reference.to_owned());
        }
        self.tags.get(reference).cloned()
    }
}

impl Robot {
    pub(crate) fn of_project(project: &str, name: &str, rights: &[&str]) -> Self {
        let permissions = json!([permission("project", project, rights)]);
        Self::new(format!("{project}+{name}"), "project", permissions)
    }

    pub(crate) fn of_system(name: &str, everywhere: &[&str], system: &[&str]) -> Self {
        let permissions = json!([permission("project", "*", everywhere), permission("system", "/", system)]);
        Self::new(name.to_owned(), "system", permissions)
    }

    pub(super) fn new(name: String, level: &str, permissions: Value) -> Self {
        let secret = secret();
        let level = level.to_owned();
        Self { id: 0, name, secret, disabled: false, expired: false, duration: -1, level, permissions }
    }

    /// Whether it has the right in a project, or on the whole (`/`).
    pub(super) fn may(&self, namespace: &str, resource: &str, action: &str) -> bool {
        let permissions = self.permissions.as_array().map(Vec::as_slice).unwrap_or_default();
        let kind = if namespace == "/" { "system" } else { "project" };
        permissions.iter().any(|permission| {
            let here = permission["namespace"] == namespace || permission["namespace"] == "*";
            let access = permission["access"].as_array().map(Vec::as_slice).unwrap_or_default();
            let fits = |entry: &Value, action: &str| entry["resource"] == resource && entry["action"] == action;
            let implied = resource == "repository" && action == "pull";
            permission["kind"] == kind
                && here
                && access.iter().any(|entry| fits(entry, action) || (implied && fits(entry, "push")))
        })
    }
}

fn permission(kind: &str, namespace: &str, rights: &[&str]) -> Value {
    let access: Vec<Value> = rights
        .iter()
        .filter_map(|right| right.split_once(':'))
        .map(|(resource, action)| json!({ "resource": resource, "action": action }))
        .collect();
    json!({ "kind": kind, "namespace": namespace, "access": access })
}

/// A secret with upper case, lower case and digits, as Harbor makes them.
pub(super) fn secret() -> String {
    format!("S1{}", uuid::Uuid::now_v7().simple())
}
