//! One repository: planned, built, started, asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bollard::Docker;
use serde_json::Value;

use crate::container::Container;
use crate::coverage::{Line, cell};
use crate::probe;
use crate::rows::{Probe, Row};

/// How long an application may take until it answers.
const START: Duration = Duration::from_secs(90);

/// Failures that a line in `slipway.toml` settles.
const SETTLED: &[&str] =
    &["application_ambiguous", "application_not_found", "ecosystem_ambiguous", "process_ambiguous", "version_conflict"];

/// What repositories are tried with.
pub(crate) struct Bench {
    pub(crate) slipway: PathBuf,
    pub(crate) clones: PathBuf,
    pub(crate) plan_only: bool,
    pub(crate) keep_images: bool,
}

impl Bench {
    /// Whether there is a clone of the row's repository.
    pub(crate) fn has(&self, row: &Row) -> bool {
        self.clone_of(row).is_some()
    }

    fn clone_of(&self, row: &Row) -> Option<PathBuf> {
        let candidates = [self.clones.join(&row.name), self.clones.join(format!("{}.git", row.name))];
        candidates.into_iter().find(|path| path.is_dir())
    }

    /// Tries a row; what it gives has no `first` yet.
    pub(crate) async fn attempt(&self, row: &Row) -> Line {
        let mut line = Line {
            ecosystem: row.ecosystem.clone(),
            commit: row.commit[..12].to_owned(),
            outcome: "failed".to_owned(),
            ..Line::default()
        };
        match self.steps(row, &mut line).await {
            Ok(seen) => line.reason = cell(&seen),
            Err(why) => line.reason = cell(&why),
        }
        line
    }

    async fn steps(&self, row: &Row, line: &mut Line) -> Result<String, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let source = directory.path();
        self.checkout(row, source)?;
        let mut hints: &[String] = &[];
        let mut plan = self.plan(row, source, hints);
        if !row.hints.is_empty() && failure(&plan.0).is_some_and(|(code, _)| SETTLED.contains(&code)) {
            hints = &row.hints;
            plan = self.plan(row, source, hints);
        }
        line.plan_ms = plan.1;
        let passed = match hints.len() {
            0 => "passed".to_owned(),
            1 => "passed with 1 line".to_owned(),
            lines => format!("passed with {lines} lines"),
        };
        if let Some((code, message)) = failure(&plan.0) {
            if code == row.outcome {
                line.outcome = passed;
                return Ok(format!("{code}, as it should"));
            }
            return Err(format!("plan: {code}: {message}"));
        }
        facts(row, &plan.0)?;
        if self.plan_only {
            line.outcome = "planned".to_owned();
            return Ok(String::new());
        }
        let started = Instant::now();
        let report = json(&self.slipway("build", row, source, hints));
        line.build_s = Some(started.elapsed().as_secs());
        if let Some((code, message)) = failure(&report) {
            if code == row.outcome {
                line.outcome = passed;
                return Ok(format!("{code}, as it should"));
            }
            let last = report["failure"]["log_tail"].as_array().into_iter().flatten().filter_map(Value::as_str);
            return Err(format!("build: {code}: {message} {}", last.last().unwrap_or_default()));
        }
        if row.outcome == "library" {
            line.outcome = passed;
            return Ok("deployed".to_owned());
        }
        if row.outcome != "runs" {
            return Err(format!("it was built, and `{}` was expected", row.outcome));
        }
        let image = report["image"]["digest"].as_str().unwrap_or_default().to_owned();
        line.size_mib = report["image"]["size"].as_u64().map(|bytes| bytes >> 20);
        let seen = ask(row, &image, &plan.0).await;
        if !self.keep_images {
            let _ = Command::new("docker").args(["image", "rm", "--force", &image]).output();
        }
        let seen = seen?;
        line.outcome = passed;
        Ok(seen)
    }

    /// A work tree of the commit, which the clone has to hold. Only the commit's own files are needed: a clone may lack
    /// older ones.
    fn checkout(&self, row: &Row, into: &Path) -> Result<(), String> {
        let clone = self.clone_of(row).ok_or("no clone")?;
        let clone = clone.canonicalize().map_err(|error| format!("{}: {error}", clone.display()))?;
        let url = format!("file://{}", clone.display());
        let serve = "git -c uploadpack.allowAnySHA1InWant=true upload-pack";
        let origin = format!("https://github.com/{}.git", row.name);
        git(into, &["init", "--quiet"])?;
        let fetch = ["fetch", "--quiet", "--depth", "1", "--no-tags", "--upload-pack", serve, &url, &row.commit];
        match git(into, &fetch) {
            Ok(()) => git(into, &["-c", "advice.detachedHead=false", "checkout", "--quiet", &row.commit])?,
            Err(why) if why.contains("unable to read") => borrow(into, &clone, &row.commit)?,
            Err(why) => return Err(why),
        }
        git(into, &["remote", "add", "origin", &origin])
    }

    /// Plans twice, so that the files have been read once, and gives the second answer with its time.
    fn plan(&self, row: &Row, source: &Path, hints: &[String]) -> (Value, Option<u128>) {
        let _ = self.slipway("plan", row, source, hints);
        let started = Instant::now();
        let answer = json(&self.slipway("plan", row, source, hints));
        (answer, Some(started.elapsed().as_millis()))
    }

    fn slipway(&self, verb: &str, row: &Row, source: &Path, hints: &[String]) -> std::io::Result<Output> {
        let name = row.directory.rsplit('/').next().filter(|name| !name.is_empty());
        let name = name.or(row.name.rsplit('/').next()).unwrap_or_default().to_lowercase();
        let words: Vec<&str> =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let kind = if row.outcome == "library" { "library" } else { "service" };
        Command::new(&self.slipway)
            .arg(verb)
            .arg(source)
            .args(["--directory", &row.directory, "--format", "json"])
            .args(["--product-line", "corpus", "--name", &words.join("-"), "--kind", kind])
            .args(hints.iter().flat_map(|hint| ["--set", hint]))
            .output()
    }
}

