//! One row per layout in which a Dockerfile, a script or the project's metadata says what starts.

use super::{FLASK, GUNICORN, inspect, said};
use crate::model::source_tree::SourceTree;

const SETUP: &str = "from setuptools import setup\nsetup(name='shop2', entry_points={'console_scripts': [\n  'shop-index = shop.index:main', 'shop = shop.main:main', 'shop-test = shop.check:main']})\n";
const GUARD: &str = "def main():\n    pass\nif __name__ == '__main__':\n    main()\n";
const PACKAGE: [(&str, &str); 3] = [("shop/__init__.py", ""), ("shop/main.py", GUARD), ("shop/index.py", GUARD)];

/// What is said, the module that is tried, whether the project is installed, and the first port.
fn told(files: &[(&str, &str)]) -> String {
    let files = files.iter().chain(&PACKAGE).copied();
    let findings = inspect(&SourceTree::of_texts(files), |_| {}).unwrap_or_else(|failure| panic!("{failure}"));
    let module = findings.variables["import_module"].as_str().unwrap_or("-").to_owned();
    let port = findings.ports.first().map_or("-".to_owned(), |port| port.value.to_string());
    format!("{} | {module} | {} | {port}", said(&findings), findings.variables["package"])
}

#[test]
fn commands_of_a_project_whose_requirements_are_installed() {
    let requirements = ("requirements.txt", "requests\n");
    let docker = |start: &str| format!("FROM python:3.13\nEXPOSE 90\nRUN pip install shop\n{start}\n");
    let started = docker("CMD [\"shop\", \"--no-config\"]");
    let packing = "from cx_Freeze import setup\nif __name__ == '__main__':\n    setup()\n";
    for (name, files, expected) in [
        (
            "the one with its package's name",
            vec![requirements, ("setup.py", SETUP)],
            "script | shop | - | - | shop.main | true | -",
        ),
        (
            "the one that the Dockerfile starts, beside a script that makes packages",
            vec![requirements, ("setup.py", SETUP), ("Dockerfile", &started), ("setup_msi.py", packing)],
            "script | shop --no-config | - | - | shop.main | true | 90",
        ),
        (
            "one that a Procfile runs",
            vec![("setup.py", SETUP), ("Procfile", "web: shop-index ./conf.yaml\n"), ("web.py", FLASK)],
            "script | shop-index ./conf.yaml | - | /app | shop.index | false | 8080",
        ),
        (
            "a module is tried before a command that nobody names",
            vec![
                requirements,
                ("setup.py", "setup(entry_points={'console_scripts': ['x = shop.x:x']})"),
                ("shop/__main__.py", GUARD),
            ],
            "script | python -m shop | - | - | shop.__main__ | false | -",
        ),
    ] {
        assert_eq!(told(&files), expected, "{name}");
    }
}

#[test]
fn what_a_dockerfile_tells_servers() {
    let docker = |start: &str| format!("FROM python:3.13 AS base\nEXPOSE 90\n{start}\nFROM base\nCOPY . .\n");
    let group = "from flask.cli import FlaskGroup\ncli = FlaskGroup(name='shop')\n";
    let aio = "from aiohttp import web\nasync def app_factory():\n    return web.Application()\n";
    for (name, start, files, expected) in [
        (
            "Streamlit as a module",
            "CMD [\"python\", \"-m\", \"streamlit\", \"run\", \"shop/page.py\", \"--server.port=8501\"]",
            vec![("requirements.txt", "streamlit\n"), ("shop/page.py", "import streamlit as st\nst.title('x')\n")],
            "streamlit | shop/page.py | - | /app | - | false | 8080",
        ),
        (
            "workers of another kind",
            "CMD gunicorn web:app_factory --bind=:80 --worker-class=aiohttp.GunicornWebWorker",
            vec![("requirements.txt", "aiohttp\ngunicorn\n"), ("web.py", aio)],
            "wsgi | gunicorn --worker-class aiohttp.GunicornWebWorker --access-logfile - web:app_factory | - | - | web | false | 8080",
        ),
        (
            "a configuration that says what to import",
            "ENTRYPOINT [\"gunicorn\"]\nCMD [\"-c\", \"conf/g.py\"]",
            vec![
                ("requirements.txt", "falcon\ngunicorn\n"),
                ("conf/g.py", "bind = ':80'\nwsgi_app = 'web:Api()'\n"),
                ("web.py", "import falcon\nclass Api(falcon.App):\n    pass\nfrom web import Api\n"),
            ],
            "wsgi | gunicorn --config conf/g.py --access-logfile - web:Api() | - | - | web | false | 8080",
        ),
        (
            "Flask's own command under another name",
            "CMD [\"shop\", \"run\", \"--host\", \"0.0.0.0\"]",
            vec![
                ("requirements.txt", "flask\n"),
                ("setup.py", "setup(entry_points={'console_scripts': ['shop = shop.cli:cli']})"),
                ("shop/cli.py", group),
                ("wsgi.py", FLASK),
            ],
            &format!("flask | {GUNICORN} wsgi:app | gunicorn==23.0.0 | - | wsgi | false | 8080"),
        ),
    ] {
        let docker = docker(start);
        let mut files = files;
        files.push(("Dockerfile", &docker));
        assert_eq!(told(&files), expected, "{name}");
    }
}

