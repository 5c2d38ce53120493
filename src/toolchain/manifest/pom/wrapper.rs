//! How Maven itself is called: the wrapper's version, `.mvn/maven.config` and the request's arguments.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, join, parent};

/// What the command line of Maven says about the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Invocation {
    /// `-Dname=value`; a name alone means `true`.
    pub(super) properties: BTreeMap<String, String>,
    /// Profiles of `-P`.
    pub(super) activated: BTreeSet<String>,
    /// Profiles of `-P` with `!` or `-` before them.
    pub(super) deactivated: BTreeSet<String>,
}

impl Invocation {
    /// Reads `-D` and `-P` in all the spellings that Maven's command line takes; later wins.
    pub(super) fn of<'a>(args: impl IntoIterator<Item = &'a str>) -> Self {
        let mut invocation = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let long = |name: &str| arg.strip_prefix(name).map(|rest| rest.strip_prefix('=').unwrap_or(rest));
            let (profile, value) = if let Some(value) = long("--activate-profiles") {
                (true, value)
            } else if let Some(value) = long("--define") {
                (false, value)
            } else if let Some(value) = arg.strip_prefix("-P") {
                (true, value.strip_prefix('=').unwrap_or(value))
            } else if let Some(value) = arg.strip_prefix("-D") {
                (false, value)
            } else {
                continue;
            };
            let value = if value.is_empty() { args.next().unwrap_or_default() } else { value };
            if profile { invocation.profiles(value) } else { invocation.property(value) }
        }
        invocation
    }

    fn property(&mut self, definition: &str) {
        let (name, value) = definition.split_once('=').unwrap_or((definition, "true"));
        self.properties.insert(name.trim().to_owned(), value.to_owned());
    }

    fn profiles(&mut self, list: &str) {
        for id in list.split(',').map(str::trim).filter(|id| !id.is_empty()) {
            if let Some(id) = id.strip_prefix(['!', '-']) {
                self.deactivated.insert(id.trim_start_matches('?').to_owned());
            } else {
                self.activated.insert(id.trim_start_matches(['+', '?']).to_owned());
            }
        }
    }
}

/// The words of a file in `.mvn` of the directory or the nearest one above it (Maven looks for
/// `.mvn` the same way). Lines that begin with `#` are comments.
pub(super) fn words(tree: &SourceTree, directory: &str, file: &str) -> Vec<String> {
    let Some(text) = nearest(tree, directory, &format!(".mvn/{file}")).and_then(|path| tree.text(&path)) else {
        return Vec::new();
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).map(|word| word.trim_matches('"').to_owned()).collect()
}

/// Maven's version that the wrapper's `distributionUrl` names. The wrapper's script is not run: it may lack its
/// executable bit or have Windows' line ends.
pub(super) fn maven_version(tree: &SourceTree, directory: &str) -> Option<Found<String>> {
    let path = nearest(tree, directory, ".mvn/wrapper/maven-wrapper.properties")?;
    let lines = tree.text(&path)?.lines().zip(1u32..);
    lines.filter_map(|(line, number)| Some((line.trim().strip_prefix("distributionUrl")?, number))).find_map(
        |(value, number)| {
            let file = value.rsplit('/').next()?;
            let version = file
                .strip_prefix("apache-maven-")?
                .trim_end()
                .strip_suffix("-bin.zip")
                .or_else(|| file.strip_prefix("apache-maven-")?.trim_end().strip_suffix("-bin.tar.gz"))?;
            let plain = version.starts_with(|c: char| c.is_ascii_digit())
                && version.len() < 40
                && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
            plain.then(|| Found::new(version.to_owned(), Origin::file(&path, Some(number), "distributionUrl")))
        },
    )
}

/// The file at a relative path in the directory or the nearest one above it.
pub(super) fn nearest(tree: &SourceTree, directory: &str, relative: &str) -> Option<String> {
    let mut at = directory;
    loop {
        let path = join(at, relative)?;
        if tree.has_file(&path) {
            return Some(path);
        }
        if at.is_empty() {
            return None;
        }
        at = parent(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_arguments() {
        let args =
            ["-Pa,!b", "-P", "c,-d", "--activate-profiles=e", "-Dx=1", "-D", "y=2", "--define", "z", "-T1C", "-P+f"];
        let invocation = Invocation::of(args);
        assert_eq!(invocation.activated.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "c", "e", "f"]);
        assert_eq!(invocation.deactivated.iter().map(String::as_str).collect::<Vec<_>>(), ["b", "d"]);
        let properties: Vec<_> = invocation.properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(properties, [("x", "1"), ("y", "2"), ("z", "true")]);
    }

    #[test]
    fn the_wrapper_names_a_version() {
        let text =
            "# x\ndistributionUrl=https\\://repo.example.com/maven/apache-maven/3.9.6/apache-maven-3.9.6-bin.zip\r\n";
        let tree = SourceTree::of_texts([(".mvn/wrapper/maven-wrapper.properties", text)]);
        let found = maven_version(&tree, "a/b").unwrap();
        assert_eq!(found.value, "3.9.6");
        assert_eq!(found.origin.line, Some(2));
    }

    #[test]
    fn maven_config_lines_and_words() {
        let tree = SourceTree::of_texts([(".mvn/maven.config", "-Pprod\n# -Pno\n-Drevision=1 -q\n")]);
        assert_eq!(words(&tree, "m", "maven.config"), ["-Pprod", "-Drevision=1", "-q"]);
    }
}
