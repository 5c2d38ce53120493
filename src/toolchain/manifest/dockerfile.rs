//! Reads a repository's own Dockerfile: its stages, its base images, what cannot be built here.
//!
//! The Engine's built-in frontend (20.10) knows no here-documents, no `--link` and no flags that
//! came later, and `# syntax=` would fetch another frontend from outside.

mod bases;
pub(crate) mod places;
mod running;
pub(crate) mod says;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::dockerfile::instruction::{Dockerfile, Instruction, Located, Word};
use crate::dockerfile::parse::parse;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::join;
use crate::toolchain::findings::{Findings, Inspection};

/// The flags that the Engine's frontend understands.
const FLAGS: &[(&str, &[&str])] = &[
    ("COPY", &["from", "chown", "chmod"]),
    ("ADD", &["chown", "chmod"]),
    ("RUN", &["mount"]),
    ("HEALTHCHECK", &["interval", "timeout", "start-period", "retries"]),
];

/// Arguments that the builder sets by itself in every scope.
const PREDEFINED: &[(&str, &str)] = &[
    ("BUILDPLATFORM", "linux/amd64"),
    ("TARGETPLATFORM", "linux/amd64"),
    ("BUILDOS", "linux"),
    ("TARGETOS", "linux"),
    ("BUILDARCH", "amd64"),
    ("TARGETARCH", "amd64"),
    ("BUILDVARIANT", ""),
    ("TARGETVARIANT", ""),
];

/// Reads the Dockerfile of the application's directory, or the one that the fact `path` names.
///
/// The facts `build_args` (a table of texts) and `target` (a text) stand for the request's
/// `toolchain.build_args` and `toolchain.target`.
/// Variables: `path`, `bases` (`[{image, line, instruction}]`, the external images that the built stage needs), `base`
/// (the image that the built stage rests on, null for `scratch`), `stages` (`[{name, line}]`), `target`. Ports come
/// from the built stage's `EXPOSE`.
///
/// # Errors
/// `manifest_invalid` when it cannot be read, `dockerfile_unsupported` with the line of what the
/// Engine cannot build, `plan_invalid` for a target that is no stage.
pub fn read(inspection: &Inspection<'_>) -> Result<Findings, Failure> {
    let fact = |key: &str| inspection.facts.get(key);
    let name = fact("path").and_then(toml::Value::as_str).unwrap_or("Dockerfile");
    let outside = || Failure::new(FailureCode::PlanInvalid, format!("the path `{name}` leaves the repository"));
    let path = join(inspection.directory, name).ok_or_else(outside)?;
    let unreadable = || {
        Failure::new(FailureCode::ManifestInvalid, format!("`{path}` is missing or no text")).at(path.as_str(), None)
    };
    let text = inspection.tree.text(&path).ok_or_else(unreadable)?;
    let build_args = fact("build_args").and_then(toml::Value::as_table).into_iter().flatten();
    let build_args: BTreeMap<String, String> = build_args
        .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    examine(&path, text, &build_args, fact("target").and_then(toml::Value::as_str))
}

/// The same for a text: `path` is for messages, `build_args` win over the defaults of global
/// `ARG`s, `target` is the stage that becomes the image (the last one if absent).
///
/// # Errors
/// As [`read`].
pub fn examine(
    path: &str,
    text: &str,
    build_args: &BTreeMap<String, String>,
    target: Option<&str>,
) -> Result<Findings, Failure> {
    let file = parse(text).map_err(|error| {
        Failure::new(FailureCode::ManifestInvalid, format!("`{path}` line {}: {}", error.line, error.problem))
            .at(path, Some(error.line))
    })?;
    refuse_unsupported(path, &file)?;
    let stages = stages(path, &file, build_args)?;
    let built = built(path, &stages, target)?;
    let mut findings = Findings::default();
    findings.variables.insert("path".to_owned(), json!(path));
    findings.variables.insert("bases".to_owned(), Value::Array(bases::used(path, &stages, built)?));
    findings.variables.insert("base".to_owned(), json!(bases::of_stage(&stages, built)));
    let listed = stages.iter().map(|stage| json!({ "name": stage.name, "line": stage.line })).collect();
    findings.variables.insert("stages".to_owned(), Value::Array(listed));
    findings.variables.insert("target".to_owned(), json!(target));
    findings.ports = ports(path, &stages[built]);
    findings.warnings = running::warnings(path, &stages, built);
    Ok(findings)
}

/// Ports that a Dockerfile exposes, also one that is not built because a toolchain was recognised; what cannot be read
/// exposes none.
pub(super) fn exposed(path: &str, text: &str) -> Vec<Found<u16>> {
    let Ok(file) = parse(text) else { return Vec::new() };
    let Ok(stages) = stages(path, &file, &BTreeMap::new()) else { return Vec::new() };
    // A stage that continues an earlier one exposes what that exposes.
    let mut next = stages.last();
    while let Some(stage) = next {
        let found = ports(path, stage);
        if !found.is_empty() {
            return found;
        }
        next = if let Base::Stage(earlier) = stage.base { stages.get(earlier) } else { None };
    }
    Vec::new()
}

struct Stage<'a> {
    name: Option<String>,
    line: u32,
    /// The image, or the earlier stage it continues.
    base: Base,
    instructions: &'a [Located],
}

enum Base {
    Image(String),
    Stage(usize),
    Scratch,
}

fn unsupported(path: &str, line: u32, what: &str, hint: &str) -> Failure {
    Failure::new(FailureCode::DockerfileUnsupported, format!("`{path}` line {line} uses {what}"))
        .hint(hint)
        .at(path, Some(line))
}

