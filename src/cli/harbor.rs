//! `slipway harbor`: accounts for Slipway itself, kept where the operator keeps secrets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::args::{Cli, FormatKind, HarborVerb, Keep, RobotTask, RobotWhere, RobotsVerb};
use super::setup;
use crate::config::{Config, SecretSource};
use crate::harbor::{Client, Realm, Robot, Task};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;
use crate::model::names::ProductLine;
use crate::secrets;

/// Letters and digits of a secret that Slipway makes.
const SECRET: usize = 40;

/// Characters of a robot's name with its project: Harbor answers a longer one with a bare 500.
const LONGEST_NAME: usize = 255;

/// Does what the verb says.
pub(super) async fn harbor(cli: &Cli, verb: &HarborVerb) -> Result<ExitCode, Failure> {
    let config = setup::config(cli)?;
    let HarborVerb::Robots(verb) = verb;
    match verb {
        RobotsVerb::List { place, format } => {
            let robots = client(&config, place).await?.robots(realm(place)).await?;
            if format.format != FormatKind::Text {
                return setup::print_json(&json!({ "version": 1, "robots": robots }));
            }
            for robot in &robots {
                anstream::println!("{}", line(robot));
            }
        }
        RobotsVerb::Create { name, place, may, days, keep, format } => {
            let project = place.project.as_ref().map_or("", ProductLine::as_str);
            if name.parse::<ProductLine>().is_err() || project.len() + 1 + name.len() > LONGEST_NAME {
                let message = format!("`{name}` is no name of a robot");
                return Err(Failure::new(FailureCode::RequestInvalid, message)
                    .hint("use lower-case letters and digits, with single `.`, `_` or `-` between them, at most 255 with the project; Harbor adds prefix and project"));
            }
            if place.project.is_some() && may.contains(&RobotTask::Projects) {
                let message = "a project's robot makes no projects";
                return Err(Failure::new(FailureCode::RequestInvalid, message)
                    .hint("leave out `--project`, so that it is a robot of the system, or `projects` in `--may`"));
            }
            let store = Store::open(&config, keep)?;
            let tasks: Vec<Task> = may.iter().copied().map(task).collect();
            let (robot, secret) = client(&config, place).await?.create_robot(realm(place), name, &tasks, *days).await?;
            return store.keep(&robot, &secret, format.format);
        }
        RobotsVerb::Rotate { name, place, keep, format } => {
            let store = Store::open(&config, keep)?;
            let client = client(&config, place).await?;
            let robot = client.robot(realm(place), name).await?;
            let secret = secret();
            // Written before Harbor knows it, so that no full disk loses it; named last, so that no build reads it too early.
            let ready = store.write(&secret)?;
            client.rotate_robot(&robot, &secret).await?;
            return ready.show(&robot, &secret, format.format);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(robot: &Robot) -> String {
    let state = if robot.enabled { "enabled" } else { "disabled" };
    format!("{:<40} {state:<8} {}", robot.name, robot.rights.join(" "))
}

fn task(task: RobotTask) -> Task {
    match task {
        RobotTask::Pull => Task::Pull,
        RobotTask::Push => Task::Push,
        RobotTask::Inspect => Task::Inspect,
        RobotTask::Tag => Task::Tag,
        RobotTask::Label => Task::Label,
        RobotTask::Scan => Task::Scan,
        RobotTask::Projects => Task::Projects,
    }
}

fn realm(place: &RobotWhere) -> Realm<'_> {
    place.project.as_ref().map_or(Realm::System, |project| Realm::Project(project.as_str()))
}

/// The registry, as whoever may manage robots.
async fn client(config: &Config, place: &RobotWhere) -> Result<Client, Failure> {
    let unusable = |message: &str, hint: &str| Failure::new(FailureCode::ConfigurationInvalid, message).hint(hint);
    let host = config
        .registry
        .host
        .as_deref()
        .ok_or_else(|| unusable("there is no registry", "set `registry.host` in the configuration"))?;
    let projects = config.registry.projects.as_ref().map(|projects| projects.credentials.as_str());
    let name = place.credentials.as_deref().or(projects).ok_or_else(|| {
        unusable(
            "there is no account that may manage robots",
            "name credentials of the configuration with `--credentials`: those of an administrator, or of a system robot that may create robots",
        )
    })?;
    let project = place.project.as_ref().map_or("*", ProductLine::as_str);
    let account = secrets::account(config, name, host, project).await?;
    let reference = ImageReference::new(host, "library/x", None, None)
        .map_err(|error| unusable(&format!("`registry.host`: {error}"), "write `host` or `host:port`"))?;
    let access = setup::registry_access(config);
    access.harbor_as(&reference, Some(account))
}

/// 40 letters and digits: more than 200 bits, and what Harbor demands (8 to 128, upper, lower and digits).
fn secret() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    loop {
        let secret: String = (0..SECRET).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect();
        let has = |test: fn(char) -> bool| secret.chars().any(test);
        if has(|c| c.is_ascii_uppercase()) && has(|c| c.is_ascii_lowercase()) && has(|c| c.is_ascii_digit()) {
            return secret;
        }
    }
}

/// Where a secret goes: into the operator's file, and to standard output only where that was asked for.
struct Store {
    file: Option<(PathBuf, tempfile::NamedTempFile)>,
    show: bool,
}

impl Store {
    /// The place that the flags name, known to be writable before a robot is made.
    fn open(config: &Config, keep: &Keep) -> Result<Self, Failure> {
        let path = match (&keep.store, &keep.secret_file) {
            (Some(name), _) => Some(file_of(config, name)?),
            (None, path) => path.clone(),
        };
        if path.is_none() && !keep.show_secret {
            let message = "it is not said where the robot's secret goes";
            return Err(Failure::new(FailureCode::RequestInvalid, message).hint(
                "name the credentials whose file gets it (`--store NAME`), a file (`--secret-file FILE`), or have it printed (`--show-secret`)",
            ));
        }
        let file = path.map(|path| prepare(&path).map(|file| (path, file))).transpose()?;
        Ok(Self { file, show: keep.show_secret })
    }

    /// Writes the secret beside its place, so that it survives whatever comes.
    fn write(mut self, secret: &str) -> Result<Self, Failure> {
        if let Some((path, file)) = &mut self.file {
            let written = file.write_all(secret.as_bytes()).and_then(|()| file.as_file().sync_all());
            written.map_err(|error| unwritable(path, &error))?;
        }
        Ok(self)
    }

    fn keep(self, robot: &Robot, secret: &str, format: FormatKind) -> Result<ExitCode, Failure> {
        self.write(secret)?.show(robot, secret, format)
    }

    /// Puts the secret in its place and says what was done.
    fn show(self, robot: &Robot, secret: &str, format: FormatKind) -> Result<ExitCode, Failure> {
        let path = match self.file {
            Some((path, file)) => {
                file.persist(&path).map_err(|error| unwritable(&path, &error.error))?;
                Some(path)
            }
            None => None,
        };
        let shown = self.show.then_some(secret);
        if format != FormatKind::Text {
            return setup::print_json(&json!({ "version": 1, "robot": robot, "secret_file": path, "secret": shown }));
        }
        anstream::println!("{}", line(robot));
        if let Some(path) = path {
            anstream::println!("its secret is in {}", path.display());
        }
        if let Some(secret) = shown {
            anstream::println!("{secret}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The file of credentials that keep their password in one.
fn file_of(config: &Config, name: &str) -> Result<PathBuf, Failure> {
    let entry = config.credentials.get(name).and_then(|entry| entry.password.as_ref());
    match entry {
        Some(SecretSource::File(path)) => Ok(path.clone()),
        _ => Err(Failure::new(
            FailureCode::ConfigurationInvalid,
            format!("the credentials `{name}` have no file that a secret can be written to"),
        )
        .hint(format!("set `credentials.{name}.password = {{ file = \"…\" }}`, or use `--secret-file FILE`"))
        .candidates(config.credentials.keys().cloned())),
    }
}

/// A file beside the one that is meant, readable by its owner alone.
fn prepare(path: &Path) -> Result<tempfile::NamedTempFile, Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".slipway-secret-").tempfile_in(directory).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::ConfigurationInvalid, format!("`{}` cannot be written: {error}", path.display()))
        .hint("let Slipway write to its directory: the file is replaced as a whole")
}
