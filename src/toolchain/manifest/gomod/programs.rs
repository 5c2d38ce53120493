//! Other programs that the program starts.

use std::collections::BTreeSet;

use super::mentions::Place;
use super::ports::File;

/// Functions of `os/exec` that are given a program's name, and which of their arguments it is.
const FUNCTIONS: &[(&str, usize)] = &[("Command", 0), ("CommandContext", 1), ("LookPath", 0)];

/// The names of programs that sources give to `os/exec`.
pub(super) fn started<'a>(files: &'a [File<'_>]) -> BTreeSet<&'a str> {
    let names = files.iter().flat_map(|(_, mentions)| mentions.iter()).filter_map(|mention| {
        let Place::Argument { package, function, index, .. } = &mention.place else { return None };
        let named = FUNCTIONS.iter().any(|(name, which)| function == name && index == which);
        (package == "exec" && named && !mention.text.is_empty()).then_some(mention.text.as_str())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::mentions::mentions;
    use super::*;

    #[test]
    fn programs_are_named_and_their_arguments_not() {
        let text = "package a\nimport \"os/exec\"\nfunc f() {\n exec.Command(\"git\", \"clone\", \"x\").Run()\n \
                    exec.CommandContext(ctx, \"go\", \"mod\")\n exec.Command(\"git\")\n other.Command(\"no\")\n \
                    exec.Command(name, \"--version\")\n exec.CommandContext(f(a, b), name, \"x\")\n exec.Command(\"\")\n}\n";
        let files = [("a.go", Arc::new(mentions(text)))];
        assert_eq!(started(&files).into_iter().collect::<Vec<_>>(), ["git", "go"]);
    }
}
