//! The programs of the Python toolchain, run as its steps run them: the libraries that are missing, and the import that is
//! tried apart.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs one of the toolchain's programs in a directory.
fn program(name: &str, arguments: &[&str], directory: &Path, scratch: &Path) -> Output {
    command(name, arguments, directory, scratch).output().unwrap()
}

fn command(name: &str, arguments: &[&str], directory: &Path, scratch: &Path) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("toolchains/python").join(name);
    let mut command = Command::new("python3");
    command.env("TMPDIR", scratch).env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONPATH");
    command.arg(script).args(arguments).current_dir(directory);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A program of this machine that asks for `libq.so.6` where it asked for the C library.
fn lacking(path: &Path) {
    let program = std::fs::read("/bin/true").unwrap();
    let (wanted, other) = (b"\0libc.so.6\0", b"\0libq.so.6\0");
    let changed: Vec<u8> = match program.windows(wanted.len()).position(|window| window == wanted) {
        Some(at) => [&program[..at], other, &program[at + wanted.len()..]].concat(),
        None => panic!("/bin/true does not load libc.so.6"),
    };
    std::fs::write(path, changed).unwrap();
    executable(path);
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A virtual environment's directories, and where libraries are collected.
fn environment() -> (TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let (venv, native) = (root.path().join("venv"), root.path().join("native"));
    for directory in [venv.join("bin"), venv.join("lib"), native.clone()] {
        std::fs::create_dir_all(directory).unwrap();
    }
    (root, venv, native)
}

#[test]
fn libraries_that_programs_and_modules_lack_are_found() {
    let (root, venv, _) = environment();
    lacking(&venv.join("bin/server"));
    std::fs::copy("/bin/true", venv.join("bin/whole")).unwrap();
    std::fs::write(venv.join("bin/script"), "#!/bin/sh\n").unwrap();
    executable(&venv.join("bin/script"));
    let found = program("native.py", &["missing", venv.to_str().unwrap()], root.path(), root.path());
    assert!(found.status.success(), "{}", text(&found));
    let note: serde_json::Value =
        serde_json::from_slice(&std::fs::read(venv.join(".slipway-native.json")).unwrap()).unwrap();
    assert_eq!(note["missing"], serde_json::json!(["libq.so.6"]));
    let there = note["there"].as_array().unwrap();
    assert!(there.iter().any(|name| name == "libc.so.6"), "{there:?}");

    // One that a wheel ships under the same name is found once the wheel has loaded it.
    std::fs::copy("/bin/true", venv.join("lib/libq.so.6")).unwrap();
    let found = program("native.py", &["missing", venv.to_str().unwrap()], root.path(), root.path());
    assert!(found.status.success(), "{}", text(&found));
    let note: serde_json::Value =
        serde_json::from_slice(&std::fs::read(venv.join(".slipway-native.json")).unwrap()).unwrap();
    assert_eq!(note["missing"], serde_json::json!([]));
}

#[test]
fn what_the_run_image_lacks_is_copied_with_what_that_needs() {
    let (root, venv, native) = environment();
    // The run image of this test has no library at all, and the build image is this machine.
    let note = serde_json::json!({ "missing": ["libm.so.6", "libq.so.6"], "there": [], "distutils": false });
    std::fs::write(venv.join(".slipway-native.json"), note.to_string()).unwrap();
    let arguments = ["copy", venv.to_str().unwrap(), native.to_str().unwrap()];
    let copied = program("native.py", &arguments, root.path(), root.path());
    assert!(copied.status.success(), "{}", text(&copied));
    assert!(native.join("libm.so.6").metadata().unwrap().len() > 0);
    // What `libm` needs in turn.
    assert!(native.join("libc.so.6").metadata().unwrap().len() > 0);
    assert!(text(&copied).contains("`libq.so.6` is in neither image"), "{}", text(&copied));
    assert!(!venv.join(".slipway-native.json").exists(), "the note is no part of the image");
}

/// Debian's Python of before 3.12 has most of `distutils` in a package of its own.
#[test]
fn distutils_is_wanted_where_something_imports_it_that_python_has_not() {
    let (_root, venv, _) = environment();
    let wanted = |python: &str, module: &str| {
        std::fs::write(venv.join("bin/python"), format!("#!/bin/sh\n{python}\n")).unwrap();
        executable(&venv.join("bin/python"));
        let application = application(&[("shop/cart.py", module), ("setup.py", "from distutils.core import setup\n")]);
        let found = program("native.py", &["missing", venv.to_str().unwrap()], application.path(), application.path());
        assert!(found.status.success(), "{}", text(&found));
        let note = std::fs::read(venv.join(".slipway-native.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&note).unwrap()["distutils"].as_bool().unwrap()
    };
    let version = "import sys; sys.exit(sys.version_info >= (3, 12))";
    let has_any = std::process::Command::new("python3").args(["-c", version]).status().unwrap().success();
    assert_eq!(wanted("exit 1", "from distutils.util import strtobool\n"), has_any);
    assert!(!wanted("exit 1", "import json\n"));
    assert!(!wanted("exit 0", "from distutils.util import strtobool\n"));
}

/// An application whose modules are these.
fn application(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn an_import_leaves_nothing_beside_the_modules() {
    let writes = "import os\nopen('here.txt', 'w').write('x')\n\
                  open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'beside.txt'), 'w').write('x')\n";
    for module in ["shop.web", "shop/web.py"] {
        let root = application(&[("shop/__init__.py", ""), ("shop/web.py", writes), ("tmp/keep", "")]);
        // Its scratch directory lies in the application itself, as a platform's may.
        let tried = program("import_check.py", &[module], root.path(), &root.path().join("tmp"));
        assert!(tried.status.success(), "{module}: {}", text(&tried));
        assert_eq!(names(root.path()), ["shop", "tmp"], "{module}");
        assert_eq!(names(&root.path().join("shop")), ["__init__.py", "web.py"], "{module}");
        assert_eq!(names(&root.path().join("tmp")), ["keep"], "{module}");
    }
}

#[test]
fn a_directory_that_is_itself_a_package_is_imported_by_its_name() {
    let scratch = tempfile::tempdir().unwrap();
    let root = application(&[("__init__.py", ""), ("wsgi.py", "from shop.web import app\n"), ("web.py", "app = 1\n")]);
    let tried = |package: Option<&str>| {
        let mut command = command("import_check.py", &["shop.wsgi"], root.path(), scratch.path());
        command.envs(package.map(|package| ("SLIPWAY_PACKAGE", package))).output().unwrap()
    };
    assert!(tried(Some("shop")).status.success(), "{}", text(&tried(Some("shop"))));
    let apart = tried(None);
    assert!(!apart.status.success() && text(&apart).contains("No module named 'shop'"), "{}", text(&apart));
    assert_eq!(names(scratch.path()), [""; 0]);

    // In the image it stands among the installed packages, whose own are left alone.
    let venv = application(&[("lib/python3.13/site-packages/there/__init__.py", "")]);
    for name in ["shop", "shop", "there"] {
        let made = program("relocate.py", &["name", venv.path().to_str().unwrap(), name], root.path(), scratch.path());
        assert!(made.status.success(), "{}", text(&made));
    }
    let packages = venv.path().join("lib/python3.13/site-packages");
    assert_eq!(std::fs::read_link(packages.join("shop")).unwrap(), Path::new("/app"));
    assert!(packages.join("there/__init__.py").is_file() && std::fs::read_link(packages.join("there")).is_err());
}

#[test]
fn an_import_fails_for_what_is_missing_alone() {
    let scratch = tempfile::tempdir().unwrap();
    for (module, given, says, passes) in [
        ("import not_there_at_all\n", "", "cannot be imported: No module named 'not_there_at_all'", false),
        ("def (\n", "", "cannot be imported", false),
        ("import os\nos.environ['NOT_SET_HERE']\n", "", "needs something that is only there where it runs", true),
        ("from shop import configuration\n", "/shop/configuration.py", "needs `/shop/configuration.py`", true),
        ("from shop import other\n", "/shop/configuration.py", "cannot import name 'other'", false),
        ("import shop.configuration\n", "/shop/configuration.py", "needs `/shop/configuration.py`", true),
        ("import local_settings\n", "local_settings.py", "needs `local_settings.py`", true),
        ("import other.configuration\n", "/shop/configuration.py", "No module named 'other'", false),
    ] {
        let root = application(&[("shop/__init__.py", ""), ("web.py", module)]);
        let arguments = ["web", given];
        let arguments = if given.is_empty() { &arguments[..1] } else { &arguments[..] };
        let tried = program("import_check.py", arguments, root.path(), scratch.path());
        assert_eq!(tried.status.success(), passes, "{module}: {}", text(&tried));
        assert!(text(&tried).contains(says), "{module}: {}", text(&tried));
    }
    assert_eq!(names(scratch.path()), [""; 0]);
}
