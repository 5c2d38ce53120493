//! `RUN`: what is run, with what, as whom and where.

use super::values::environment;
use super::{State, unsupported};
use crate::dockerfile::instruction::{Command, Flag, Instruction, Word};
use crate::model::failure::Failure;

/// The build arguments that commands see without an `ARG` (Dockerfile reference, "Predefined ARGs").
const PREDEFINED: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// A command of a `RUN` with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::image::assembler) struct Run {
    pub(in crate::image::assembler) line: u32,
    /// Program and arguments.
    pub(in crate::image::assembler) command: Vec<String>,
    pub(in crate::image::assembler) environment: Vec<(String, String)>,
    /// As `USER` says it; root where it is empty.
    pub(in crate::image::assembler) user: String,
    pub(in crate::image::assembler) directory: String,
    /// Where the build context is mounted while it runs, absolute.
    pub(in crate::image::assembler) mounts: Vec<String>,
}

impl State {
    pub(super) fn run(
        &self,
        line: u32,
        instruction: &Instruction,
        build_args: &std::collections::BTreeMap<String, String>,
    ) -> Result<Run, Failure> {
        let Instruction::Run { flags, command, heredocs } = instruction else {
            return Err(unsupported(line, &format!("`{}`", instruction.name())));
        };
        if !heredocs.is_empty() {
            return Err(unsupported(line, "a here-document of `RUN`"));
        }
        let mut environment = environment(&self.config);
        let proxies = build_args.iter().filter(|(name, _)| PREDEFINED.contains(&name.to_uppercase().as_str()));
        for (name, value) in proxies.chain(&self.arguments) {
            environment.retain(|(known, _)| known != name);
            environment.push((name.clone(), value.clone()));
        }
        Ok(Run {
            line,
            command: match command {
                Command::Exec(arguments) => arguments.clone(),
                shell @ Command::Shell(_) => self.command(shell),
            },
            environment,
            user: self.config["User"].as_str().unwrap_or_default().to_owned(),
            directory: self.workdir().to_owned(),
            mounts: flags.iter().map(|flag| mount(line, flag)).collect::<Result<_, _>>()?,
        })
    }
}

/// Where `--mount=type=bind,target=DIRECTORY` puts the context; other mounts are an Engine's.
fn mount(line: u32, flag: &Flag) -> Result<String, Failure> {
    let text = flag.value.as_ref().and_then(Word::as_literal).unwrap_or_default();
    let other = || unsupported(line, &format!("`RUN --{}={text}`", flag.name));
    let mut target = None;
    for part in text.split(',').filter(|_| flag.name == "mount") {
        match part.split_once('=').unwrap_or((part, "")) {
            ("type", "bind") | ("readonly" | "ro", "" | "true") => {}
            ("target" | "dst" | "destination", path) if path.starts_with('/') && !path.contains("..") => {
                target = Some(path.to_owned());
            }
            _ => return Err(other()),
        }
    }
    target.ok_or_else(other)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::super::{Change, Given, recipe};
    use super::*;
    use crate::dockerfile::parse::parse;

    fn run(text: &str) -> Result<Run, Failure> {
        let build_args = BTreeMap::from([("V", "2"), ("https_proxy", "http://p"), ("X", "x")]);
        let build_args = build_args.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let file = parse(text).unwrap();
        let given = Given { below: &BTreeMap::new(), build_args: &build_args, global: &BTreeMap::new() };
        let mut recipe = recipe(&file.instructions, &given, &Value::Null)?;
        let Some((_, Some(Change::Run(run)))) = recipe.steps.pop() else { panic!("{text}") };
        Ok(run)
    }

    #[test]
    fn a_command_sees_what_is_set_before_it() {
        let run =
            run("ARG V=1\nENV A=b\nWORKDIR /w\nUSER 7:8\nRUN --mount=type=bind,target=/run/build x $V\n").unwrap();
        assert_eq!(run.command, ["/bin/sh", "-c", "x $V"]);
        let names: Vec<&str> = run.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PATH", "A", "https_proxy", "V"]);
        assert_eq!(run.environment[3].1, "2");
        assert_eq!((run.user.as_str(), run.directory.as_str(), run.line), ("7:8", "/w", 5));
        assert_eq!(run.mounts, ["/run/build"]);
    }

    #[test]
    fn mounts_that_only_an_engine_has_are_refused() {
        for flag in [
            "--mount=type=cache,target=/x",
            "--mount=type=bind,from=a,target=/x",
            "--network=none",
            "--mount=type=bind,target=x",
        ] {
            assert!(run(&format!("RUN {flag} y\n")).is_err(), "{flag}");
        }
        assert!(run("RUN <<E\nx\nE\n").is_err());
    }
}
