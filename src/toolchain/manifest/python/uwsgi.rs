//! uWSGI's own configuration (`uwsgi.ini`, `uwsgi.yaml`): what it imports, where it listens, whether it fits the image.

use super::dependencies::Dependencies;
use super::ini::{self, Line};
use super::server;
use super::text::{below, inside};
use crate::model::failure::Warning;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::SourceTree;

/// Where repositories keep it.
const FILES: [&str; 9] = [
    "uwsgi.ini",
    "uwsgi.yaml",
    "uwsgi.yml",
    "conf/uwsgi.ini",
    "config/uwsgi.ini",
    "deploy/uwsgi.ini",
    "docker/uwsgi.ini",
    "etc/uwsgi.ini",
    "wsgi.ini",
];
/// Options that name a path without which nothing starts.
const PATHS: [&str; 10] =
    ["chdir", "virtualenv", "venv", "home", "pyhome", "wsgi-file", "file", "pythonpath", "python-path", "chroot"];

/// A configuration in the repository.
#[derive(Debug, Clone)]
pub(super) struct Uwsgi {
    /// `shop.wsgi:app`, or the path of a file with `:app` behind it.
    pub(super) imports: Option<String>,
    pub(super) origin: Origin,
    /// The command, or why the configuration does not fit the image.
    pub(super) command: Result<Vec<String>, Warning>,
    pub(super) ports: Vec<Found<u16>>,
}

/// The configuration of the directory, where the requirements bring uWSGI.
pub(super) fn find(tree: &SourceTree, directory: &str, dependencies: &Dependencies) -> Option<Uwsgi> {
    if !["uwsgi", "pyuwsgi"].iter().any(|name| dependencies.has(name)) {
        return None;
    }
    let path = FILES.iter().map(|name| inside(directory, name)).find(|path| tree.has_file(path))?;
    let lines: Vec<Line<'_>> =
        ini::lines(tree.text(&path)?).into_iter().filter(|line| matches!(line.section, "uwsgi" | "")).collect();
    let value = |keys: &[&str]| lines.iter().rfind(|line| keys.contains(&line.key) && !line.value.is_empty());
    let module = value(&["module", "wsgi", "wsgi-file", "file"])?;
    let callable = value(&["callable"]).map_or("application", |line| line.value);
    let plain = !module.value.contains(['%', '$']);
    let imports =
        if module.value.contains(':') { module.value.to_owned() } else { format!("{}:{callable}", module.value) };
    let unfit = lines.iter().find(|line| misplaced(line) || matches!(line.key, "daemonize" | "daemonize2"));
    let http = value(&["http", "http-socket"]).and_then(|line| Some((line, port(line.value)?)));
    let origin = Origin::file(&path, Some(module.number), "uWSGI's configuration");
    let mut words = vec!["uwsgi", "--ini", below(directory, &path)];
    if path.ends_with("ml") {
        words[1] = "--yaml";
    }
    // Before uWSGI 2.1 it answers SIGTERM by loading the application again.
    if value(&["die-on-term"]).is_none() {
        words.push("--die-on-term");
    }
    let command = match (unfit, http) {
        (Some(line), _) => Err(unused(&path, line)),
        (None, Some(_)) => Ok(words.into_iter().map(str::to_owned).collect()),
        // Its own protocol is for a proxy in front of it.
        (None, None) => Ok(server::listening(&words, "--http-socket")),
    };
    let ports = http.map(|(line, port)| Found::new(port, Origin::file(&path, Some(line.number), line.key)));
    let told = || Found::new(server::PORT, Origin::default("the port that `uwsgi` is told"));
    let ports = command.is_ok().then(|| ports.unwrap_or_else(told)).into_iter().collect();
    Some(Uwsgi { imports: plain.then_some(imports), origin, command, ports })
}

