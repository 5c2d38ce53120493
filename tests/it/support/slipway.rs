//! The built program, with a configuration for the test services.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::services::service;

/// A build never takes longer than this.
const DEADLINE: Duration = Duration::from_mins(12);

/// The product line of every test image: the first part of its name.
pub(crate) const PRODUCT_LINE: &str = "slipway-test";

/// The program and its configuration.
pub(crate) struct Slipway {
    directory: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// How a run ended.
pub(crate) struct Run {
    /// The exit code.
    pub(crate) code: i32,
    /// The JSON on stdout; null where there is none.
    pub(crate) report: Value,
    /// What people are told.
    pub(crate) stderr: String,
}

impl Slipway {
    /// With the registry, the account and the Maven repository of `make services`.
    pub(crate) fn new() -> Self {
        Self::with(service("SLIPWAY_TEST_REGISTRY"), service("SLIPWAY_TEST_PASSWORD"))
    }

    /// With another registry or a password of its own.
    pub(crate) fn with(registry: &str, password: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("password");
        std::fs::write(&secret, password).unwrap();
        let maven = service("SLIPWAY_TEST_BRIDGE_MAVEN");
        let maven_host = maven.split('/').nth(2).unwrap_or_default();
        // What was downloaded once serves the next run too, and `cargo clean` removes it.
        let cache = format!("{}/slipway-cache", env!("CARGO_TARGET_TMPDIR"));
        let secret = secret.display().to_string();
        let config = format!(
            "[registry]\nhost = {registry:?}\ncredentials = \"test\"\n\
             [credentials.test]\nusername = {username:?}\npassword = {{ file = {secret:?} }}\n\
             hosts = [{registry:?}, {maven_host:?}]\nproduct_lines = [{PRODUCT_LINE:?}]\n\
             [mirrors]\nmaven_deploy = {{ url = {maven:?}, credentials = \"test\" }}\n\
             [cache]\ndirectory = {cache:?}\n\
             [limits]\ndisk = \"1GiB\"\n\
             [build]\nown_dockerfiles = true\n",
            username = service("SLIPWAY_TEST_USER"),
        );
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        Self { directory, env: Vec::new() }
    }

    /// With a variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same for what is there already.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// With further lines in its configuration.
    pub(crate) fn and(self, lines: &str) -> Self {
        let path = self.config();
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{config}{lines}")).unwrap();
        self
    }

    /// Where its configuration is.
    pub(crate) fn config(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    /// With another configuration altogether.
    pub(crate) fn replace_config(&self, text: &str) {
        std::fs::write(self.directory.path().join("config.toml"), text).unwrap();
    }

    /// `slipway build DIR --format json` with the test's product line.
    pub(crate) async fn build(&self, directory: &Path, args: &[String]) -> Run {
        let mut all = ["build", "--format", "json", "--product-line", PRODUCT_LINE].map(str::to_owned).to_vec();
        all.extend(args.iter().cloned());
        all.push(directory.display().to_string());
        self.run(&all).await
    }

    /// Any command line.
    pub(crate) async fn run(&self, args: &[String]) -> Run {
        let child = self.command(args).output();
        let output = tokio::time::timeout(DEADLINE, child).await.expect("slipway ends in time").unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Run { code: output.status.code().unwrap_or(-1), report, stderr }
    }

    /// The program with a command line, not yet started.
    pub(crate) fn command(&self, args: &[String]) -> tokio::process::Command {
        // Figures are those of a release, which tests are not.
        let program =
            std::env::var("SLIPWAY_TEST_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_slipway").to_owned());
        let mut command = tokio::process::Command::new(program);
        command.arg("--config").arg(self.config()).args(args);
        command.envs(self.env.iter().map(|(name, value)| (name, value))).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Run {
    /// The failure of the report.
    pub(crate) fn failure(&self) -> &Value {
        &self.report["failure"]
    }

    /// The failure's code.
    pub(crate) fn failure_code(&self) -> &str {
        self.failure()["code"].as_str().unwrap_or_default()
    }

    /// All of it, for the message of a test that fails.
    pub(crate) fn text(&self) -> String {
        format!("exit code {}\n{:#}\n{}", self.code, self.report, self.stderr)
    }
}
