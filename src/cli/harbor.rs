//! `slipway harbor`: accounts for Slipway itself, kept where the operator keeps secrets.

use std::process::ExitCode;

use serde_json::json;

use super::args::{Cli, FormatKind, HarborVerb, RobotTask, RobotWhere, RobotsVerb};
use super::secret_store::Store;
use super::{print, setup};
use crate::config::Config;
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
                return print::json(&json!({ "version": 1, "robots": robots }));
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
            return show(store.write(&secret)?, &robot, &secret, format.format);
        }
        RobotsVerb::Rotate { name, place, keep, format } => {
            let store = Store::open(&config, keep)?;
            let client = client(&config, place).await?;
            let robot = client.robot(realm(place), name).await?;
            let secret = secret();
            // Written before Harbor knows it, so that no full disk loses it; named last, so that no build reads it too early.
            let ready = store.write(&secret)?;
            client.rotate_robot(&robot, &secret).await?;
            return show(ready, &robot, &secret, format.format);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the secret in its place and says what was done.
fn show(store: Store, robot: &Robot, secret: &str, format: FormatKind) -> Result<ExitCode, Failure> {
    let shown = store.shows().then_some(secret);
    let path = store.put()?;
    if format != FormatKind::Text {
        return print::json(&json!({ "version": 1, "robot": robot, "secret_file": path, "secret": shown }));
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
