//! Directory trees in, modules and import names out.

use toml::Table;

use super::*;

#[test]
fn import_roots() {
    for (files, file, root, name) in [
        (vec![("app.py", "")], "app.py", "", "app"),
        (vec![("shop/__init__.py", ""), ("shop/web.py", "")], "shop/web.py", "", "shop.web"),
        (vec![("shop/__init__.py", "")], "shop/__init__.py", "", "shop"),
        (vec![("src/shop/__init__.py", "")], "src/shop/__init__.py", "src", "shop"),
        (vec![("src/shop/web.py", "")], "src/shop/web.py", "src", "shop.web"),
        (vec![("src/main.py", "")], "src/main.py", "src", "main"),
        (vec![("app/main.py", "from app.x import y"), ("app/x.py", "")], "app/main.py", "", "app.main"),
        (vec![("back/main.py", "from x import y"), ("back/x.py", "")], "back/main.py", "back", "main"),
    ] {
        let tree = SourceTree::of_texts(files);
        let sources = Sources::parse_all(&tree);
        let file = sources.files.iter().find(|f| **f == file).unwrap();
        assert_eq!(sources.import_name(file), (root.to_owned(), name.to_owned()), "{file}");
    }
}

#[test]
fn a_package_of_scripts() {
    for (files, expected) in [
        (vec![("bot/run.py", "import data"), ("bot/data.py", "")], ("bot", "run")),
        (vec![("bot/run.py", "import data"), ("bot/data.py", "from . import x")], ("", "bot.run")),
        (vec![("bot/run.py", "import data"), ("bot/data.py", ""), ("x.py", "from bot import y")], ("", "bot.run")),
        (vec![("bot/run.py", "import data"), ("bot/data.py", ""), ("data.py", "")], ("", "bot.run")),
        (vec![("bot/run.py", "import redis"), ("bot/data.py", "")], ("", "bot.run")),
        (vec![("bot/run.py", "import data"), ("bot/data.py", ""), ("run/x.py", "")], ("", "bot.run")),
    ] {
        let tree = SourceTree::of_texts(files.into_iter().chain([("bot/__init__.py", "")]));
        let sources = Sources::parse_all(&tree);
        let file = sources.files.iter().find(|file| **file == "bot/run.py").unwrap();
        let (root, name) = sources.import_name(file);
        assert_eq!((root.as_str(), name.as_str()), expected);
    }
}

#[test]
fn a_directory_that_is_itself_the_package() {
    let tree = SourceTree::of_texts([
        ("back/shop/__init__.py", ""),
        ("back/shop/web.py", "from shop.cart import total\nfrom flask import Flask\napp = Flask('x')\n"),
        ("back/shop/cart/__init__.py", ""),
        ("back/other/wsgi.py", "from other import cart\nimport others.wsgi\n"),
        ("back/twice/wsgi.py", "from twice.cart import x\n"),
        ("back/twice/cart.py", ""),
        ("back/twice/twice/cart.py", ""),
    ]);
    let of = |directory| Sources::load(&tree, directory, &Table::new());
    let sources = of("back/shop");
    assert_eq!(sources.package, Some("shop"));
    assert_eq!(sources.import_name("back/shop/web.py"), ("back".into(), "shop.web".into()));
    let found = sources.locate("shop.web.app", "back/shop/cart/__init__.py");
    assert_eq!(found, Some(("back/shop/web.py".into(), Some("app".into()))));
    for directory in ["back/other", "back/twice", "back", ""] {
        assert_eq!(of(directory).package, None, "{directory}");
    }
}

#[test]
fn what_is_no_application_is_left_out() {
    for path in [
        "tests/app.py",
        "a/test_x.py",
        ".venv/lib/x.py",
        "docs/conf.py",
        "a/b/c/d/e/f.py",
        "setup.py",
        "x-y.py",
        "run_tests.py",
        "a/runtests.py",
    ] {
        assert!(!considered(path, &EXCLUDED, false), "{path}");
    }
    assert!(considered("a/b/c/d/e.py", &EXCLUDED, false));
}

#[test]
fn brought_distributions_are_no_part_of_the_application() {
    let tree = SourceTree::of_texts([
        ("shop.py", ""),
        ("shop/__init__.py", ""),
        ("lib/requests/__init__.py", ""),
        ("lib/certifi/__init__.py", ""),
        ("lib/idna/__init__.py", ""),
        ("lib/serving.py", ""),
        ("parts/requests/__init__.py", ""),
    ]);
    let facts = "[vendored]\npackages = ['requests', 'certifi', 'idna']\nseveral = 3".parse().unwrap();
    let sources = Sources::load(&tree, "", &facts);
    assert_eq!(sources.files, ["shop.py", "shop/__init__.py", "parts/requests/__init__.py"]);
    // They are found all the same.
    assert_eq!(sources.locate("serving.x", "lib/requests/__init__.py").unwrap().0, "lib/serving.py");
}

#[test]
fn words_that_speak_of_an_application() {
    for text in ["from shop import app", "import (my_app,", "application = x", "webapp()", "x.append(app)"] {
        assert!(speaks_of_app(text), "{text}");
    }
    for text in ["x.append(1)", "'application/json'", "mapping", "apply()", "App", "it appears"] {
        assert!(!speaks_of_app(text), "{text}");
    }
}

#[test]
fn imports_lead_to_files() {
    let tree = SourceTree::of_texts([("src/a/__init__.py", ""), ("src/a/b.py", ""), ("c.py", "")]);
    let sources = Sources::load(&tree, "", &toml::Table::new());
    let found =
        |dotted: &str, from: &str| sources.locate(dotted, from).map(|(f, a)| format!("{f} {}", a.unwrap_or_default()));
    assert_eq!(found("a.b.make", "c.py").as_deref(), Some("src/a/b.py make"));
    assert_eq!(found(".make", "src/a/b.py").as_deref(), Some("src/a/__init__.py make"));
    assert_eq!(found(".b", "src/a/__init__.py").as_deref(), Some("src/a/b.py "));
    assert_eq!(found("flask.Flask", "c.py"), None);
    assert_eq!(found("......x", "c.py"), None);
}
