//! Robots: accounts of programs, made with the least rights, listed and given new secrets.

use reqwest::Method;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Client;
use super::client::encoded;
use crate::model::failure::{Failure, FailureCode};

/// Who makes and lists robots.
const MANAGERS: &str = "use the account of an administrator, of the project's administrator, or of a system robot with `robot:create` and `robot:list`";

/// Who gives a robot a new secret: there is no right to that which a robot could have.
const PEOPLE: &str =
    "use the account of an administrator, or of the project's administrator: Harbor lets no robot change another";

/// What a robot is for; each task comes with the rights that it takes and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Pulling images.
    Pull,
    /// Pushing images.
    Push,
    /// The look before a build: room, fixed tags, the last image.
    Inspect,
    /// Further tags after a push.
    Tag,
    /// Labels after a push.
    Label,
    /// Scans: asked for, awaited and read.
    Scan,
    /// Making projects, which only a robot of the system may.
    Projects,
}

impl Task {
    /// Resource and action in projects, as Harbor's role model names them.
    #[must_use]
    pub fn rights(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Pull => &[("repository", "pull")],
            Self::Push => &[("repository", "push"), ("repository", "pull")],
            Self::Inspect => &[("project", "read"), ("quota", "read"), ("artifact", "list"), ("artifact", "read")],
            Self::Tag => &[("artifact", "read"), ("tag", "create")],
            Self::Label => &[
                ("project", "read"),
                ("artifact", "read"),
                ("label", "list"),
                ("label", "create"),
                ("artifact-label", "create"),
            ],
            Self::Scan => &[("artifact", "read"), ("artifact-addition", "read"), ("scan", "create")],
            Self::Projects => &[],
        }
    }

    /// The same on the system.
    #[must_use]
    pub fn system_rights(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Projects => &[("project", "create")],
            _ => &[],
        }
    }
}

/// A robot, as Harbor shows it; its secret is shown only when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Robot {
    /// Its number.
    pub id: u64,
    /// Its name at a login: `robot$trade+slipway`.
    pub name: String,
    /// Whether it may log in.
    pub enabled: bool,
    /// When it ends, in seconds since 1970; none is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// What it may: `repository:push`.
    pub rights: Vec<String>,
}

impl Robot {
    fn of(value: &Value) -> Option<Self> {
        let permissions = value["permissions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let access = permissions.iter().flat_map(|permission| permission["access"].as_array().into_iter().flatten());
        let right = |entry: &Value| Some(format!("{}:{}", entry["resource"].as_str()?, entry["action"].as_str()?));
        let mut rights: Vec<String> = access.filter_map(right).collect();
        rights.sort();
        rights.dedup();
        Some(Self {
            id: value["id"].as_u64()?,
            name: value["name"].as_str()?.to_owned(),
            enabled: value["disable"] != true,
            expires_at: value["expires_at"].as_i64().filter(|at| *at > 0),
            rights,
        })
    }

    /// Whether people mean this one by a name: in full, or without prefix and project.
    fn is(&self, name: &str) -> bool {
        let own = self.name.rsplit(['+', '$']).next().unwrap_or_default();
        self.name == name || own == name
    }
}

/// Where a robot belongs.
#[derive(Debug, Clone, Copy)]
pub enum Realm<'a> {
    /// To one project.
    Project(&'a str),
    /// To all projects.
    System,
}

impl Client {
    /// Makes a robot that never expires, or after so many days; gives it with its secret.
    ///
    /// # Errors
    /// `registry_forbidden` where the account may not, `registry_repository_missing`, `registry_refused` where there is
    /// such a robot; `registry_unauthorized`, `registry_unavailable`.
    pub async fn create_robot(
        &self,
        realm: Realm<'_>,
        name: &str,
        tasks: &[Task],
        days: Option<u32>,
    ) -> Result<(Robot, String), Failure> {
        let (rights, system) = (united(tasks, Task::rights), united(tasks, Task::system_rights));
        let level = if matches!(realm, Realm::System) { "system" } else { "project" };
        let namespace = if let Realm::Project(project) = realm { project } else { "*" };
        // Harbor refuses an entry without rights.
        let permissions: Vec<Value> = [("project", namespace, &rights), ("system", "/", &system)]
            .into_iter()
            .filter(|(.., rights)| !rights.is_empty())
            .map(|(kind, namespace, rights)| json!({ "kind": kind, "namespace": namespace, "access": access(rights) }))
            .collect();
        let duration = days.map_or(-1, i64::from);
        let body = json!({ "name": name, "level": level, "duration": duration, "permissions": permissions });
        let reply = self.send(Method::POST, "/api/v2.0/robots", Some(&body)).await?;
        match reply.status {
            201 => {}
            409 => {
                let failure = self.failure(FailureCode::RegistryRefused, &format!("has a robot `{name}` already"));
                return Err(failure.hint("give it a new secret: `slipway harbor robots rotate`"));
            }
            404 => {
                let happened = format!("has nowhere to put the robot `{name}`: {}", reply.message());
                return Err(self.failure(FailureCode::RegistryRepositoryMissing, &happened));
            }
            _ => return Err(self.robots_refused(&format!("create the robot `{name}`"), &reply, MANAGERS).await),
        }
        let answer = || self.failure(FailureCode::RegistryRefused, "made a robot and did not say which");
        let secret = reply.body["secret"].as_str().ok_or_else(answer)?.to_owned();
        let mut robot = Robot::of(&reply.body).ok_or_else(answer)?;
        // The answer leaves out what it was asked for.
        robot.rights = rights.iter().chain(&system).map(|(resource, action)| format!("{resource}:{action}")).collect();
        Ok((robot, secret))
    }

