//! Which server runs an application object, and with which command.

use serde_json::json;

use super::dependencies::Dependencies;
use crate::model::origin::{Decision, Origin};

/// The port servers are told to listen on.
pub(super) const PORT: u16 = 8080;

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
    pub(super) name: &'static str,
    pub(super) command: Vec<String>,
    /// What is installed beside the project's own requirements.
    pub(super) requirement: Option<String>,
    pub(super) decision: Decision,
}

/// The project's own server where its requirements name one that fits, otherwise the operator's default.
pub(super) fn choose(target: Target<'_>, dependencies: &Dependencies, facts: &toml::Table) -> Server {
    let fitting: &[&str] =
        if target.asgi { &["uvicorn", "hypercorn", "daphne"] } else { &["gunicorn", "waitress", "hypercorn", "uwsgi"] };
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
        name,
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

/// The command, with the address behind it: a platform says the port as `PORT`, and only a shell can read that.
///
/// The shell gets the words as arguments and replaces itself, so nothing of them is read as shell and signals arrive.
fn command(server: &str, target: Target<'_>) -> Vec<String> {
    let called = if target.factory { format!("{}()", target.entry) } else { target.entry.to_owned() };
    let entry = target.entry;
    let (words, address): (&[&str], &str) = match server {
        "uvicorn" if target.factory => (&["uvicorn", "--factory", entry], "--host 0.0.0.0 --port"),
        "uvicorn" => (&["uvicorn", entry], "--host 0.0.0.0 --port"),
        "hypercorn" => (&["hypercorn", "--access-logfile", "-", &called], "--bind"),
        "daphne" => (&["daphne", entry], "-b 0.0.0.0 -p"),
        "waitress" if target.factory => (&["waitress-serve", "--call", entry], "--listen"),
        "waitress" => (&["waitress-serve", entry], "--listen"),
        "uwsgi" => (&["uwsgi", "--master", "--die-on-term", "--enable-threads", "--module", &called], "--http-socket"),
        _ if target.asgi => (
            &["gunicorn", "--worker-class", "uvicorn.workers.UvicornWorker", "--access-logfile", "-", &called],
            "--bind",
        ),
        _ => (&["gunicorn", "--access-logfile", "-", &called], "--bind"),
    };
    listening(words, address)
}

/// Streamlit and Chainlit serve a script by themselves.
pub(super) fn of_pages(framework: &str, script: &str) -> Vec<String> {
    let options = match framework {
        "chainlit" => "--headless --host 0.0.0.0 --port",
        _ => "--server.headless true --server.address 0.0.0.0 --server.port",
    };
    let run = format!("exec {framework} run \"$0\" {options} \"${{PORT:-{PORT}}}\" \"$@\"");
    vec!["sh".to_owned(), "-c".to_owned(), run, script.to_owned()]
}

/// Sanic's own server of before it spoke ASGI: `python -m sanic server.app --host=0.0.0.0 --port=1337` (Sanic 18.12,
/// "Deploying").
pub(super) fn of_sanic(entry: &str) -> Vec<String> {
    let run = format!("exec python -m sanic \"$0\" --host 0.0.0.0 --port \"${{PORT:-{PORT}}}\" \"$@\"");
    vec!["sh".to_owned(), "-c".to_owned(), run, entry.trim_end_matches("()").replace(':', ".")]
}

/// A command that is told its address by options, `--port` or `--bind`, in front of its other words.
pub(super) fn listening(words: &[&str], address: &str) -> Vec<String> {
    let port = format!("${{PORT:-{PORT}}}");
    let address = match address {
        "--bind" | "--listen" | "--http-socket" => format!("{address} \"0.0.0.0:{port}\""),
        options => format!("{options} \"{port}\""),
    };
    let script = format!("exec \"$0\" {address} \"$@\"");
    let shell = ["sh", "-c", &script];
    shell.iter().chain(words).map(|word| (*word).to_owned()).collect()
}
