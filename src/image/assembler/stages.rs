//! The stages of a Dockerfile: which are needed for the one that is built, and what each starts from.

use std::collections::{BTreeMap, BTreeSet};

use super::recipe::{expand, failed, unsupported};
use super::remote::architecture;
use crate::dockerfile::instruction::{Dockerfile, Instruction, Located, Word};
use crate::model::failure::Failure;

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Scratch,
    Image(String),
    /// An earlier stage.
    Stage(usize),
}

/// One stage.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) line: u32,
    pub(super) from: Origin,
    alias: Option<&'a str>,
    platform: Option<String>,
    pub(super) instructions: &'a [Located],
}

/// The stages that are needed.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    all: Vec<Stage<'a>>,
    /// Their numbers, in order; the last is built.
    pub(super) needed: BTreeSet<usize>,
    /// What stages see of `ARG`s outside them.
    pub(super) global: BTreeMap<String, String>,
}

impl<'a> Stages<'a> {
    /// Finds what the stage `target`, or the last one, needs; `runs` says whether commands may be run.
    ///
    /// # Errors
    /// `dockerfile_unsupported` with the line of what needs an Engine, in a stage that is needed; `image_failed` for a
    /// target or `FROM` that does not exist.
    pub(super) fn of(
        file: &'a Dockerfile,
        build_args: &BTreeMap<String, String>,
        target: Option<&str>,
        runs: bool,
    ) -> Result<Self, Failure> {
        let mut global = platform_arguments();
        let mut all: Vec<Stage<'a>> = Vec::new();
        let mut start = None;
        for (index, Located { line, instruction, .. }) in file.instructions.iter().enumerate() {
            let look_up = |name: &str| global.get(name).cloned();
            match instruction {
                Instruction::From { image, platform, alias } => {
                    close(&mut all, start, &file.instructions[..index]);
                    start = Some(index + 1);
                    let named = expand(*line, image, &look_up)?;
                    let earlier = position(&all, &named);
                    let from = match earlier {
                        Some(stage) => Origin::Stage(stage),
                        None if named == "scratch" => Origin::Scratch,
                        None if named.is_empty() => {
                            return Err(failed(*line, "`FROM` has no image: a variable is empty"));
                        }
                        None => Origin::Image(named),
                    };
                    let platform = platform.as_ref().map(|word| expand(*line, word, &look_up)).transpose()?;
                    all.push(Stage { line: *line, from, alias: alias.as_deref(), platform, instructions: &[] });
                }
                Instruction::Arg(given) if all.is_empty() => {
                    for (name, default) in given {
                        let default =
                            default.as_ref().map(|word| expand(*line, word, &look_up_in(&global))).transpose()?;
                        let value = build_args.get(name).cloned().or(default);
                        global.extend(value.map(|value| (name.clone(), value)));
                    }
                }
                _ => {}
            }
        }
        close(&mut all, start, &file.instructions);
        let Some(last) = all.len().checked_sub(1) else { return Err(failed(1, "there is no `FROM`")) };
        let last = match target {
            None => last,
            Some(target) => position(&all, target)
                .or_else(|| target.parse().ok().filter(|number| *number <= last))
                .ok_or_else(|| failed(1, &format!("there is no stage `{target}`")))?,
        };
        let mut stages = Self { all, needed: BTreeSet::new(), global };
        stages.need(last, runs)?;
        Ok(stages)
    }

