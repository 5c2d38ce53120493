//! Locks of every tool in, what pip is given out.

use super::super::pyproject;
use super::super::tests::FACTS;
use super::*;

/// What pip is given for a lock, one distribution a line, hashes left out.
fn said(files: &[(&str, &str)], directory: &str, extras: &[&str]) -> Vec<String> {
    let tree = SourceTree::of_texts(files.iter().copied());
    let project = pyproject::read(&tree, &inside(directory, "pyproject.toml"), &FACTS, &[]).unwrap();
    let extras: Vec<String> = extras.iter().map(ToString::to_string).collect();
    let (production, environment) = (super::super::groups::production(&FACTS), Environment::of(&FACTS));
    let asked =
        Asked { project: project.as_ref(), extras: &extras, production: &production, environment: &environment };
    let (hashed, others) = read(&tree, directory, &asked).unwrap().unwrap().requirements();
    let lines = hashed.lines().map(|line| line.split(" --hash").next().unwrap_or_default());
    lines.chain(others.lines()).map(str::to_owned).collect()
}

const POETRY: &str = "
[[package]]
name = 'flask'
version = '3.0.0'
optional = false
python-versions = '>=3.8'
files = [{file = 'a.whl', hash = 'sha256:aa'}, {file = 'a.tar.gz', hash = 'sha256:ab'}]
[package.dependencies]
importlib-metadata = {version = '>=3.6', markers = 'python_version < \"3.10\"'}
Werkzeug = '>=3.0.0'
asgiref = {version = '>=3.2', optional = true, markers = 'extra == \"async\"'}
[package.extras]
async = ['asgiref (>=3.2)']
[[package]]
name = 'werkzeug'
version = '3.0.1'
files = [{file = 'w.whl', hash = 'sha256:cc'}]
[[package]]
name = 'importlib-metadata'
version = '6.0'
files = [{file = 'i.whl', hash = 'sha256:dd'}]
[[package]]
name = 'asgiref'
version = '3.7'
files = [{file = 'g.whl', hash = 'sha256:ee'}]
[[package]]
name = 'pytest'
version = '8.0'
files = [{file = 'p.whl', hash = 'sha256:ff'}]
[[package]]
name = 'ours'
version = '1.0'
[package.source]
type = 'git'
url = 'https://example.com/ours.git'
resolved_reference = 'abc'
";

#[test]
fn poetrys_lock_without_what_developers_need() {
    let project = "[tool.poetry]\nname='x'\n[tool.poetry.dependencies]\npython='^3.9'\nflask='^3.0'\n\
                   ours={git='https://example.com/ours.git'}\n[tool.poetry.group.dev.dependencies]\npytest='*'\n";
    assert_eq!(
        said(&[("pyproject.toml", project), ("poetry.lock", POETRY)], "", &[]),
        [
            "flask==3.0.0",
            "importlib-metadata==6.0 ; python_version < '3.10'",
            "werkzeug==3.0.1",
            "ours @ git+https://example.com/ours.git@abc",
        ]
    );
    let with_extra = project.replace("flask='^3.0'", "flask={version='^3.0', extras=['async']}");
    let lines = said(&[("pyproject.toml", &with_extra), ("poetry.lock", POETRY)], "", &[]);
    assert_eq!(lines[0], "asgiref==3.7");
}