/// The work tree of a clone that lacks some files, large ones that nobody kept: all the others, in a commit of the same time.
fn borrow(into: &Path, clone: &Path, commit: &str) -> Result<(), String> {
    let inner = clone.join(".git/objects");
    let objects = if inner.is_dir() { inner } else { clone.join("objects") };
    let alternates = into.join(".git/objects/info/alternates");
    std::fs::write(alternates, format!("{}\n", objects.display())).map_err(|error| error.to_string())?;
    git(into, &["update-ref", "--no-deref", "HEAD", commit])?;
    git(into, &["read-tree", "HEAD"])?;
    // It goes on behind a file that cannot be read.
    let _ = git(into, &["checkout-index", "--all", "--quiet"]);
    git(into, &["add", "--all"])?;
    let when = says(into, &["show", "--no-patch", "--format=%cI", commit])?;
    let tree = says(into, &["write-tree"])?;
    let message = format!("what is there of {commit}");
    let author = ["-c", "user.name=corpus", "-c", "user.email=corpus@localhost"];
    let mut command = Command::new("git");
    command.current_dir(into).envs([("GIT_AUTHOR_DATE", &when), ("GIT_COMMITTER_DATE", &when)]);
    let made = command.args(author).args(["commit-tree", &tree, "-m", &message]).output();
    let made = made.map_err(|error| format!("git: {error}"))?;
    git(into, &["update-ref", "--no-deref", "HEAD", String::from_utf8_lossy(&made.stdout).trim()])
}

/// What Git answers.
fn says(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git").current_dir(directory).args(arguments).output();
    let output = output.map_err(|error| format!("git: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn git(directory: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("git").current_dir(directory).args(arguments).output();
    let output = output.map_err(|error| format!("git: {error}"))?;
    let why = || format!("git {}: {}", arguments.join(" "), cell(&String::from_utf8_lossy(&output.stderr)));
    output.status.success().then_some(()).ok_or_else(why)
}

fn json(output: &std::io::Result<Output>) -> Value {
    match output {
        Ok(output) => serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            serde_json::json!({ "failure": { "code": "no_answer", "message": cell(&stderr) } })
        }),
        Err(error) => serde_json::json!({ "failure": { "code": "no_answer", "message": error.to_string() } }),
    }
}

fn failure(answer: &Value) -> Option<(&str, &str)> {
    let failure = answer.get("failure").filter(|failure| failure.is_object())?;
    Some((failure["code"].as_str().unwrap_or_default(), failure["message"].as_str().unwrap_or_default()))
}

/// Whether the plan decided what the row says.
fn facts(row: &Row, plan: &Value) -> Result<(), String> {
    let recognised = plan["toolchain"]["name"].as_str().unwrap_or_default();
    if recognised != row.ecosystem {
        return Err(format!("plan: recognised as `{recognised}`"));
    }
    for (key, expected) in &row.plan {
        let decisions = plan["decisions"].as_array().into_iter().flatten();
        let value =
            decisions.filter(|decision| decision["key"] == key.as_str()).map(|decision| &decision["value"]).last();
        let value =
            value.map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        if value != *expected {
            return Err(format!("plan: `{key}` is `{value}`, not `{expected}`"));
        }
    }
    Ok(())
}

/// Starts the image and asks it what the row wants to know.
async fn ask(row: &Row, image: &str, plan: &Value) -> Result<String, String> {
    let probe = row.probe.clone().ok_or("there is no probe")?;
    let planned = plan["image"]["ports"][0].as_u64().and_then(|port| u16::try_from(port).ok());
    let port = probe.port.or(planned).filter(|_| probe.path.is_some());
    let docker = Docker::connect_with_defaults().map_err(|error| error.to_string())?;
    let container = Container::start(&docker, image, &row.env, &row.args, port).await?;
    let seen = probe::until(START, || answer(&container, &probe), || container.is_running()).await;
    match seen {
        Ok(seen) => Ok(seen),
        Err(why) => {
            let log = container.log().await;
            let last: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
            let last = last[last.len().saturating_sub(2)..].join(" / ");
            Err(format!("start: {why}: {last}"))
        }
    }
}

async fn answer(container: &Container, probe: &Probe) -> Result<String, String> {
    if let Some(text) = &probe.log {
        let log = container.log().await;
        return if log.contains(text) { Ok(format!("log: {text}")) } else { Err(format!("the log has no `{text}`")) };
    }
    let path = probe.path.as_deref().unwrap_or("/");
    let (status, body) = probe::get(&container.address(), path).await.map_err(|error| error.to_string())?;
    if status != probe.status {
        return Err(format!("GET {path} answered {status}"));
    }
    if !body.contains(&probe.contains) {
        return Err(format!("the answer to GET {path} has no `{}`", probe.contains));
    }
    Ok(format!("GET {path} {status}"))
}