#[test]
fn what_scripts_and_modules_serve() {
    let worker = "from flask import Flask\napplication = Flask('worker')\n";
    let web = "from flask import Flask\napplication = Flask('web')\n";
    let script = "#!/bin/bash\ncase \"$1\" in\n  worker) exec celery -A work.queue worker ;;\n  api) exec gunicorn -c /srv/g.py web ;;\nesac\n";
    let files = [("requirements.txt", "flask\n"), ("web.py", web), ("work.py", worker), ("docker/run.sh", script)];
    assert_eq!(told(&files), format!("flask | {GUNICORN} web:application | gunicorn==23.0.0 | - | web | false | 8080"));
    let api = "import argparse\nfrom aiohttp.web import run_app\nP = argparse.ArgumentParser()\nP.add_argument('--api-port', default=8081)\ndef main():\n    run_app(None, sock=bound())\nif __name__ == '__main__':\n    main()\n";
    let files = [
        ("requirements.txt", "aiohttp\n"),
        ("shop/api/__init__.py", ""),
        ("shop/api/__main__.py", api),
        ("shop/db/__init__.py", ""),
        ("shop/db/__main__.py", GUARD),
    ];
    assert_eq!(told(&files), "script | python -m shop.api | - | - | shop.api.__main__ | false | 8081");
}

#[test]
fn places_of_a_volume_are_in_the_image_too() {
    let docker = "FROM python:3.13\nENV STORE=/data/x LOGS=/var/log/x\nVOLUME /data\nCMD [\"python\", \"job.py\"]\n";
    let job = "import os\nif __name__ == '__main__':\n    print(os.environ['STORE'], os.environ['LOGS'])\n";
    let texts = [("requirements.txt", ""), ("job.py", job), ("Dockerfile", docker)];
    let findings = inspect(&SourceTree::of_texts(texts), |_| {}).unwrap();
    let set: Vec<_> = findings.image_env.iter().map(|(name, found)| format!("{name}={}", found.value)).collect();
    assert_eq!(set, ["STORE=/data/x"]);
}

#[test]
fn what_setuptools_pins_bounds_the_release() {
    let setup = "from setuptools import setup\nsetup(install_requires=['gevent==22.10.2', 'flask'])\n";
    let findings = inspect(&SourceTree::of_texts([("setup.py", setup), ("app.py", FLASK)]), |_| {}).unwrap();
    let limits: Vec<_> = findings.limits.iter().map(|limit| limit.value.to_string()).collect();
    assert_eq!(limits, ["below 3.13"]);
    assert_eq!(findings.limits[0].origin.line, Some(2));
}

#[test]
fn what_supervisor_a_composition_and_settings_name() {
    let flask = "from flask import Flask\napp = Flask(__name__)\n";
    let factory = "from flask import Flask\ndef create_app(settings):\n    return Flask(__name__)\n";
    let option = "import argparse\nPORT = 8008\ndef main():\n    p = argparse.ArgumentParser()\n    p.add_argument('--port', default=PORT)\n";
    let setup = ("setup.py", "setup(entry_points={'console_scripts': ['shop = shop.main:main']})\n");
    let serve = ("setup.py", "setup(entry_points={'console_scripts': ['shop = shop.serve:main']})\n");
    let docker = |start: &str| format!("FROM python:3.13\nENV M=shop.wsgi N=app\nCOPY . .\n{start}\n");
    let supervised = docker("CMD [\"supervisord\", \"-c\", \"/etc/s.conf\"]");
    let conf = "[program:nginx]\ncommand=nginx\n[program:a]\ncommand=shop run-worker\n[program:b]\ncommand=shop run-server -b 0.0.0.0:9000\n";
    let of_place = docker("CMD shop migrate --ini $INI && shop start --ini $INI");
    let of_variables = docker("CMD gunicorn ${M}:${N} --bind :80");
    let compose = "services:\n  shop:\n    build: .\n    command: python -m shop.main --loud\n  db:\n    image: postgres\n    command: python -m shop.index\n";
    for (name, files, expected) in [
        (
            "the program of supervisor that serves, by a configuration beside the Dockerfile",
            vec![setup, ("docker/Dockerfile", &supervised), ("docker/s.conf", conf), ("a.py", flask), ("b.py", flask)],
            "script | shop run-server -b 0.0.0.0:9000 | - | - | shop.main | false | 9000",
        ),
        (
            "the last command with its sub-command, and the port of its option",
            vec![serve, ("Dockerfile", &of_place), ("shop/serve.py", option)],
            "script | shop start | - | - | shop.serve | false | 8008",
        ),
        (
            "a module of a project below by variables",
            vec![
                ("requirements.txt", "gunicorn\n-e ./plugin\n"),
                ("Dockerfile", &of_variables),
                ("plugin/setup.py", ""),
                ("plugin/shop/wsgi.py", "app = make()\n"),
            ],
            "wsgi | gunicorn --access-logfile - shop.wsgi:app | - | /app/plugin | shop.wsgi | false | 8080",
        ),
        (
            "the service that a composition builds",
            vec![("requirements.txt", "requests\n"), ("docker-compose.yml", compose)],
            "script | python -m shop.main --loud | - | - | shop/main.py | false | -",
        ),
        (
            "a factory with what FLASK_APP gives it",
            vec![
                ("requirements.txt", "flask\ngunicorn\n"),
                ("site.py", factory),
                (".flaskenv", "FLASK_APP=\"site:create_app('prod')\"\n"),
            ],
            "flask | gunicorn --access-logfile - site:create_app('prod') | - | - | site | false | 8080",
        ),
        (
            "Sanic that speaks no ASGI",
            vec![("requirements.txt", "sanic==18.12\n"), ("web.py", "from sanic import Sanic\napp = Sanic()\n")],
            "sanic | web.app | - | - | web | false | 8080",
        ),
    ] {
        assert_eq!(told(&files), expected, "{name}");
    }
}
