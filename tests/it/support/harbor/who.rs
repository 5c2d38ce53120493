//! Who asks, and what they may.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, header};
use base64::Engine as _;

use super::state::State;

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Nobody that is known.
    Anonymous,
    Admin,
    User(String),
    Robot(u64),
}

/// What a request showed.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    Nothing,
    Basic(Who),
    /// A token, if it is one.
    Bearer(Option<String>),
}

impl Shown {
    pub(super) fn of(headers: &HeaderMap, state: &State) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return Self::Nothing;
        };
        if let Some(token) = value.strip_prefix("Bearer ") {
            let live = state.tokens.get(token).filter(|token| {
                // 60 s of leeway.
                i64::try_from(token.issued.elapsed().as_secs()).unwrap_or(i64::MAX) < token.seconds + 60
            });
            return Self::Bearer(live.map(|_| token.to_owned()));
        }
        let pair = value.strip_prefix("Basic ").and_then(|text| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
            String::from_utf8(bytes).ok()
        });
        let Some((name, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) else {
            return Self::Basic(Who::Anonymous);
        };
        Self::Basic(state.login(name, password))
    }

    /// Who asks the API: a registry's token is none there.
    pub(super) fn api(&self) -> Who {
        match self {
            Self::Basic(who) => who.clone(),
            Self::Nothing | Self::Bearer(_) => Who::Anonymous,
        }
    }
}

impl State {
    /// Who logs in so; with the database away, nobody but the administrator is known.
    pub(super) fn login(&self, name: &str, password: &str) -> Who {
        if self.users.get(name).is_some_and(|known| known == password) && name == super::ADMIN.0 {
            return Who::Admin;
        }
        if self.faults.database {
            return Who::Anonymous;
        }
        if self.users.get(name).is_some_and(|known| known == password) {
            return Who::User(name.to_owned());
        }
        let robot = name
            .strip_prefix(&self.robot_prefix)
            .and_then(|name| self.robots.iter().find(|robot| robot.name == name && robot.secret == password));
        robot.filter(|robot| !robot.disabled && !robot.expired).map_or(Who::Anonymous, |robot| Who::Robot(robot.id))
    }

    /// Whether someone may do something in a project, or on the whole (`/`).
    pub(super) fn may(&self, who: &Who, namespace: &str, resource: &str, action: &str) -> bool {
        let public = || {
            let open = self.projects.get(namespace).is_some_and(|project| project.flag("public"));
            open && ["pull", "read", "list"].contains(&action)
        };
        match who {
            Who::Admin => true,
            Who::Anonymous => public() && resource == "repository",
            Who::User(name) => {
                let role = self.projects.get(namespace).and_then(|project| project.members.get(name));
                public() || role.is_some_and(|role| *role == 1 || action != "delete")
            }
            Who::Robot(id) => {
                let robot = self.robots.iter().find(|robot| robot.id == *id);
                public() || robot.is_some_and(|robot| robot.may(namespace, resource, action))
            }
        }
    }

    /// All that someone may do with a project's repositories.
    pub(super) fn actions(&self, who: &Who, project: &str) -> BTreeSet<String> {
        let known = self.projects.contains_key(project) && !self.faults.database;
        let may = |action: &&str| known && self.may(who, project, "repository", action);
        ["pull", "push", "delete"].iter().filter(|action| may(action)).map(|action| (*action).to_owned()).collect()
    }

    /// The name that a token and messages have for someone.
    pub(super) fn name(&self, who: &Who) -> String {
        match who {
            Who::Anonymous => String::new(),
            Who::Admin => super::ADMIN.0.to_owned(),
            Who::User(name) => name.clone(),
            Who::Robot(id) => {
                let robot = self.robots.iter().find(|robot| robot.id == *id);
                format!("{}{}", self.robot_prefix, robot.map_or("", |robot| robot.name.as_str()))
            }
        }
    }
}
