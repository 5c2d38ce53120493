//! Whole repositories in, findings out.

mod by_its_author;
mod by_name;
mod layouts;
mod properties;

use std::sync::LazyLock;

use serde_json::Value;

use super::read;
use crate::model::failure::{Failure, FailureCode};
use crate::model::source_tree::{Entry, EntryKind, SourceTree, Text};
use crate::toolchain::findings::{Findings, Inspection};

pub(super) static FACTS: LazyLock<toml::Table> = LazyLock::new(|| {
    let file: toml::Table = include_str!("../../../../../toolchains/python/facts.toml").parse().unwrap();
    file["facts"].as_table().unwrap().clone()
});

pub(super) fn inspection(tree: &SourceTree) -> Inspection<'_> {
    Inspection {
        tree,
        directory: "",
        application: "order",
        module: None,
        process: None,
        command_given: false,
        library: false,
        extras: &[],
        args: &[],
        facts: &FACTS,
    }
}

fn inspect<'a>(tree: &'a SourceTree, change: impl FnOnce(&mut Inspection<'a>)) -> Result<Findings, Failure> {
    let mut inspection = inspection(tree);
    change(&mut inspection);
    read(&inspection)
}

pub(super) fn found(files: &[(&str, &str)]) -> Findings {
    inspect(&SourceTree::of_texts(files.iter().copied()), |_| {}).unwrap()
}

fn failed(files: &[(&str, &str)]) -> Failure {
    inspect(&SourceTree::of_texts(files.iter().copied()), |_| {}).unwrap_err()
}

/// `shape | command of web | added server | PYTHONPATH`.
fn said(findings: &Findings) -> String {
    let web = findings.processes.iter().find(|p| p.name == "web").map(|p| shown(&p.command)).unwrap_or_default();
    let variable = |name: &str| findings.variables[name].as_str().unwrap_or("-").to_owned();
    format!("{} | {web} | {} | {}", findings.shape, variable("server_requirement"), variable("python_path"))
}

/// A server's words, without the shell that tells it its address.
fn shown(command: &[String]) -> String {
    match command {
        [sh, _, script, words @ ..] if sh == "sh" && script.contains("0.0.0.0") => words.join(" "),
        words => words.join(" "),
    }
}

#[test]
fn servers_are_told_their_address() {
    let findings = found(&[("requirements.txt", "flask"), ("app.py", FLASK)]);
    let script = "exec \"$0\" --bind \"0.0.0.0:${PORT:-8080}\" \"$@\"";
    assert_eq!(findings.processes[0].command, ["sh", "-c", script, "gunicorn", "--access-logfile", "-", "app:app"]);
    let findings = found(&[("requirements.txt", "fastapi"), ("app.py", FASTAPI)]);
    let script = "exec \"$0\" --host 0.0.0.0 --port \"${PORT:-8080}\" \"$@\"";
    assert_eq!(findings.processes[0].command, ["sh", "-c", script, "uvicorn", "app:app"]);
    assert_eq!((findings.ports[0].value, findings.image_env["PORT"].value.as_str()), (8080, "8080"));
}

const FLASK: &str = "from flask import Flask\napp = Flask(__name__)\n";
const FASTAPI: &str = "from fastapi import FastAPI\napp = FastAPI()\n";
const FACTORY: &str =
    "from flask import Flask\n\ndef create_app(config=None):\n    app = Flask(__name__)\n    return app\n";
const GUNICORN: &str = "gunicorn --access-logfile -";
const MANAGE: &str = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
const WSGI: &str = "import os\nfrom django.core.wsgi import get_wsgi_application\n\
    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\napplication = get_wsgi_application()\n";
const ASGI: &str = "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n";

#[test]
fn a_conventional_file_wins_and_the_loser_is_shown() {
    let findings = found(&[("requirements.txt", "flask"), ("app.py", FLASK), ("admin.py", FLASK)]);
    let decision = findings.decisions.iter().find(|d| d.key == "entry").unwrap();
    assert_eq!(decision.value, "app:app");
    assert_eq!(decision.origin.line, Some(2));
    assert_eq!(decision.rejected[0].value, "admin:app");
}

