//! `slipway doctor`: what is there, what is missing, what to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::args::{Cli, DoctorFlags, FormatKind};
use super::{base_images, build, print, setup};
use crate::base_images::{Listed, Lock, State};
use crate::catalog::Catalog;
use crate::config::{BackendKind, Config, RunnerKind};
use crate::environment;
use crate::harbor::Preflight;
use crate::image::docker::DockerBackend;
use crate::machine::{self, Installation};
use crate::model::failure::Failure;
use crate::model::names::ProductLine;
use crate::process::{Program, capture};
use crate::toolchain::definition::{Argument, Definition};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    there: bool,
    needed: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Looks at everything and prints it; fails where something needed is missing.
pub(super) async fn doctor(cli: &Cli, flags: &DoctorFlags) -> Result<ExitCode, Failure> {
    let config = setup::config(cli)?;
    let catalog = setup::catalog(cli, &config)?;
    let without_engine =
        config.build.runner == Some(RunnerKind::Host) && config.build.image_backend == Some(BackendKind::Assembler);
    let mut findings = vec![engine(!without_engine).await];
    findings.push(tool("git", &["--version"], true, "install Git: it fetches sources").await);
    for definition in catalog.toolchains.values().map(|toolchain| &toolchain.definition) {
        findings.extend(installed(definition).await);
    }
    for (program, title) in programs(&catalog) {
        findings.push(
            tool(
                &program,
                &["--version", "version"],
                false,
                &format!("only for `--runner host` and {title}: install it"),
            )
            .await,
        );
    }
    let hub = "only for `slipway base-images build` without a hub: install debootstrap";
    findings.push(tool("debootstrap", &["--version"], false, hub).await);
    findings.push(images(&base_images::kept(cli, &config).await?, &base_images::lock(&config)?));
    findings.push(authorities(config.network.ca_bundle.clone().or_else(environment::ca_bundle).as_deref()));
    findings.extend(registry(cli, &config, flags).await?);
    let cache = config.cache.directory.clone().unwrap_or_else(environment::cache_directory);
    findings.push(disk(&cache, config.limits.free_disk));
    for (what, found) in crate::server::inspect(&config).await {
        let hint = found.as_ref().err().map(|failure| failure.hint.clone());
        let there = found.is_ok();
        let detail = found.unwrap_or_else(|failure| failure.message);
        findings.push(Finding { what, there, needed: true, detail, hint });
    }
    print(&findings, flags.format.format)?;
    let missing = findings.iter().any(|finding| finding.needed && !finding.there);
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether there are base images: kept here, or pinned where a registry has them.
fn images(kept: &[Listed], lock: &Lock) -> Finding {
    let of = |state: State| {
        let names = kept.iter().filter(move |image| image.state == state).map(|image| image.name.as_str());
        names.filter(move |name| state != State::Missing || !lock.images.contains_key(*name)).collect::<Vec<_>>()
    };
    let (ready, outdated, missing) = (of(State::Ready).len(), of(State::Outdated), of(State::Missing));
    let mut detail = vec![format!("{ready} ready")];
    detail.extend((!lock.images.is_empty()).then(|| format!("{} in `images.lock`", lock.images.len())));
    detail.extend((!outdated.is_empty()).then(|| format!("outdated: {}", outdated.join(" "))));
    detail.extend((!missing.is_empty()).then(|| format!("not here: {}", missing.join(" "))));
    Finding {
        what: "base images".into(),
        there: ready > 0 || !outdated.is_empty() || !lock.images.is_empty(),
        needed: true,
        detail: detail.join("; "),
        hint: Some("build them: `slipway base-images build`".into()),
    }
}

/// Whether the file that certificates are judged by can be read, and holds any.
fn authorities(bundle: Option<&Path>) -> Finding {
    let shown = bundle.map(|path| path.display().to_string()).unwrap_or_default();
    let (there, detail) = match bundle.map(std::fs::read_to_string) {
        Some(Ok(text)) if text.contains("-----BEGIN CERTIFICATE-----") => (true, shown),
        Some(Ok(_)) => (false, format!("{shown} holds no certificate")),
        Some(Err(error)) => (false, format!("{shown}: {error}")),
        None => (false, shown),
    };
    let hint = Some("install `ca-certificates`, or correct `network.ca_bundle`".into());
    Finding { what: "certificate authorities".into(), there, needed: true, detail, hint }
}

/// Whether the registry takes the account, and for a product line whether its images can be pushed.
async fn registry(cli: &Cli, config: &Config, flags: &DoctorFlags) -> Result<Vec<Finding>, Failure> {
    let product_line = flags.product_line.as_ref();
    let named = login(cli, config, product_line).await?;
    let Some(line) = product_line.filter(|_| config.registry.host.is_some()) else { return Ok(vec![named]) };
    let finding = |there: bool, detail: String, hint: Option<String>| Finding {
        what: flags.name.as_ref().map_or(format!("images of {line}"), |name| format!("images of {line}/{name}")),
        there,
        needed: true,
        detail,
        hint,
    };
    let tags: Vec<String> = flags.tag.iter().map(ToString::to_string).collect();
    let looked = match setup::planning(cli)?.look_at_registry(line, flags.name.as_ref(), &tags).await {
        Ok(Some(found)) => match found.failures.first() {
            Some(failure) => finding(false, failure.message.clone(), Some(failure.hint.clone())),
            None if found.project_missing => {
                let made = config.registry.projects.is_some();
                let detail =
                    format!("there is no project `{line}`{}", if made { "; the first push makes it" } else { "" });
                finding(made, detail, Some("create it in Harbor, or let Slipway do it: `[registry.projects]`".into()))
            }
            None => finding(true, pushable(&found), None),
        },
        Ok(None) => finding(true, "the registry is no Harbor, or did not answer: nothing more is known".into(), None),
        Err(failure) => finding(false, failure.message, Some(failure.hint)),
    };
    Ok(vec![named, looked])
}

/// Whether a registry is named, answers and takes the account.
async fn login(cli: &Cli, config: &Config, product_line: Option<&ProductLine>) -> Result<Finding, Failure> {
    let finding = |there, needed, detail, hint: &str| Finding {
        what: "registry".into(),
        there,
        needed,
        detail,
        hint: Some(hint.to_owned()).filter(|hint| !hint.is_empty()),
    };
    let Some(host) = config.registry.host.as_deref() else {
        let hint = "only for `--push`: set `registry.host`";
        return Ok(finding(false, product_line.is_some(), String::new(), hint));
    };
    Ok(match setup::planning(cli)?.log_in(host, product_line).await {
        Ok(Some(username)) => finding(true, true, format!("{host} takes the login of `{username}`"), ""),
        Ok(None) => finding(true, true, format!("{host} answers; no login was tried"), ""),
        Err(failure) => finding(false, true, failure.message, &failure.hint),
    })
}

fn pushable(found: &Preflight) -> String {
    let room = found.left.map_or(String::new(), |left| format!(", room for {} MB", left / 1_000_000));
    let last = found.last.map_or(String::new(), |last| format!(", the last image has {} MB", last / 1_000_000));
    let version = found.version.as_ref().map_or(String::new(), |version| format!(", Harbor {version}"));
    format!("can be pushed{room}{last}{version}")
}

async fn engine(needed: bool) -> Finding {
    let checked = DockerBackend::new(None).check().await;
    Finding {
        what: "Docker Engine".into(),
        there: checked.is_ok(),
        needed,
        detail: checked.as_ref().err().map_or("answers".into(), |failure| failure.message.clone()),
        hint: checked.err().map(|failure| failure.hint),
    }
}

/// What this machine has of a toolchain, each installation a line.
async fn installed(definition: &Definition) -> Vec<Finding> {
    let Some(host) = &definition.host else { return Vec::new() };
    let mut found: Vec<Installation> = Vec::new();
    for release in &definition.releases {
        for one in machine::installations(host, &release.version.to_string()).await {
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    let finding = |there, detail| Finding {
        what: definition.title.clone(),
        there,
        needed: false,
        detail,
        hint: Some(format!("only for `--runner host` and {}: install it", definition.title)),
    };
    if found.is_empty() {
        return vec![finding(false, String::new())];
    }
    found.iter().map(|one| finding(true, format!("{} in {}", one.version, one.home.display()))).collect()
}

/// The programs that the toolchains' commands start besides, with the title of their toolchain.
fn programs(catalog: &Catalog) -> BTreeMap<String, String> {
    let mut programs = BTreeMap::new();
    for definition in catalog.toolchains.values().map(|toolchain| &toolchain.definition) {
        for step in &definition.steps {
            let Some(Argument::One(program)) = step.command.first() else { continue };
            // What lies at a path is made by the build itself.
            if program.contains('/') || is_toolchain(definition, program) {
                continue;
            }
            let releases = definition
                .releases
                .iter()
                .map(|release| program.replace("{{ release }}", &release.version.to_string()));
            programs.extend(releases.map(|program| (program, definition.title.clone())));
        }
    }
    programs
}

/// Whether a program is the one that installations of the toolchain are found by.
fn is_toolchain(definition: &Definition, program: &str) -> bool {
    definition.host.as_ref().is_some_and(|host| host.program.rsplit('/').next() == Some(program))
}

/// Whether a program answers when it is asked for its version, and the first line of what it says.
async fn tool(program: &str, arguments: &[&str], needed: bool, hint: &str) -> Finding {
    let mut answer = None;
    for argument in arguments {
        answer = answer.or(version(program, argument).await);
    }
    Finding {
        what: program.into(),
        there: answer.is_some(),
        needed,
        detail: answer.unwrap_or_default(),
        hint: Some(hint.into()),
    }
}

async fn version(program: &str, argument: &str) -> Option<String> {
    let mut spec = Program::new(program, [argument]);
    spec.env.extend(environment::all());
    let said = capture(&spec, &CancellationToken::new()).await.ok().filter(crate::process::Captured::success)?;
    let text = if said.stdout.is_empty() { &said.stderr } else { &said.stdout };
    Some(String::from_utf8_lossy(text).lines().next().unwrap_or_default().to_owned())
}

fn disk(cache: &Path, needs: u64) -> Finding {
    let place = cache.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let free = crate::workspace::free(place).unwrap_or(0);
    Finding {
        what: "disk".into(),
        there: free > needs,
        needed: true,
        detail: format!("{} GiB free at {}", free >> 30, place.display()),
        hint: Some(format!("free space: with less than {} MiB (`limits.free_disk`) no build starts", needs >> 20)),
    }
}

fn print(findings: &[Finding], format: FormatKind) -> Result<(), Failure> {
    match format {
        FormatKind::Text => {}
        FormatKind::Json => return print::json(&findings).map(drop),
        FormatKind::Jsonl => return findings.iter().try_for_each(|finding| build::print_data(finding, format)),
    }
    for finding in findings {
        let mark = match (finding.there, finding.needed) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "absent",
        };
        anstream::println!("{mark:<8} {:<24} {}", finding.what, finding.detail);
        if let Some(hint) = finding.hint.as_ref().filter(|_| !finding.there) {
            anstream::println!("{:<8} {:<24} {hint}", "", "");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_read_before_they_are_called_fine() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        assert!(authorities(Some(file.path())).detail.ends_with("holds no certificate"));
        std::io::Write::write_all(&mut file, b"# X\n-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(authorities(Some(file.path())).there);
        assert!(!authorities(Some(Path::new("/nonexistent.pem"))).there);
        assert!(!authorities(None).there);
    }

    #[test]
    fn base_images_are_there_wherever_they_were_built() {
        let image = |name: &str, state: State| Listed {
            name: name.into(),
            description: String::new(),
            reference: String::new(),
            contains: Vec::new(),
            state,
            size: None,
        };
        let found = images(&[image("debian", State::Ready), image("jre-8", State::Missing)], &Lock::default());
        assert!(found.there, "another account's builds are in the Engine, too");
        assert_eq!(found.detail, "1 ready; not here: jre-8");
        let found = images(&[image("debian", State::Outdated)], &Lock::default());
        assert_eq!((found.there, found.detail.as_str()), (true, "0 ready; outdated: debian"));
        assert!(!images(&[image("debian", State::Missing)], &Lock::default()).there);
    }
}