fn refuse_unsupported(path: &str, file: &Dockerfile) -> Result<(), Failure> {
    if let Some((line, syntax)) = &file.syntax {
        let what = format!("`# syntax={}`, which fetches a builder from outside", shown(syntax));
        return Err(unsupported(path, *line, &what, "Remove the line; the Engine's own builder is used."));
    }
    for Located { line, instruction, .. } in &file.instructions {
        if !instruction.heredocs().is_empty() {
            let hint = "Write the commands with `&&` and `\\`, or copy a script from the repository.";
            return Err(unsupported(path, *line, "a here-document, which the Engine does not know", hint));
        }
        let inner = if let Instruction::OnBuild(inner) = instruction { inner } else { instruction };
        let known = FLAGS.iter().find(|(name, _)| *name == inner.name()).map_or(&[][..], |(_, flags)| flags);
        if let Some(flag) = inner.flags().iter().find(|flag| !known.contains(&flag.name.as_str())) {
            let what = format!("`{} --{}`, which the Engine does not know", inner.name(), shown(&flag.name));
            return Err(unsupported(path, *line, &what, "Remove the flag."));
        }
    }
    Ok(())
}

fn stages<'a>(
    path: &str,
    file: &'a Dockerfile,
    build_args: &BTreeMap<String, String>,
) -> Result<Vec<Stage<'a>>, Failure> {
    let invalid = |line: u32, why: &str| {
        Failure::new(FailureCode::ManifestInvalid, format!("`{path}` line {line}: {why}")).at(path, Some(line))
    };
    let mut arguments: BTreeMap<String, String> =
        PREDEFINED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut stages: Vec<Stage<'a>> = Vec::new();
    for (index, Located { line, instruction, .. }) in file.instructions.iter().enumerate() {
        match instruction {
            Instruction::Arg(given) if stages.is_empty() => {
                for (name, default) in given {
                    let default = default.as_ref().map(|word| expand(word, &arguments)).transpose();
                    let default = default.map_err(|why| invalid(*line, &why))?;
                    if let Some(value) = build_args.get(name).cloned().or(default) {
                        arguments.insert(name.clone(), value);
                    }
                }
            }
            Instruction::From { image, alias, .. } => {
                let image = expand(image, &arguments).map_err(|why| invalid(*line, &why))?;
                if image.is_empty() || image.contains(|c: char| c.is_whitespace() || c.is_control()) {
                    let why = "`FROM` names no image once its variables are replaced; give the `ARG` a default, or set `toolchain.build_args`";
                    return Err(invalid(*line, why));
                }
                let base = if let Some(stage) = stages.iter().rposition(|stage| stage.is(&image)) {
                    Base::Stage(stage)
                } else if image == "scratch" {
                    Base::Scratch
                } else {
                    Base::Image(image)
                };
                let rest = &file.instructions[index + 1..];
                let end = rest.iter().position(|next| next.instruction.name() == "FROM").unwrap_or(rest.len());
                stages.push(Stage { name: alias.clone(), line: *line, base, instructions: &rest[..end] });
            }
            other if stages.is_empty() => {
                return Err(invalid(*line, &format!("`{}` stands before the first `FROM`", other.name())));
            }
            _ => {}
        }
    }
    if stages.is_empty() {
        return Err(Failure::new(FailureCode::ManifestInvalid, format!("`{path}` has no `FROM`")).at(path, None));
    }
    Ok(stages)
}

impl Stage<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

fn expand(word: &Word, arguments: &BTreeMap<String, String>) -> Result<String, String> {
    word.expand(&|name| arguments.get(name).cloned()).map_err(|error| error.to_string())
}

fn built(path: &str, stages: &[Stage<'_>], target: Option<&str>) -> Result<usize, Failure> {
    let Some(target) = target else { return Ok(stages.len() - 1) };
    stage_named(stages, target).ok_or_else(|| {
        Failure::new(FailureCode::PlanInvalid, format!("`{path}` has no stage `{}`", shown(target)))
            .hint("Set `toolchain.target` to one of the stages that are named.")
            .candidates(stages.iter().filter_map(|stage| stage.name.clone()))
            .at(path, Some(stages[stages.len() - 1].line))
    })
}

/// A stage by its name or number.
fn stage_named(stages: &[Stage<'_>], name: &str) -> Option<usize> {
    let numbered = || name.parse::<usize>().ok().filter(|index| *index < stages.len());
    stages.iter().rposition(|stage| stage.is(name)).or_else(numbered)
}

/// Ports of `EXPOSE` in the built stage, with what its own `ENV` and `ARG` say; ranges, UDP and other variables say
/// nothing about a health check.
fn ports(path: &str, stage: &Stage<'_>) -> Vec<Found<u16>> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut found: Vec<Found<u16>> = Vec::new();
    for Located { line, instruction, .. } in stage.instructions {
        let value = |word: &Word, known: &BTreeMap<String, String>| word.expand(&|name| known.get(name).cloned()).ok();
        match instruction {
            Instruction::Env(pairs) => {
                let pairs = pairs.iter().filter_map(|(name, word)| Some((name.clone(), value(word, &known)?)));
                known.extend(pairs.collect::<Vec<_>>());
            }
            Instruction::Arg(pairs) => {
                let pairs =
                    pairs.iter().filter_map(|(name, word)| Some((name.clone(), value(word.as_ref()?, &known)?)));
                known.extend(pairs.collect::<Vec<_>>());
            }
            Instruction::Expose(words) => {
                let texts = words.iter().filter_map(|word| value(word, &known));
                let ports = texts.filter_map(|text| text.strip_suffix("/tcp").unwrap_or(&text).parse::<u16>().ok());
                let new = ports.filter(|port| *port > 0);
                found.extend(new.map(|port| Found::new(port, Origin::file(path, Some(*line), "EXPOSE"))));
            }
            _ => {}
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|port| seen.insert(port.value));
    found
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
