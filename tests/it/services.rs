//! What `make services` started, as its `services.env` tells it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// Where `make services` keeps what it started.
pub(crate) fn directory() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let state = || {
        let home = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
        home.map(|home| home.join("slipway/services"))
    };
    variable("SLIPWAY_SERVICES").or_else(state).expect("`HOME` or `SLIPWAY_SERVICES` is set")
}

static VARIABLES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let file = directory().join("services.env");
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; start the services with `make services`", file.display()));
    text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
});

/// A value of `services.env`; the test fails when the services were not started.
pub(crate) fn service(name: &str) -> &'static str {
    VARIABLES.get(name).unwrap_or_else(|| panic!("`services.env` has no `{name}`: run `make services` again"))
}

/// `rabbitmqctl` for the broker of `make services`.
pub(crate) fn rabbitmqctl(arguments: &[&str]) {
    let directory = directory();
    let output = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl")
        .args(["--quiet", "-n", "slipway@localhost"])
        .args(arguments)
        .env("HOME", directory.join("rabbitmq/home"))
        .env("ERL_EPMD_PORT", std::fs::read_to_string(directory.join("epmd.port")).unwrap().trim())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a command of the test's own and gives its output.
pub(crate) fn run(directory: &std::path::Path, line: &[&str]) -> String {
    let output = Command::new(line[0])
        .args(&line[1..])
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