#[test]
fn several_are_an_error_that_module_settles() {
    let files = [("requirements.txt", "flask"), ("shop/main.py", FLASK), ("stock/main.py", FLASK)];
    let failure = failed(&files);
    assert_eq!(failure.code, FailureCode::ApplicationAmbiguous);
    assert_eq!(failure.candidates, ["shop.main:app", "stock.main:app"]);
    assert_eq!(failure.places[1].line, Some(2));
    assert!(failure.hint.contains("application.module = \"shop.main:app\""));
    let tree = SourceTree::of_texts(files);
    for stated in ["stock.main:app", "stock.main", "stock/main.py"] {
        let findings = inspect(&tree, |inspection| inspection.module = Some(stated)).unwrap();
        assert_eq!(findings.variables["entry"], "stock.main:app", "{stated}");
    }
    let failure = inspect(&tree, |inspection| inspection.module = Some("gone:app")).unwrap_err();
    assert_eq!((failure.code, failure.candidates.len()), (FailureCode::ApplicationNotFound, 2));
    assert!(inspect(&tree, |inspection| inspection.command_given = true).unwrap().processes.is_empty());
    assert_eq!(inspect(&tree, |inspection| inspection.library = true).unwrap().shape, "library");
}

#[test]
fn what_is_no_toml_is_told_to_the_character() {
    let place = failed(&[("pyproject.toml", "[project]\nname = \"a\"\nversion = = 1\n")]).places.remove(0);
    assert_eq!((place.path.as_str(), place.line, place.column), ("pyproject.toml", Some(3), Some(11)));
}

#[test]
fn failures_say_what_to_do() {
    let needs = "from flask import Flask\ndef create_app(config):\n    return Flask(config)\n";
    for (files, code, says) in [
        (vec![("requirements.txt", "flask"), ("a.py", "x = 1")], FailureCode::ApplicationNotFound, "`flask`"),
        (vec![("requirements.txt", "requests"), ("app.py", FLASK)], FailureCode::ApplicationNotFound, "no framework"),
        (vec![("requirements.txt", "flask"), ("app.py", needs)], FailureCode::ApplicationNotFound, "needs arguments"),
        (vec![("requirements.txt", "-r requirements.txt")], FailureCode::ManifestInvalid, "cycle"),
        (vec![("requirements.txt", "-r ../x.txt")], FailureCode::ManifestInvalid, "outside"),
        (vec![("Pipfile", "[packages]\nx = {path = \".\"}"), ("app.py", FLASK)], FailureCode::ManifestInvalid, "`x`"),
        (vec![("app.py", FLASK)], FailureCode::SourceUnusable, "`flask` is imported and declared nowhere"),
        (
            vec![("requirements.txt", "flask"), ("examples/a/app.py", FLASK), ("examples/b/app.py", FLASK)],
            FailureCode::ApplicationAmbiguous,
            "2 candidates",
        ),
        (vec![("requirement.txt", "flask"), ("app.py", FLASK)], FailureCode::SourceUnusable, "misspelt"),
        (vec![("environment.yml", ""), ("app.py", FLASK)], FailureCode::SourceUnusable, "Conda"),
        (vec![("pyproject.toml", "[project")], FailureCode::ManifestInvalid, "TOML"),
        (
            vec![("requirements.txt", "django"), ("a/manage.py", MANAGE), ("b/manage.py", MANAGE)],
            FailureCode::ApplicationAmbiguous,
            "2 Django projects",
        ),
    ] {
        let failure = failed(&files);
        assert_eq!(failure.code, code, "{files:?}");
        assert!(failure.message.contains(says), "{}", failure.message);
    }
}

#[test]
fn what_lies_above_the_directory_is_not_there() {
    let tree = SourceTree::of_texts([
        ("shop/__init__.py", ""),
        ("examples/one/main.py", "import helper\nimport shop\nshop.run()\n"),
        ("examples/one/helper.py", ""),
    ]);
    let failure = inspect(&tree, |inspection| inspection.directory = "examples/one").unwrap_err();
    assert_eq!((failure.code, failure.candidates.as_slice()), (FailureCode::SourceUnusable, &["shop".to_owned()][..]));
    assert!(failure.hint.contains("`shop` lies in the repository, but not below `examples/one`"), "{}", failure.hint);
    assert!(inspect(&tree, |_| {}).err().is_none_or(|failure| failure.code != FailureCode::SourceUnusable));
}

