//! What people should know about how the image of their own Dockerfile runs.

use super::{Base, Stage};
use crate::dockerfile::instruction::{Command, Instruction, Located};
use crate::model::failure::Warning;

/// Warnings about the user and the signals of the built stage.
pub(super) fn warnings(path: &str, stages: &[Stage<'_>], built: usize) -> Vec<Warning> {
    // The stage's own instructions first, then those of the stages that it continues.
    let chain = std::iter::successors(stages.get(built), |stage| match stage.base {
        Base::Stage(earlier) => stages.get(earlier),
        _ => None,
    });
    let instructions: Vec<&Located> = chain.flat_map(|stage| stage.instructions.iter().rev()).collect();
    root(path, stages[built].line, &instructions).into_iter().chain(shell(path, &instructions)).collect()
}

/// The last `USER` is root, or there is none, and images of the world are seldom made for another.
fn root(path: &str, stage: u32, instructions: &[&Located]) -> Option<Warning> {
    let named = instructions.iter().find_map(|located| match &located.instruction {
        Instruction::User(word) => Some((located.line, word.as_literal().unwrap_or("$").to_owned())),
        _ => None,
    });
    let line = match &named {
        Some((_, user)) if !matches!(user.split(':').next(), Some("root" | "0")) => return None,
        Some((line, _)) => *line,
        None => stage,
    };
    let message = match named {
        Some(_) => format!("`{path}` lets the application run as root"),
        None => format!("`{path}` says no `USER`: unless its base does, the application runs as root"),
    };
    let hint = "end it with a user that may do less, by number: `USER 10001`";
    Some(Warning::new("runs_as_root", message, hint).at(path, Some(line)))
}

/// A shell stands between the Engine and what it starts, and hands no signal on.
fn shell(path: &str, instructions: &[&Located]) -> Option<Warning> {
    let last = |wanted: &str| instructions.iter().find(|located| located.instruction.name() == wanted);
    let started = last("ENTRYPOINT").or_else(|| last("CMD"))?;
    let (Instruction::Entrypoint(Command::Shell(line)) | Instruction::Cmd(Command::Shell(line))) = &started.instruction
    else {
        return None;
    };
    if line.split(['&', '|', ';']).next_back()?.trim_start().starts_with("exec ") {
        return None;
    }
    let message = format!(
        "`{path}` line {} starts the application by a shell: the signal that ends a container may not reach it, and it is \
         killed after a while",
        started.line
    );
    let hint = "write it as a list (`CMD [\"program\", \"argument\"]`), or put `exec` before the last command";
    Some(Warning::new("signals_not_passed", message, hint).at(path, Some(started.line)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::toolchain::manifest::dockerfile::examine;

    fn codes(text: &str) -> Vec<String> {
        let findings = examine("Dockerfile", text, &BTreeMap::new(), None).unwrap();
        let shown = |line: Option<u32>| line.map_or_else(String::new, |line| line.to_string());
        findings.warnings.iter().map(|w| format!("{} {}", w.code, shown(w.line))).collect()
    }

    #[test]
    fn root_and_shells_are_named() {
        for (text, expected) in [
            ("FROM a\nUSER 10001\nCMD [\"x\"]", &[][..]),
            ("FROM a AS base\nUSER app\nFROM base\nCMD exec x", &[]),
            ("FROM a\nUSER $NAME\nENTRYPOINT [\"x\"]\nCMD y z", &[]),
            ("FROM a\nCMD [\"x\"]", &["runs_as_root 1"]),
            ("FROM a AS base\nUSER app\nFROM b\nCMD [\"x\"]", &["runs_as_root 3"]),
            ("FROM a\nUSER app\nRUN x\nUSER root:root\nCMD [\"x\"]", &["runs_as_root 4"]),
            ("FROM a\nUSER 1\nCMD python x.py", &["signals_not_passed 3"]),
            ("FROM a\nUSER 1\nCMD migrate && exec serve", &[]),
            ("FROM a\nUSER 1\nENTRYPOINT migrate && serve", &["signals_not_passed 3"]),
        ] {
            assert_eq!(codes(text), expected, "{text}");
        }
    }
}