#[test]
fn uvs_lock_of_a_member_of_a_workspace() {
    let lock = "version = 1\n
[[package]]
name = 'api'
version = '0.1'
source = { editable = 'services/api' }
dependencies = [{ name = 'fastapi', extra = ['standard'] }, { name = 'shared' }, { name = 'old', marker = \"sys_platform == 'win32'\" }]
[package.optional-dependencies]
pg = [{ name = 'psycopg' }]
[package.dev-dependencies]
dev = [{ name = 'pytest' }]
[[package]]
name = 'shared'
version = '0.1'
source = { editable = 'libs/shared' }
[[package]]
name = 'fastapi'
version = '0.115'
source = { registry = 'https://index.example.com/simple' }
sdist = { url = 'x', hash = 'sha256:aa' }
[package.optional-dependencies]
standard = [{ name = 'uvicorn', version = '0.30', marker = \"python_full_version < '3.13'\" }, { name = 'uvicorn', version = '0.34', marker = \"python_full_version >= '3.13'\" }]
[[package]]
name = 'uvicorn'
version = '0.30'
source = { registry = 'https://index.example.com/simple' }
wheels = [{ url = 'x', hash = 'sha256:bb' }]
[[package]]
name = 'uvicorn'
version = '0.34'
source = { registry = 'https://index.example.com/simple' }
wheels = [{ url = 'x', hash = 'sha256:bc' }]
[[package]]
name = 'psycopg'
version = '3.2'
source = { registry = 'https://index.example.com/simple' }
wheels = [{ url = 'x', hash = 'sha256:cc' }]
[[package]]
name = 'pytest'
version = '8'
source = { registry = 'https://index.example.com/simple' }
[[package]]
name = 'old'
version = '8'
source = { registry = 'https://index.example.com/simple' }
";
    let project = "[project]\nname='api'\n[project.optional-dependencies]\npg=['psycopg']\n";
    let files = [("services/api/pyproject.toml", project), ("uv.lock", lock)];
    let expected = [
        "fastapi==0.115",
        "uvicorn==0.30 ; python_version < '3.13'",
        "uvicorn==0.34 ; python_version >= '3.13'",
        "shared @ file:///workspace/libs/shared",
    ];
    assert_eq!(said(&files, "services/api", &[]), expected);
    assert!(said(&files, "services/api", &["pg"]).contains(&"psycopg==3.2".to_owned()));
}

#[test]
fn flat_locks() {
    let pipfile = r#"{"default": {"flask": {"version": "==2.0", "hashes": ["sha256:aa"], "markers": "python_version >= '3.6'"},
        "ours": {"git": "https://example.com/o.git", "ref": "abc"}, "win": {"version": "==1", "markers": "os_name == 'nt'"}},
        "develop": {"pytest": {"version": "==8"}}}"#;
    let expected = ["flask==2.0 ; python_version >= '3.6'", "ours @ git+https://example.com/o.git@abc"];
    assert_eq!(said(&[("Pipfile.lock", pipfile)], "", &[]), expected);
    let pdm = "[[package]]\nname='flask'\nversion='3'\ngroups=['default','dev']\nmarker=\"python_version >= '3.8'\"\n\
               files=[{file='x',hash='sha256:aa'}]\n[[package]]\nname='pytest'\nversion='8'\ngroups=['dev']\n";
    assert_eq!(said(&[("pdm.lock", pdm)], "", &[]), ["flask==3 ; python_version >= '3.8'"]);
    let pylock = "lock-version='1.0'\n[[packages]]\nname='flask'\nversion='3'\nwheels=[{name='x', hashes={sha256='aa'}}]\n\
                  [[packages]]\nname='o'\n[packages.vcs]\ntype='git'\nurl='https://example.com/o'\ncommit-id='abc'\n";
    assert_eq!(said(&[("pylock.toml", pylock)], "", &[]), ["flask==3", "o @ git+https://example.com/o@abc"]);
}

#[test]
fn a_lock_of_an_older_pdm_follows_the_dependencies() {
    let project = "[project]\nname='x'\ndependencies=['web[fast]>=2']\n";
    let lock = "[metadata]\nlock_version='4.2'\n[[package]]\nname='Web'\nversion='2'\ndependencies=['tools>=1']\n\
        [[package]]\nname='web'\nversion='2'\nextras=['fast']\ndependencies=['web==2', \"loop; sys_platform != 'win32'\"]\n\
        [[package]]\nname='tools'\nversion='1'\n[[package]]\nname='loop'\nversion='3'\n\
        files=[{file='x', hash='sha256:bb'}]\n[[package]]\nname='pytest'\nversion='8'\n\
        [metadata.files]\n'Web 2'=[{file='w', hash='sha256:aa'}]\n'tools 1'=[{file='t', hash='sha256:cc'}]\n";
    let read = said(&[("pyproject.toml", project), ("pdm.lock", lock)], "", &[]);
    assert_eq!(read, ["loop==3", "tools==1", "web==2"]);
}

#[test]
fn several_that_differ_are_an_error_that_the_tools_table_settles() {
    let lock = |version: &str| format!("[[package]]\nname='flask'\nversion='{version}'\ngroups=['default']\n");
    let uv = "[[package]]\nname='x'\nsource={virtual='.'}\ndependencies=[{name='flask'}]\n[[package]]\nname='flask'\nversion='1'\n";
    let read_with = |table: &str, pdm: &str| {
        let project = format!("[project]\nname='x'\ndependencies=['flask']\n{table}");
        let tree = SourceTree::of_texts([("pyproject.toml", &project[..]), ("uv.lock", uv), ("pdm.lock", pdm)]);
        let project = pyproject::read(&tree, "pyproject.toml", &FACTS, &[]).unwrap();
        let environment = Environment::of(&FACTS);
        let asked = Asked { project: project.as_ref(), extras: &[], production: &[], environment: &environment };
        read(&tree, "", &asked).map(|lock| lock.unwrap().path)
    };
    assert_eq!(read_with("", &lock("2")).unwrap_err().code, FailureCode::SourceUnusable);
    assert_eq!(read_with("", &lock("1")).unwrap(), "uv.lock");
    assert_eq!(read_with("[tool.pdm]\n", &lock("2")).unwrap(), "pdm.lock");
}