    /// The robots of a project, or of the system.
    ///
    /// # Errors
    /// As [`Client::create_robot`].
    pub async fn robots(&self, realm: Realm<'_>) -> Result<Vec<Robot>, Failure> {
        let filter = match realm {
            Realm::Project(project) => {
                let Some(known) = self.project(project).await? else {
                    let happened = format!("shows no project `{project}` to `{}`", self.account());
                    return Err(self.failure(FailureCode::RegistryRepositoryMissing, &happened));
                };
                format!("q={}", encoded(&format!("Level=project,ProjectID={}", known.id)))
            }
            Realm::System => String::new(),
        };
        match self.pages(&format!("/api/v2.0/robots?{filter}")).await? {
            Ok(all) => Ok(all.iter().filter_map(Robot::of).collect()),
            Err(reply) => Err(self.robots_refused("list robots", &reply, MANAGERS).await),
        }
    }

    /// The robot that people call so: `slipway`, or in full `robot$trade+slipway`.
    ///
    /// # Errors
    /// `request_invalid` with the names that there are; as [`Client::robots`].
    pub async fn robot(&self, realm: Realm<'_>, name: &str) -> Result<Robot, Failure> {
        let all = self.robots(realm).await?;
        let mut fitting: Vec<&Robot> = all.iter().filter(|robot| robot.name == name).collect();
        if fitting.is_empty() {
            fitting = all.iter().filter(|robot| robot.is(name)).collect();
        }
        match fitting[..] {
            [one] => Ok(one.clone()),
            _ => Err(self
                .failure(FailureCode::RequestInvalid, &format!("has no robot `{name}` there"))
                .hint("name one of those that there are: `slipway harbor robots list`")
                .candidates(all.into_iter().map(|robot| robot.name))),
        }
    }

    /// Gives a robot a new secret. Tokens that it has stay good until they expire.
    ///
    /// # Errors
    /// As [`Client::create_robot`].
    pub async fn rotate_robot(&self, robot: &Robot, secret: &str) -> Result<(), Failure> {
        let path = format!("/api/v2.0/robots/{}", robot.id);
        let reply = self.send(Method::PATCH, &path, Some(&json!({ "secret": secret }))).await?;
        if reply.good() {
            return Ok(());
        }
        Err(self.robots_refused(&format!("give the robot `{}` a new secret", robot.name), &reply, PEOPLE).await)
    }

    async fn robots_refused(&self, doing: &str, reply: &super::Reply, who: &str) -> Failure {
        let failure = self.unexpected(doing, reply).await;
        if failure.code == FailureCode::RegistryForbidden { failure.hint(who) } else { failure }
    }
}

/// The rights of several tasks, each once.
fn united(
    tasks: &[Task],
    of: fn(Task) -> &'static [(&'static str, &'static str)],
) -> Vec<(&'static str, &'static str)> {
    let mut rights: Vec<_> = tasks.iter().flat_map(|task| of(*task)).copied().collect();
    rights.sort_unstable();
    rights.dedup();
    rights
}

fn access(rights: &[(&str, &str)]) -> Vec<Value> {
    rights.iter().map(|(resource, action)| json!({ "resource": resource, "action": action })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robots_are_known_by_their_own_name_and_in_full() {
        let robot = Robot::of(&json!({
            "id": 7, "name": "robot$trade+slipway", "expires_at": -1, "disable": false,
            "permissions": [{ "access": [{ "resource": "repository", "action": "push" }] }],
        }))
        .unwrap();
        assert!(robot.is("slipway") && robot.is("robot$trade+slipway") && !robot.is("way") && !robot.is("trade"));
        assert_eq!((robot.enabled, robot.expires_at, robot.rights), (true, None, vec!["repository:push".to_owned()]));
    }

    #[test]
    fn a_push_takes_no_more_than_a_push() {
        assert_eq!(Task::Push.rights(), [("repository", "push"), ("repository", "pull")]);
        assert!(Task::Push.system_rights().is_empty());
    }
}
