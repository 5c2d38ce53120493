//! Layouts in which a name, a here-document or a file elsewhere settles what starts and what is installed.

use super::{FLASK, GUNICORN, MANAGE, inspect, said};
use crate::model::source_tree::SourceTree;

const GUARD: &str = "if __name__ == '__main__':\n    print(1)\n";
const PINNED: &str = "gunicorn==23.0.0";

#[test]
fn names_settle_it() {
    let own = "import os\nfrom django.core.wsgi import get_wsgi_application\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n\
               _inner = get_wsgi_application()\ndef application(environ, start_response):\n    return _inner(environ, start_response)\n";
    let asgi = own.replace("wsgi", "asgi").replace("_inner = ", "application = ");
    let worker = "from flask import Flask\napplication = Flask('celery')\n";
    let settings = "WSGI_APPLICATION = 'shop.wsgi.application'\n";
    for (name, files, expected) in [
        (
            "a script with the application's name beside its tools",
            vec![("requirements.txt", "requests"), ("order.py", GUARD), ("orderctl.py", GUARD), ("migrate.py", GUARD)],
            "script | python order.py | - | -".to_owned(),
        ),
        (
            "a worker's module",
            vec![("requirements.txt", "flask"), ("shop_web.py", FLASK), ("run_celery.py", worker)],
            format!("flask | {GUNICORN} shop_web:app | {PINNED} | -"),
        ),
        (
            "a function around Django's object",
            vec![
                ("requirements.txt", "django"),
                ("manage.py", MANAGE),
                ("shop/settings.py", settings),
                ("shop/wsgi.py", own),
                ("shop/asgi.py", &asgi),
            ],
            format!("django | {GUNICORN} shop.wsgi:application | {PINNED} | -"),
        ),
        (
            "a file that only its name can be given of",
            vec![
                ("requirements.txt", "flask"),
                ("shop-web.py", FLASK),
                ("Dockerfile", "FROM python\nCMD [\"gunicorn\", \"shop-web:app\"]\n"),
            ],
            format!("flask | {GUNICORN} shop-web:app | {PINNED} | -"),
        ),
        (
            "such a script, where nothing else starts",
            vec![("requirements.txt", "requests"), ("shop-export.py", GUARD), ("config.py", "A = 1\n")],
            "script | python shop-export.py | - | -".to_owned(),
        ),
        (
            "a script that is started as a program",
            vec![
                ("requirements.txt", "requests"),
                ("run.py", "#!/usr/bin/env python3\nimport sys\nprint(sys.argv)\n"),
                ("seed.py", GUARD),
                ("main.py", GUARD),
                ("Dockerfile", "FROM python:3.13\nCMD [\"./run.py\", \"web\"]\n"),
            ],
            "script | python run.py web | - | -".to_owned(),
        ),
    ] {
        let findings = inspect(&SourceTree::of_texts(files), |_| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(said(&findings), expected, "{name}");
    }
}

#[test]
fn a_command_that_completes_what_its_factory_makes() {
    let factory = "from flask import Flask\ndef create_app():\n    return Flask(__name__)\n";
    let run = "from shop import create_app\ndef main():\n    app = create_app()\n    @app.before_request\n    def login():\n        pass\n    app.run()\n";
    let setup = "from setuptools import setup\nsetup(name='shop', entry_points={'console_scripts': ['shop = shop.run:main']})\n";
    for (run, expected) in [
        (run.to_owned(), "script | shop | - | -".to_owned()),
        (run.replace("@app.before_request", "@cache"), format!("flask | {GUNICORN} shop:create_app() | {PINNED} | -")),
    ] {
        let files = [
            ("requirements.txt", "flask"),
            ("setup.py", setup),
            ("shop/__init__.py", factory),
            ("shop/run.py", run.as_str()),
        ];
        assert_eq!(said(&inspect(&SourceTree::of_texts(files), |_| {}).unwrap()), expected);
    }
}

#[test]
fn dockerfiles_beside_a_directory_and_scripts_in_them() {
    let files = [
        ("back/requirements.txt", "requests"),
        ("back/run.py", "#!/usr/bin/env python3\nimport sys\nif __name__ == '__main__':\n    print(sys.argv)\n"),
        ("front/x.js", ""),
        ("docker/Dockerfile.front", "FROM python:3.9\nCOPY front /x\nCMD [\"python\", \"-m\", \"http.server\"]\n"),
        (
            "docker/Dockerfile.web",
            "FROM python:3.11\nCOPY ./back/run.py /x/run.py\nEXPOSE 90\nCMD [\"./run.py\", \"web\"]\n",
        ),
    ];
    let tree = SourceTree::of_texts(files);
    let findings = inspect(&tree, |inspection| inspection.directory = "back").unwrap();
    assert_eq!(said(&findings), "script | python run.py web | - | -");
    assert_eq!(findings.suggestions[0].value.to_string(), "3.11");

    let files = [
        (
            "Dockerfile",
            "FROM python:3.13\nRUN <<EOS\nset -e\npip install -r conf/web.txt\nEOS\nCMD [\"python\", \"web.py\"]\n",
        ),
        ("conf/web.txt", "requests"),
        ("web.py", "import requests\nif __name__ == '__main__':\n    pass\n"),
    ];
    let findings = inspect(&SourceTree::of_texts(files), |_| {}).unwrap();
    assert_eq!(findings.variables["requirements_files"], serde_json::json!(["conf/web.txt"]));
}