    pub(super) fn get(&self, index: usize) -> &Stage<'a> {
        &self.all[index]
    }

    /// The images that needed stages start from or copy from, with the line of each.
    pub(super) fn images(&self) -> BTreeMap<String, u32> {
        let mut images = BTreeMap::new();
        for index in &self.needed {
            let stage = &self.all[*index];
            if let Origin::Image(image) = &stage.from {
                images.insert(image.clone(), stage.line);
            }
            for (line, from) in sources(stage.instructions) {
                if let Origin::Image(image) = self.source(*index, &from) {
                    images.insert(image, line);
                }
            }
        }
        images
    }

    /// What `COPY --from` names in a stage: an earlier stage by name or number, else an image.
    pub(super) fn source(&self, stage: usize, from: &str) -> Origin {
        let earlier = &self.all[..stage];
        let found = position(earlier, from).or_else(|| from.parse().ok().filter(|number| *number < earlier.len()));
        found.map_or_else(|| Origin::Image(from.to_owned()), Origin::Stage)
    }

    fn need(&mut self, index: usize, runs: bool) -> Result<(), Failure> {
        if !self.needed.insert(index) {
            return Ok(());
        }
        let stage = &self.all[index];
        let here = format!("linux/{}", architecture());
        if let Some(platform) = stage.platform.as_ref().filter(|platform| **platform != here) {
            return Err(unsupported(stage.line, &format!("the platform `{platform}`")));
        }
        let mut earlier = Vec::new();
        if let Origin::Stage(below) = stage.from {
            earlier.push(below);
        }
        for Located { line, instruction, .. } in stage.instructions {
            match instruction {
                Instruction::Run { .. } if !runs => return Err(unsupported(*line, "`RUN`")),
                Instruction::OnBuild(_) => return Err(unsupported(*line, "`ONBUILD`")),
                _ => {}
            }
        }
        for (_, from) in sources(stage.instructions) {
            if let Origin::Stage(source) = self.source(index, &from) {
                earlier.push(source);
            }
        }
        earlier.into_iter().try_for_each(|stage| self.need(stage, runs))
    }
}

/// What the builder sets (Dockerfile reference, "Automatic platform ARGs in the global scope").
fn platform_arguments() -> BTreeMap<String, String> {
    let (os, architecture) = ("linux", architecture());
    let mut arguments = BTreeMap::new();
    for side in ["BUILD", "TARGET"] {
        arguments.insert(format!("{side}PLATFORM"), format!("{os}/{architecture}"));
        arguments.insert(format!("{side}OS"), os.to_owned());
        arguments.insert(format!("{side}ARCH"), architecture.to_owned());
    }
    arguments
}

fn look_up_in(arguments: &BTreeMap<String, String>) -> impl Fn(&str) -> Option<String> + '_ {
    |name| arguments.get(name).cloned()
}

/// Gives the last stage its instructions.
fn close<'a>(all: &mut [Stage<'a>], start: Option<usize>, until: &'a [Located]) {
    if let (Some(stage), Some(start)) = (all.last_mut(), start) {
        stage.instructions = &until[start..];
    }
}

fn position(stages: &[Stage<'_>], name: &str) -> Option<usize> {
    stages.iter().rposition(|stage| stage.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name)))
}

/// What `COPY --from` names, with the lines.
fn sources(instructions: &[Located]) -> Vec<(u32, String)> {
    let named = |Located { line, instruction, .. }: &Located| match instruction {
        Instruction::Copy(transfer) => {
            transfer.flag("from").and_then(Word::as_literal).map(|from| (*line, from.to_owned()))
        }
        _ => None,
    };
    instructions.iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse::parse;
    use crate::model::failure::FailureCode;

    #[test]
    fn only_what_is_needed_counts() {
        let text = "ARG V=1\nFROM a:$V AS one\nRUN x\nFROM scratch AS two\nFROM b AS three\nCOPY --from=two /a /\n\
            FROM THREE\nCOPY --from=0 /x /\n";
        let file = parse(text).unwrap();
        let failure = Stages::of(&file, &BTreeMap::new(), None, false).unwrap_err();
        assert_eq!((failure.code, failure.places[0].line), (FailureCode::DockerfileUnsupported, Some(3)));
        let stages = Stages::of(&file, &BTreeMap::new(), Some("three"), false).unwrap();
        assert_eq!(stages.needed.iter().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(stages.images().into_keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(stages.get(0).from, Origin::Image("a:1".to_owned()));
        assert!(Stages::of(&file, &BTreeMap::new(), Some("four"), false).is_err());
    }

    #[test]
    fn what_needs_an_engine_is_refused_with_its_line() {
        for (text, line) in [
            ("FROM a\nRUN x\n", 2),
            ("FROM a\nONBUILD USER 1\n", 2),
            ("FROM --platform=linux/riscv64 a\n", 1),
            ("FROM a AS x\nRUN y\nFROM b\n\nCOPY --from=x c d\n", 2),
        ] {
            let failure = Stages::of(&parse(text).unwrap(), &BTreeMap::new(), None, false).unwrap_err();
            let found = (failure.code, failure.places[0].line);
            assert_eq!(found, (FailureCode::DockerfileUnsupported, Some(line)), "{text}");
        }
        assert!(Stages::of(&parse("FROM a\nRUN x\n").unwrap(), &BTreeMap::new(), None, true).is_ok());
    }
}