#[test]
fn django_settings_and_static_files() {
    let findings = found(&[
        ("requirements/base.txt", "Django"),
        ("requirements/prod.txt", "-r base.txt\ngunicorn"),
        ("manage.py", MANAGE),
        ("config/wsgi.py", &WSGI.replace("shop.settings", "config.settings.production")),
        ("config/settings/__init__.py", ""),
        ("config/settings/production.py", "from .base import *\nDEBUG = False\n"),
        (
            "config/settings/base.py",
            "INSTALLED_APPS = [\n 'django.contrib.staticfiles',\n]\nSTATIC_ROOT = BASE / 'static'\n",
        ),
    ]);
    assert_eq!(findings.variables["collectstatic"], true);
    assert_eq!(findings.variables["settings"], "config.settings.production");
    assert_eq!(findings.variables["manage"], "manage.py");
    assert_eq!(findings.variables["requirements_files"], serde_json::json!(["requirements/prod.txt"]));
    assert_eq!(findings.image_env["DJANGO_SETTINGS_MODULE"].origin.path.as_deref(), Some("config/wsgi.py"));
    let without = found(&[
        ("requirements.txt", "Django"),
        ("manage.py", MANAGE),
        ("shop/wsgi.py", WSGI),
        ("shop/settings.py", "STATIC_ROOT = 1"),
    ]);
    assert_eq!(without.variables["collectstatic"], false);
}

#[test]
fn ports_entrypoints_and_installs() {
    let tornado = "import tornado.web\nfrom tornado.options import define\ndefine('port', default=9000)\nif __name__ == '__main__':\n    tornado.web.Application()\n";
    let findings = found(&[("requirements.txt", "tornado"), ("entrypoint.sh*", "#!/bin/sh"), ("s.py", tornado)]);
    assert_eq!((findings.ports[0].value, findings.ports[0].origin.line), (9000, Some(3)));
    assert_eq!(findings.variables["entrypoint"], "/app/entrypoint.sh");
    let findings = found(&[("pyproject.toml", "[project]\nname='x'\ndependencies=['flask']"), ("app.py", FLASK)]);
    assert_eq!(findings.variables["install"], "dependencies");
    let findings = found(&[
        ("Procfile", "web: gunicorn --bind :$PORT app:app\nworker: python w.py"),
        ("requirements.txt", "flask"),
        ("app.py", FLASK),
    ]);
    assert_eq!(findings.processes.len(), 2);
    assert_eq!(findings.image_env["PORT"].value, "8080");
    assert_eq!(findings.ports[0].value, 8080);
    // The platform that such files are written for puts the directory on the import path.
    assert_eq!(findings.image_env["PYTHONPATH"].value, "/app");
}

#[test]
fn what_a_dockerfile_sets_and_a_source_reads_is_set() {
    let reads = "import os\nfrom flask import Flask\napp = Flask(__name__)\n\
                 x = os.environ['PRODUCTION'], os.getenv('DATA'), os.getenv('API_KEY'), os.getenv('PORT'), os.getenv('MODE')\n";
    let docker = "FROM python:3.13 AS build\nENV MODE=build\nFROM python:3.13\nENV PRODUCTION=true UNREAD=1 PYTHONPATH=x\n\
                  ENV DATA=/data API_KEY=abc PORT=9000\nCMD [\"python\", \"app.py\"]\n";
    let findings = found(&[("requirements.txt", "flask"), ("app.py", reads), ("Dockerfile", docker)]);
    let set = findings.image_env.iter().map(|(name, found)| format!("{name}={} {:?}", found.value, found.origin.line));
    assert_eq!(set.collect::<Vec<_>>(), ["PORT=8080 None", "PRODUCTION=true Some(4)"]);
    let development = [("requirements.txt", "flask"), ("app.py", reads), ("Dockerfile.dev", docker)];
    assert!(!found(&development).image_env.contains_key("PRODUCTION"));
}

#[test]
fn scripts_that_would_listen_on_loopback_are_told_otherwise() {
    let demo = "import gradio as gr\ndemo = gr.Interface()\ndemo.launch()\n";
    let findings = found(&[
        ("requirements.txt", "gradio"),
        ("app.py", "from board import demo\ndemo.launch()\n"),
        ("board.py", demo),
    ]);
    assert_eq!(findings.image_env["GRADIO_SERVER_NAME"].value, "0.0.0.0");
    assert_eq!(findings.ports[0].value, 7860);
    let board = "from dash import Dash\nboard = Dash()\nif __name__ == '__main__':\n    board.run()\n";
    let findings = found(&[("requirements.txt", "dash"), ("board.py", board)]);
    assert_eq!(
        (findings.image_env["HOST"].value.as_str(), findings.image_env["PORT"].value.as_str()),
        ("0.0.0.0", "8050")
    );
    assert!(!found(&[("requirements.txt", "flask"), ("app.py", FLASK)]).image_env.contains_key("HOST"));
}

