//! Other programs that the program starts, which a run image without any program has not.

use std::collections::BTreeSet;

use super::mentions::Place;
use super::ports::File;
use crate::model::failure::Warning;

/// Functions of `os/exec` that name a program.
const FUNCTIONS: &[&str] = &["Command", "CommandContext", "LookPath"];

/// A warning where the sources name programs to `os/exec`.
pub(super) fn warning(files: &[File<'_>]) -> Option<Warning> {
    let mut names = BTreeSet::new();
    let mut first = None;
    for (path, mentions) in files {
        let mut seen = BTreeSet::new();
        for mention in mentions {
            let Place::Argument { package, function, call } = &mention.place else { continue };
            // The first text is the program, those behind it are its arguments.
            if package == "exec" && FUNCTIONS.contains(&function.as_str()) && seen.insert(*call) {
                names.insert(mention.text.as_str());
                first.get_or_insert((*path, mention.line));
            }
        }
    }
    let (path, line) = first?;
    let names: Vec<String> =
        names.into_iter().filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect();
    let message = format!("the program starts {}, and its run image has no other program", names.join(", "));
    let hint = "if it needs that, name an image that has it: `[image]` `base = \"…\"` in `slipway.toml`";
    Some(Warning::new("starts_programs", message, hint).at(path, Some(line)))
}

#[cfg(test)]
mod tests {
    use super::super::mentions::mentions;
    use super::*;

    #[test]
    fn programs_are_named_once_and_their_arguments_not() {
        let text = "package a\nimport \"os/exec\"\nfunc f() {\n exec.Command(\"git\", \"clone\", \"x\").Run()\n \
                    exec.CommandContext(ctx, \"go\", \"mod\")\n exec.Command(\"git\")\n other.Command(\"no\")\n}\n";
        let warning = warning(&[("a.go", mentions(text))]).unwrap();
        assert_eq!(warning.message, "the program starts `git`, `go`, and its run image has no other program");
        assert_eq!((warning.path.as_deref(), warning.line), (Some("a.go"), Some(4)));
        assert!(super::warning(&[("a.go", mentions("package a\nfunc f() { exec.Command(name) }"))]).is_none());
    }
}
