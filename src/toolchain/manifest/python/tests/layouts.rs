//! One row per layout that starts without any setting.

use super::{ASGI, FACTORY, FASTAPI, FLASK, GUNICORN, MANAGE, WSGI, inspect, said};
use crate::model::source_tree::SourceTree;

/// Name, files, what is said.
type Case = (&'static str, Vec<(&'static str, &'static str)>, String);

const PINNED: &str = "gunicorn==23.0.0";

fn check(cases: Vec<Case>) {
    for (name, files, expected) in cases {
        let findings = inspect(&SourceTree::of_texts(files), |_| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(said(&findings), expected, "{name}");
    }
}

#[test]
fn objects_and_factories() {
    let own_asgi = "fastapi\nuvicorn";
    check(vec![
        (
            "flat app.py",
            vec![("requirements.txt", "Flask==3\n"), ("app.py", FLASK)],
            format!("flask | {GUNICORN} app:app | {PINNED} | -"),
        ),
        (
            "own gunicorn, another file name",
            vec![("requirements.txt", "flask\ngunicorn"), ("service.py", "import flask as f\nserver = f.Flask('x')\n")],
            format!("flask | {GUNICORN} service:server | - | -"),
        ),
        (
            "waitress",
            vec![("requirements.txt", "flask\nwaitress"), ("app.py", FLASK)],
            "flask | waitress-serve app:app | - | -".into(),
        ),
        (
            "package factory",
            vec![("requirements.txt", "flask"), ("shop/__init__.py", FACTORY)],
            format!("flask | {GUNICORN} shop:create_app() | {PINNED} | -"),
        ),
        (
            "factory and the object it makes",
            vec![
                ("requirements.txt", "flask"),
                ("shop/__init__.py", FACTORY),
                ("wsgi.py", "from shop import create_app\napplication = create_app()\n"),
            ],
            format!("flask | {GUNICORN} wsgi:application | {PINNED} | -"),
        ),
        (
            "re-export in wsgi.py",
            vec![("requirements.txt", "flask"), ("shop/__init__.py", FLASK), ("wsgi.py", "from shop import app\n")],
            format!("flask | {GUNICORN} wsgi:app | {PINNED} | -"),
        ),
        (
            "src layout",
            vec![
                ("pyproject.toml", "[build-system]\n[project]\nname='shop'\ndependencies=['flask']"),
                ("src/shop/__init__.py", FACTORY),
            ],
            format!("flask | {GUNICORN} shop:create_app() | {PINNED} | /app/src"),
        ),
        (
            "FastAPI",
            vec![("requirements.txt", "fastapi"), ("main.py", FASTAPI)],
            "fastapi | uvicorn main:app | uvicorn==0.34.0 | -".into(),
        ),
        (
            "app/main.py with routers",
            vec![
                ("requirements.txt", own_asgi),
                ("app/__init__.py", ""),
                (
                    "app/main.py",
                    "from fastapi import FastAPI\napp = FastAPI()\nsub = FastAPI()\napp.mount('/sub', sub)\n",
                ),
                ("tests/main.py", FASTAPI),
            ],
            "fastapi | uvicorn app.main:app | - | -".into(),
        ),
        (
            "FastAPI's extras bring uvicorn",
            vec![("requirements.txt", "fastapi[standard]"), ("main.py", FASTAPI)],
            "fastapi | uvicorn main:app | - | -".into(),
        ),
        (
            "gunicorn with uvicorn's worker",
            vec![("requirements.txt", "fastapi\nuvicorn\ngunicorn"), ("main.py", FASTAPI)],
            "fastapi | gunicorn --worker-class uvicorn.workers.UvicornWorker --access-logfile - main:app | - | -"
                .into(),
        ),
        (
            "FastAPI factory",
            vec![
                ("requirements.txt", own_asgi),
                ("api.py", "from fastapi import FastAPI\ndef build():\n    return FastAPI()\n"),
            ],
            "fastapi | uvicorn --factory api:build | - | -".into(),
        ),
    ]);
}

#[test]
fn projects_scripts_and_the_rest() {
    let tornado = "import tornado.web, tornado.ioloop\nif __name__ == '__main__':\n    a = tornado.web.Application([])\n    a.listen(8888)\n";
    check(vec![
        (
            "Django",
            vec![
                ("requirements.txt", "Django>=5"),
                ("manage.py", MANAGE),
                ("shop/settings.py", "DEBUG = 0"),
                ("shop/wsgi.py", WSGI),
                ("shop/asgi.py", ASGI),
            ],
            format!("django | {GUNICORN} shop.wsgi:application | {PINNED} | -"),
        ),
        (
            "Django in a sub-directory",
            vec![("requirements.txt", "Django"), ("back/manage.py", MANAGE), ("back/shop/wsgi.py", WSGI)],
            format!("django | {GUNICORN} shop.wsgi:application | {PINNED} | /app/back"),
        ),
        (
            "Django behind an ASGI server of its own",
            vec![
                ("requirements.txt", "django\nuvicorn"),
                ("manage.py", MANAGE),
                ("shop/wsgi.py", WSGI),
                ("shop/asgi.py", ASGI),
            ],
            "django | uvicorn shop.asgi:application | - | -".into(),
        ),
        (
            "Tornado",
            vec![("requirements.txt", "tornado"), ("server.py", tornado)],
            "tornado | python server.py | - | -".into(),
        ),
        (
            "script",
            vec![("requirements.txt", "requests"), ("job.py", "if __name__ == '__main__':\n    pass\n")],
            "script | python job.py | - | -".into(),
        ),
        (
            "Procfile",
            vec![
                ("requirements.txt", "flask"),
                ("Procfile", "web: gunicorn shop:app\n"),
                ("a.py", FLASK),
                ("b.py", FLASK),
            ],
            format!("script | gunicorn shop:app | {PINNED} | /app"),
        ),
        (
            "entrypoint.sh alone",
            vec![("requirements.txt", "requests"), ("entrypoint.sh*", "#!/bin/sh\n")],
            "script | /app/entrypoint.sh | - | -".into(),
        ),
        (
            "a subclass, files with errors, and comments",
            vec![
                ("requirements.txt", "flask"),
                ("bad.py", "def (((\n# flask\n"),
                ("notes.py", "'''\nfrom flask import Flask\napp = Flask(__name__)\n'''\n# app = Flask()\n"),
                ("web.py", "from flask import Flask\nclass Shop(Flask):\n    pass\napp = Shop(__name__)\n"),
            ],
            format!("flask | {GUNICORN} web:app | {PINNED} | -"),
        ),
        (
            "the application's name settles it",
            vec![("requirements.txt", "flask"), ("order.py", FLASK), ("stock.py", FLASK)],
            format!("flask | {GUNICORN} order:app | {PINNED} | -"),
        ),
        (
            "`.flaskenv`",
            vec![
                ("requirements.txt", "flask"),
                (".flaskenv", "FLASK_APP=shop:create_app\n"),
                ("app.py", FLASK),
                ("shop.py", FACTORY),
            ],
            format!("flask | {GUNICORN} shop:create_app() | {PINNED} | -"),
        ),
    ]);
}

#[test]
fn objects_that_other_modules_complete() {
    let views = "from . import app\n\n@app.route('/')\ndef home():\n    return 'home'\n";
    let serving = "from shop import make, parts\n\ndef main():\n    app = make()\n    app.register_blueprint(parts.pages)\n    serve(app)\n";
    let factory = "from flask import Flask\napp = Flask(__name__)\ndef make():\n    return app\n";
    let guarded = "from shop.serving import main\nif __name__ == '__main__':\n    main()\n";
    check(vec![
        (
            "the module at the root that imports the pages",
            vec![
                ("requirements.txt", "flask"),
                ("shop/__init__.py", FLASK),
                ("shop/views.py", views),
                ("shop/web.py", "from . import app\nfrom . import views\n"),
                ("startup.py", "from shop.web import app\n"),
            ],
            format!("flask | {GUNICORN} startup:app | {PINNED} | -"),
        ),
        (
            "the object's own package imports them",
            vec![
                ("requirements.txt", "flask"),
                ("shop/__init__.py", "from flask import Flask\napp = Flask(__name__)\nfrom shop import views\n"),
                ("shop/views.py", views),
                ("startup.py", "from shop import app\n"),
            ],
            format!("flask | {GUNICORN} shop:app | {PINNED} | -"),
        ),
        (
            "a script that would run it by itself cannot be imported",
            vec![
                ("requirements.txt", "flask"),
                ("shop/__init__.py", FLASK),
                ("shop/views.py", views),
                ("start.py", "from shop import app\nimport shop.views\napp.run()\n"),
            ],
            format!("flask | {GUNICORN} shop.views:app | {PINNED} | -"),
        ),
        (
            "what a function completes is started by its script",
            vec![
                ("requirements.txt", "flask"),
                ("shop/__init__.py", factory),
                ("shop/parts.py", "from flask import Blueprint\npages = Blueprint('p', __name__)\n"),
                ("shop/serving.py", serving),
                ("shop.py", guarded),
            ],
            "script | python shop.py | - | -".into(),
        ),
    ]);
}

#[test]
fn commands_of_dockerfiles_and_procfiles() {
    let project = "[build-system]\nrequires=['setuptools']\n[project]\nname='order'\nscripts={order='shop:main', other='shop:other'}\n";
    let web = "[build-system]\nrequires=['setuptools']\n[project]\nname='order'\ndependencies=['django']\nscripts={order='shop:main'}\n";
    check(vec![
        (
            "an installed command behind its interpreter",
            vec![
                ("pyproject.toml", project),
                ("shop/__init__.py", "def main():\n    pass\n"),
                (
                    "Dockerfile",
                    "FROM python:3.13\nENTRYPOINT [\"/venv/bin/python\", \"/venv/bin/order\"]\nCMD [\"--hosts\", \"0.0.0.0:5232\"]\n",
                ),
            ],
            "script | order --hosts 0.0.0.0:5232 | - | -".into(),
        ),
        (
            "a command of its own that the Dockerfile starts, whose work Django does",
            vec![
                ("pyproject.toml", web),
                ("shop/__init__.py", "def main():\n    pass\n"),
                ("shop/manage.py", MANAGE),
                ("shop/shop/settings.py", ""),
                ("shop/shop/wsgi.py", WSGI),
                (
                    "Dockerfile",
                    "FROM python\nENTRYPOINT [\"dumb-init\", \"--\", \"/app/bin/entry.sh\"]\nCMD [\"order\", \"server\", \"0.0.0.0:8000\"]\n",
                ),
            ],
            "script | order server 0.0.0.0:8000 | - | -".into(),
        ),
        (
            "a sub-command that the project adds to another's program",
            vec![
                (
                    "setup.py",
                    "from setuptools import setup\nsetup(name='till', entry_points={'celery.commands': ['till = till:till']})\n",
                ),
                ("till/__init__.py", "def till():\n    pass\n"),
                ("till/__main__.py", "if __name__ == '__main__':\n    pass\n"),
                (
                    "Dockerfile",
                    "FROM python\nRUN pip install redis till\nCMD [\"celery\", \"till\", \"--port=5555\"]\n",
                ),
            ],
            "script | celery till --port=5555 | - | -".into(),
        ),
        (
            "a command of `setup.py`",
            vec![
                (
                    "setup.py",
                    "from setuptools import setup\nsetup(name='till', entry_points='[console_scripts]\\ntill=a:b')\n",
                ),
                ("setup.cfg", "[options.entry_points]\nconsole_scripts =\n    till = till:main\n"),
                ("till/__init__.py", "def main():\n    pass\n"),
            ],
            "script | till | - | -".into(),
        ),
        (
            "a worker that nobody requires",
            vec![("requirements.txt", "flask"), ("shop.py", FLASK), ("Procfile", "web: gunicorn shop:app -k gevent\n")],
            "flask | gunicorn shop:app -k gevent | gunicorn[gevent]==23.0.0 | /app".into(),
        ),
    ]);
}

#[test]
fn what_a_dockerfile_starts_by_a_script() {
    let own = "def page():\n    pass\n\ndef app(*args):\n    return page\n";
    let docker = "FROM python\nWORKDIR /app\nENTRYPOINT [\"./scripts/start.sh\"]\n";
    let by_options =
        "#!/bin/sh\nset -e\nmkdir -p data\n./venv/bin/gunicorn --workers $N \\\n  --bind $HOST:$PORT 'wsgi:app()'\n";
    let by_name = "#!/bin/sh\npython migrate.py\nexec uvicorn orders.office:app\n";
    check(vec![
        (
            "an object that no framework makes",
            vec![
                ("requirements.txt", "waitress"),
                ("wsgi.py", own),
                ("main.py", "if __name__ == '__main__':\n    pass\n"),
                ("Dockerfile", docker),
                ("scripts/start.sh", by_options),
            ],
            "wsgi | waitress-serve --call wsgi:app | - | -".into(),
        ),
        (
            "one of two objects",
            vec![
                ("requirements.txt", "fastapi\nuvicorn"),
                ("orders/office.py", FASTAPI),
                ("orders/public.py", FASTAPI),
                ("Dockerfile", docker),
                ("scripts/start.sh", by_name),
            ],
            "fastapi | uvicorn orders.office:app | - | -".into(),
        ),
        (
            "an object of a framework that is not known",
            vec![
                ("requirements.txt", "hug"),
                ("board.py", "import hug\nserver = hug.API(__name__).http.server()\n"),
                ("Dockerfile", "FROM python\nCMD [\"gunicorn\", \"-b\", \":80\", \"board:server\"]\n"),
            ],
            format!("wsgi | {GUNICORN} board:server | {PINNED} | -"),
        ),
        (
            "an object that the Dockerfile puts elsewhere",
            vec![
                ("requirements.txt", "uvicorn"),
                ("src/__init__.py", ""),
                ("src/till/main.py", "from .core import made\napp = made()\n"),
                ("src/till/core.py", "def made():\n    pass\n"),
                ("src/till/__init__.py", ""),
                ("Dockerfile", "FROM python\nCOPY src/till /code/till\nCMD [\"uvicorn\", \"till.main:app\"]\n"),
            ],
            "asgi | uvicorn src.till.main:app | - | -".into(),
        ),
    ]);
}

#[test]
fn one_object_under_two_names() {
    let two = "from flask import Flask\napplication = app = Flask(__name__)\n";
    check(vec![(
        "a gateway beside the one of workers",
        vec![("requirements.txt", "flask"), ("shop/wsgi.py", two), ("shop/jobs.py", FLASK), ("shop/__init__.py", "")],
        format!("flask | {GUNICORN} shop.wsgi:application | {PINNED} | -"),
    )]);
}

#[test]
fn what_is_built_alone_and_imports_itself_by_its_own_name() {
    let package = [
        ("shop/requirements.txt", "flask\ncelery"),
        ("shop/__init__.py", ""),
        ("shop/wsgi.py", "from shop.web import app\n"),
        ("shop/web.py", "from flask import Flask\nfrom shop.jobs import queue\napp = Flask(__name__)\n"),
        ("shop/jobs/__init__.py", "from celery import Celery\nqueue = Celery('shop')\n"),
    ];
    let findings = inspect(&SourceTree::of_texts(package), |inspection| inspection.directory = "shop").unwrap();
    assert_eq!(said(&findings), format!("flask | {GUNICORN} shop.wsgi:app | {PINNED} | -"));
    assert_eq!(findings.variables["own_package"], "shop");
    assert_eq!(findings.variables["import_path"], "/workspace");
    let worker = findings.processes.iter().find(|process| process.name == "worker").unwrap();
    assert_eq!(worker.command, ["celery", "--app", "shop.jobs:queue", "worker", "--loglevel=INFO"]);
    // From above it is a package like any other.
    let below = [("requirements.txt", "flask"), package[1], package[2], package[3]];
    let findings = inspect(&SourceTree::of_texts(below), |_| {}).unwrap();
    assert_eq!(said(&findings), format!("flask | {GUNICORN} shop.wsgi:app | {PINNED} | -"));
    assert!(findings.variables["own_package"].is_null() && findings.variables["import_path"].is_null());
}

#[test]
fn frameworks_that_serve_pages_or_by_themselves() {
    check(vec![
        (
            "what Dash gives a server",
            vec![
                ("requirements.txt", "dash"),
                (
                    "app.py",
                    "import dash\napp = dash.Dash(__name__)\nserver = app.server\nif __name__ == '__main__':\n    app.run(debug=True)\n",
                ),
            ],
            format!("dash | {GUNICORN} app:server | {PINNED} | -"),
        ),
        (
            "Sanic",
            vec![
                ("requirements.txt", "sanic\nuvicorn"),
                ("server.py", "from sanic import Sanic\napp = Sanic('till')\n"),
            ],
            "sanic | uvicorn server:app | - | -".into(),
        ),
        (
            "Chainlit",
            vec![
                ("requirements.txt", "chainlit"),
                ("app.py", "import chainlit as cl\n@cl.on_message\nasync def main(m):\n    await m.send()\n"),
            ],
            "chainlit | app.py | - | -".into(),
        ),
    ]);
}

#[test]
fn requirements_of_other_names() {
    let in_file = vec![("requirements.in", "flask"), ("requirements-dev.txt", "pytest"), ("app.py", FLASK)];
    let production = vec![("requirements-prod.txt", "flask"), ("requirements.in", "pytest"), ("app.py", FLASK)];
    for (files, expected) in [(in_file, "requirements.in"), (production, "requirements-prod.txt")] {
        let findings = inspect(&SourceTree::of_texts(files), |_| {}).unwrap();
        assert_eq!(findings.variables["requirements_files"], serde_json::json!([expected]));
        assert_eq!(said(&findings), format!("flask | {GUNICORN} app:app | {PINNED} | -"));
    }
}