#[test]
fn servers_for_development_are_named() {
    let line = |web: &str| {
        let procfile = format!("worker: python w.py\nweb: {web}\n");
        let findings = found(&[("requirements.txt", "flask"), ("app.py", FLASK), ("Procfile", &procfile)]);
        findings.warnings.iter().find(|warning| warning.code == "development_server").and_then(|warning| warning.line)
    };
    for web in ["python src/manage.py runserver 0:$PORT", "flask run --port $PORT", "uvicorn app:app --reload"] {
        assert_eq!(line(web), Some(2), "{web}");
    }
    assert_eq!(line("gunicorn app:app"), None);
    assert_eq!(line("flask db upgrade && gunicorn run:app"), None);
}

#[test]
fn scripts_that_keep_signals_are_named() {
    let line = |script: &str| {
        let findings = found(&[("requirements.txt", "flask"), ("app.py", FLASK), ("entrypoint.sh*", script)]);
        findings.warnings.iter().find(|warning| warning.code == "signals_not_passed").and_then(|warning| warning.line)
    };
    assert_eq!(line("#!/bin/sh\nset -e\n\"$@\"\n# exec \"$@\"\n"), Some(3));
    assert_eq!(line("#!/bin/sh\npython migrate.py\ngunicorn app:app\n"), Some(3));
    assert_eq!(line("#!/bin/sh\nset -e\nexec \"$@\"\n"), None);
    assert_eq!(line("#!/bin/sh\npython migrate.py && exec gunicorn app:app\n"), None);
    assert_eq!(line("#!/bin/sh\nif [ -n \"$X\" ]; then\n  exec \"$@\"\nfi\n"), None);
}

#[test]
fn scripts_that_would_wait_for_ever_are_left_alone() {
    let run = |script: &str| {
        let files = [("requirements.txt", "flask"), ("app.py", FLASK), ("entrypoint.sh*", script)];
        let findings = found(&files);
        let warned = findings.warnings.iter().find(|warning| warning.code == "entrypoint_not_used");
        (findings.variables["entrypoint"].as_str().is_some(), warned.and_then(|warning| warning.line))
    };
    assert_eq!(run("#!/bin/sh\nwhile ! nc -z db 5432; do\n  sleep 1\ndone\nexec \"$@\"\n"), (false, Some(2)));
    assert_eq!(run("#!/bin/sh\nuntil pg_isready -h db; do sleep 1; done\nexec \"$@\"\n"), (false, Some(2)));
    // Only where somebody wants it.
    let guarded =
        "#!/bin/sh\nif [ \"$DATABASE\" = postgres ]; then\n  while ! nc -z $H 1; do sleep 1; done\nfi\nexec \"$@\"\n";
    assert_eq!(run(guarded), (true, None));
    assert_eq!(run("#!/bin/sh\nuntil python wait.py; do sleep 1; done\nexec \"$@\"\n"), (true, None));
    // Who becomes another user, whoever it is.
    let becomes = "#!/bin/sh\nif [ \"$PUID\" = 0 ]; then\n  exec \"$@\"\nfi\nexec gosu shop \"$@\"\n";
    assert_eq!(run(becomes), (false, Some(5)));
    assert_eq!(run(&becomes.replace("\"$PUID\" = 0", "\"$(id -u)\" != 0")), (true, None));
}

#[test]
fn a_directory_below_the_root() {
    let tree = SourceTree::of_texts([
        (".python-version", "3.11"),
        ("services/order/requirements.txt", "-r ../../common.txt"),
        ("common.txt", "flask"),
        ("services/order/src/web.py", FLASK),
    ]);
    let findings = inspect(&tree, |inspection| inspection.directory = "services/order").unwrap();
    assert_eq!(findings.variables["entry"], "web:app");
    assert_eq!(findings.variables["python_path"], "/app/src");
    assert_eq!(findings.versions.len(), 1);
}

#[test]
fn every_text_is_asked_for_in_one_pass() {
    let paths = ["requirements.txt", "pyproject.toml", "app.py", "shop/__init__.py", ".python-version"];
    let mut tree = SourceTree::new(
        paths.map(|path| (path.to_owned(), Entry { kind: EntryKind::File, executable: false, size: 9 })),
    );
    assert!(inspect(&tree, |_| {}).unwrap().variables.is_empty());
    let wanted = tree.take_wanted().texts;
    assert_eq!(wanted.len(), paths.len());
    for path in wanted {
        tree.set_text(&path, Text::Utf8(if path == "app.py" { FLASK.into() } else { String::new() }));
    }
    tree.set_text("requirements.txt", Text::Utf8("flask".into()));
    assert_eq!(inspect(&tree, |_| {}).unwrap().variables["entry"], Value::from("app:app"));
    assert!(tree.take_wanted().is_empty());
}