/// Whether an option names a place that the image has not: the application lies in `/app`, the environment in `/opt/venv`.
fn misplaced(line: &Line<'_>) -> bool {
    let there = ["/app", "/opt/venv"]
        .iter()
        .any(|place| line.value.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    PATHS.contains(&line.key) && (line.value.starts_with('/') && !there || line.value.contains(['%', '$']))
}

fn unused(path: &str, line: &Line<'_>) -> Warning {
    let message = format!(
        "`{path}` is not used: `{} = {}` does not fit the image, where the application lies in `/app`",
        line.key,
        line.value.escape_debug()
    );
    let hint = "remove the line, or make it relative to the application's directory";
    Warning::new("uwsgi_configuration_not_used", message, hint).at(path, Some(line.number))
}

/// The port of `:8080`, `0.0.0.0:8080`, `8080`, where others can reach it: a path is a socket for a proxy beside it. That of
/// `$(PORT)` is the one that servers are told.
fn port(address: &str) -> Option<u16> {
    let (host, port) = address.rsplit_once(':').unwrap_or(("", address));
    if host.starts_with("127.") || host == "localhost" {
        return None;
    }
    if port == "$(PORT)" { Some(server::PORT) } else { port.parse().ok().filter(|port| *port > 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::manifest::python::requirement::Requirement;

    fn said(name: &str, text: &str) -> String {
        let tree = SourceTree::of_texts([(name, text)]);
        let list = vec![Requirement::parse("uwsgi==2.0.26", Origin::default("test")).unwrap()];
        let Some(found) = find(&tree, "", &Dependencies { list, ..Dependencies::default() }) else {
            return "nothing".to_owned();
        };
        let ports: Vec<u16> = found.ports.iter().map(|port| port.value).collect();
        let command = match found.command {
            Ok(command) => command.join(" "),
            Err(warning) => format!("not: line {}", warning.line.unwrap_or_default()),
        };
        format!("{} | {command} | {ports:?}", found.imports.unwrap_or_default())
    }

    #[test]
    fn configurations() {
        let told = r#"sh -c exec "$0" --http-socket "0.0.0.0:${PORT:-8080}" "$@" uwsgi --ini uwsgi.ini"#;
        for (name, text, expected) in [
            (
                "uwsgi.ini",
                "[uwsgi]\nmodule = shop.wsgi:app\nhttp = :9090\n",
                "shop.wsgi:app | uwsgi --ini uwsgi.ini --die-on-term | [9090]".to_owned(),
            ),
            (
                "uwsgi.ini",
                "[uwsgi]\nwsgi-file=run.py\ncallable=app\nhttp-socket=0.0.0.0:$(PORT)\ndie-on-term=true",
                "run.py:app | uwsgi --ini uwsgi.ini | [8080]".to_owned(),
            ),
            (
                "uwsgi.ini",
                "[uwsgi]\nmodule=shop\nsocket=/tmp/shop.sock\ndie-on-term=1\n[dev]\nhttp=:1\n",
                format!("shop:application | {told} | [8080]"),
            ),
            (
                "uwsgi.ini",
                "[uwsgi]\nmodule=shop\nhttp=127.0.0.1:80\ndie-on-term=1",
                format!("shop:application | {told} | [8080]"),
            ),
            (
                "uwsgi.ini",
                "[uwsgi]\nmodule=shop\nhttp-socket=/tmp/nginx.socket\ndie-on-term=1",
                format!("shop:application | {told} | [8080]"),
            ),
            ("uwsgi.ini", "[uwsgi]\nchdir=/srv/shop\nmodule=shop:app", "shop:app | not: line 2 | []".to_owned()),
            (
                "uwsgi.yaml",
                "uwsgi:\n  module: shop:app\n  http: 0.0.0.0:5000\n  chdir: /app/x\n",
                "shop:app | uwsgi --yaml uwsgi.yaml --die-on-term | [5000]".to_owned(),
            ),
            ("uwsgi.ini", "[uwsgi]\nhttp=:1", "nothing".to_owned()),
            ("other.ini", "[uwsgi]\nmodule=a:b", "nothing".to_owned()),
        ] {
            assert_eq!(said(name, text), expected, "{text}");
        }
    }
}
