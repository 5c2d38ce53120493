//! Which server runs an application object, and with which command.

use serde_json::json;

use super::dependencies::Dependencies;
use crate::model::origin::{Decision, Origin};

/// The port servers are told to listen on.
pub(super) const PORT: u16 = 8000;

/// An object or factory that a server imports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// `shop.main:app`, without the call of a factory.
    pub(super) entry: &'a str,
    pub(super) factory: bool,
    pub(super) asgi: bool,
}

/// A server with its command.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) command: Vec<String>,
    /// What is installed beside the project's own requirements.
    pub(super) requirement: Option<String>,
    pub(super) decision: Decision,
}

/// The project's own server where its requirements name one that fits, otherwise the operator's default.
pub(super) fn choose(target: Target<'_>, dependencies: &Dependencies, facts: &toml::Table) -> Server {
    let fitting: &[&str] =
        if target.asgi { &["uvicorn", "hypercorn", "daphne"] } else { &["gunicorn", "waitress", "hypercorn"] };
    let own = fitting.iter().find(|name| dependencies.has(name) && !(target.factory && **name == "daphne"));
    let name = own.copied().unwrap_or(fitting[0]);
    let with_gunicorn = name == "uvicorn" && own.is_some() && dependencies.has("gunicorn") && !target.factory;
    let name = if with_gunicorn { "gunicorn" } else { name };
    let requirement = own.is_none().then(|| pinned(name, facts));
    let stated = dependencies.list.iter().find(|r| r.name == name).map(|r| r.origin.clone());
    let origin = match &requirement {
        Some(_) => Origin::default(format!("no server among the requirements; `{name}` is added")),
        None => stated.unwrap_or_else(|| Origin::default(format!("`{name}` comes with the requirements"))),
    };
    let value = json!(requirement.as_deref().unwrap_or(name));
    Server {
        command: command(name, target),
        decision: Decision { key: "server".into(), value, origin, rejected: Vec::new() },
        requirement,
    }
}

/// The operator's pinned requirement of a server, from `[facts.servers]`.
pub(super) fn pinned(name: &str, facts: &toml::Table) -> String {
    let stated = facts.get("servers").and_then(|servers| servers.get(name)).and_then(toml::Value::as_str);
    stated.unwrap_or(name).to_owned()
}

fn command(server: &str, target: Target<'_>) -> Vec<String> {
    let called = if target.factory { format!("{}()", target.entry) } else { target.entry.to_owned() };
    let (entry, bind, port) = (target.entry, format!("0.0.0.0:{PORT}"), PORT.to_string());
    let words: Vec<&str> = match server {
        "uvicorn" if target.factory => vec!["uvicorn", "--factory", entry, "--host", "0.0.0.0", "--port", &port],
        "uvicorn" => vec!["uvicorn", entry, "--host", "0.0.0.0", "--port", &port],
        "hypercorn" => vec!["hypercorn", "--bind", &bind, "--access-logfile", "-", &called],
        "daphne" => vec!["daphne", "-b", "0.0.0.0", "-p", &port, entry],
        "waitress" if target.factory => vec!["waitress-serve", "--host=0.0.0.0", "--port=8000", "--call", entry],
        "waitress" => vec!["waitress-serve", "--host=0.0.0.0", "--port=8000", entry],
        _ if target.asgi => {
            vec![
                "gunicorn",
                "--worker-class",
                "uvicorn.workers.UvicornWorker",
                "--bind",
                &bind,
                "--access-logfile",
                "-",
                &called,
            ]
        }
        _ => vec!["gunicorn", "--bind", &bind, "--access-logfile", "-", &called],
    };
    words.into_iter().map(str::to_owned).collect()
}
