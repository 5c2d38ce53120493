//! Reads pip's requirements files and what they include, without running pip.
//!
//! The rules are those of pip's "Requirements File Format".

use super::lines::{logical_lines, split_option};
use super::requirement::{Requirement, normalise};
use super::text::manifest;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::Origin;
use crate::model::source_tree::{SourceTree, join, parent};

/// More files than any project has; a bound for hostile trees.
const MAX_FILES: usize = 200;

/// What a requirements file and its includes say.
#[derive(Debug, Clone, Default)]
pub(super) struct Requirements {
    /// The distributions that are required.
    pub(super) list: Vec<Requirement>,
    /// Every file that was read, the including one first, relative to the repository's root.
    pub(super) files: Vec<String>,
    /// The entry that installs something of the repository itself (`-e .`, `./lib`).
    pub(super) local: Option<Origin>,
    /// Whether an entry's name cannot be known here (a local project, an included URL).
    pub(super) incomplete: bool,
    /// Whether an entry has a hash, which makes pip want one of all (pip documentation, "Secure installs").
    pub(super) hashed: bool,
    /// What people should know.
    pub(super) warnings: Vec<Warning>,
}

/// Reads the file at `path` and everything it includes.
///
/// # Errors
/// `manifest_invalid` for a line that pip refuses, a missing include, one outside the repository or a cycle.
pub(super) fn read(tree: &SourceTree, paths: &[impl AsRef<str>]) -> Result<Requirements, Failure> {
    let mut reading = Reading { tree, found: Requirements::default(), open: Vec::new() };
    for path in paths {
        reading.file(path.as_ref(), false)?;
    }
    Ok(reading.found)
}

struct Reading<'a> {
    tree: &'a SourceTree,
    found: Requirements,
    open: Vec<String>,
}

impl Reading<'_> {
    fn file(&mut self, path: &str, constraints: bool) -> Result<(), Failure> {
        if self.found.files.iter().any(|known| known == path) {
            return Ok(());
        }
        if self.found.files.len() >= MAX_FILES {
            return Err(invalid(format!("`{path}` is one of more than {MAX_FILES} requirements files.")).at(path, None));
        }
        self.found.files.push(path.to_owned());
        self.open.push(path.to_owned());
        let text = manifest(self.tree, path)?.unwrap_or_default();
        for (number, line) in logical_lines(text) {
            self.line(path, number, &line, constraints)?;
        }
        self.open.pop();
        Ok(())
    }

    fn line(&mut self, path: &str, number: u32, line: &str, constraints: bool) -> Result<(), Failure> {
        if !line.starts_with('-') {
            return if constraints { Ok(()) } else { self.requirement(path, number, line) };
        }
        let (option, value) = split_option(line);
        match option {
            "-r" | "--requirement" => self.include(path, number, value, constraints),
            "-c" | "--constraint" => self.include(path, number, value, true),
            "-e" | "--editable" => self.project(path, number, value),
            "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" | "--no-index" | "--trusted-host" => {
                // The value is not repeated: such URLs hold passwords.
                self.warn(
                    "index_in_requirements",
                    format!(
                        "`{option}` in `{path}` chooses where packages come from, whatever the operator's mirror is."
                    ),
                    "Remove the line and let the operator set `mirrors.python_index`.",
                    (path, number),
                );
                Ok(())
            }
            "--pre"
            | "--prefer-binary"
            | "--require-hashes"
            | "--no-binary"
            | "--only-binary"
            | "--use-feature"
            | "--hash"
            | "--process-dependency-links" => Ok(()),
            _ => {
                Err(invalid(format!("`{path}` line {number}: pip knows no option `{option}` in a requirements file."))
                    .at_column(path, Some(number), self.column(path, number, option)))
            }
        }
    }

    fn include(&mut self, path: &str, number: u32, value: &str, constraints: bool) -> Result<(), Failure> {
        let value = value.trim_matches(['"', '\'']);
        if value.contains("://") {
            self.found.incomplete |= !constraints;
            self.warn(
                "requirements_from_url",
                format!("`{path}` includes a file from the network; what it requires is not known to the plan."),
                "Commit the file, so that the same commit always installs the same packages.",
                (path, number),
            );
            return Ok(());
        }
        let Some(target) = join(parent(path), value) else {
            return Err(invalid(format!(
                "`{path}` line {number} includes `{value}`, which is outside the repository."
            ))
            .hint("Move the included file into the repository, or remove the line.")
            .at_column(path, Some(number), self.column(path, number, value)));
        };
        if self.open.contains(&target) {
            return Err(invalid(format!(
                "`{path}` line {number} includes `{target}`, which includes this file: a cycle."
            ))
            .hint("Remove one of the includes.")
            .at_column(path, Some(number), self.column(path, number, value)));
        }
        if !self.tree.has_file(&target) {
            return Err(invalid(format!(
                "`{path}` line {number} includes `{value}`, but there is no file `{target}`."
            ))
            .hint("Commit the file, or correct the path: it is relative to the including file.")
            .at_column(path, Some(number), self.column(path, number, value)));
        }
        self.file(&target, constraints)
    }

    fn requirement(&mut self, path: &str, number: u32, line: &str) -> Result<(), Failure> {
        // Per-requirement options (`--hash=…`) follow the requirement.
        let text = line.split(" --").next().unwrap_or(line).trim();
        self.found.hashed |= line.contains(" --hash");
        let origin = Origin::file(path, Some(number), text.split("://").next().unwrap_or(text));
        if let Some(requirement) = Requirement::parse(text, origin) {
            // pip takes an existing path for a path, even when it looks like a name with dots.
            if !is_archive(text) {
                if text.contains("git+") {
                    self.warn_vcs(path, number);
                }
                self.found.list.push(requirement);
                return Ok(());
            }
        }
        self.project(path, number, text)
    }

    /// A URL or a path: `-e .`, `./lib`, `git+https://…#egg=name`, `https://…/name-1.0-py3-none-any.whl`.
    fn project(&mut self, path: &str, number: u32, value: &str) -> Result<(), Failure> {
        let value = value.split(" ;").next().unwrap_or(value).trim().trim_matches(['"', '\'']);
        let named = value.split_once("#egg=").or_else(|| value.split_once("&egg=")).map(|(_, egg)| egg);
        if value.contains("://") || value.starts_with("git+") || value.starts_with("file:") {
            if value.starts_with("git+") {
                self.warn_vcs(path, number);
            }
            let file = value.split(['#', '?']).next().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
            let wheel = file.strip_suffix(".whl").and_then(|stem| stem.split('-').next());
            let name = named.map(|egg| egg.split(['[', '&']).next().unwrap_or(egg)).or(wheel).map(normalise);
            self.found.incomplete |= name.is_none();
            self.found.list.push(Requirement {
                name: name.unwrap_or_default(),
                extras: Vec::new(),
                text: value.to_owned(),
                versions: None,
                marker: None,
                applies: true,
                pinned: false,
                origin: Origin::file(path, Some(number), "URL requirement"),
            });
            return Ok(());
        }
        let local = value.split('[').next().unwrap_or(value);
        let looks_like_path = local == "." || local == ".." || local.contains('/') || is_archive(local);
        if local.is_empty()
            || local.contains(char::is_whitespace)
            || !(looks_like_path || self.tree.has_directory(local))
        {
            return Err(invalid(format!(
                "`{path}` line {number}: pip cannot read the requirement `{}`.",
                shown(value)
            ))
            .hint("Write it as PEP 508 says: `name[extras]>=version ; marker`.")
            .at_column(path, Some(number), self.column(path, number, value)));
        }
        // pip takes such paths relative to where it runs; both that and the file's directory stay inside.
        if join(parent(path), local).is_none() {
            return Err(invalid(format!(
                "`{path}` line {number} installs `{}`, which is outside the repository.",
                shown(local)
            ))
            .hint("Move the project into the repository, or install it from the package index by its name.")
            .at_column(path, Some(number), self.column(path, number, value)));
        }
        self.found.local.get_or_insert(Origin::file(path, Some(number), shown(value)));
        self.found.incomplete = true;
        Ok(())
    }

    /// Where on its line a text begins, in characters from 1; a continued line's later parts have no place on it.
    fn column(&self, path: &str, number: u32, text: &str) -> Option<u32> {
        let whole = manifest(self.tree, path).ok().flatten()?;
        let line = whole.trim_start_matches('\u{feff}').lines().nth(usize::try_from(number.checked_sub(1)?).ok()?)?;
        let at = line.find(text.split_whitespace().next()?)?;
        u32::try_from(line[..at].chars().count() + 1).ok()
    }

    fn warn_vcs(&mut self, path: &str, number: u32) {
        self.warn(
            "requirement_from_vcs",
            format!(
                "`{path}` line {number} installs from a Git repository, which the toolchain must be able to reach."
            ),
            "Publish the package to the package index, or pin the commit and make the repository readable.",
            (path, number),
        );
    }

    fn warn(&mut self, code: &str, message: String, hint: &str, (path, line): (&str, u32)) {
        self.found.warnings.push(Warning::new(code, message, hint).at(path, Some(line)));
    }
}

/// A distribution's file, as pip knows them by name.
fn is_archive(text: &str) -> bool {
    let extension = text.rsplit('.').next().unwrap_or_default();
    text.contains('.')
        && ["whl", "zip", "gz", "bz2", "xz", "tgz"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Text of the repository in a message: bounded.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn invalid(message: String) -> Failure {
    Failure::new(FailureCode::ManifestInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> Result<Requirements, Failure> {
        read(&SourceTree::of_texts([("requirements.txt", text), ("lib/setup.py", "")]), &["requirements.txt"])
    }

    fn names(found: &Requirements) -> Vec<(&str, u32)> {
        found.list.iter().map(|r| (r.name.as_str(), r.origin.line.unwrap())).collect()
    }

    #[test]
    fn comments_hashes_markers_and_continuations() {
        let found = read_one(
            "# top\n\nFlask==3.0.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nrequests>=2 # why\n\
             gunicorn ; sys_platform == 'win32'\n",
        )
        .unwrap();
        assert_eq!(names(&found), [("flask", 3), ("requests", 6), ("gunicorn", 7)]);
        assert!(!found.list[2].applies);
        assert_eq!(found.list[0].text, "Flask==3.0.0");
        assert!(found.hashed && !read_one("flask # --hash\n").unwrap().hashed);
    }

    #[test]
    fn urls_paths_and_editables() {
        let found = read_one(
            "-e .\n./lib\ngit+https://u:secret@example.com/x.git#egg=My_Pkg\nhttps://e.com/a/Dist-1.0-py3-none-any.whl\n\
             other @ git+https://example.com/o.git@v1\n",
        )
        .unwrap();
        assert_eq!(names(&found), [("my-pkg", 3), ("dist", 4), ("other", 5)]);
        assert_eq!(found.local.unwrap().line, Some(1));
        assert!(found.incomplete);
        assert_eq!(found.warnings.len(), 2);
        assert!(!format!("{:?}", found.warnings).contains("secret"));
    }

    #[test]
    fn an_index_is_warned_of_without_its_password() {
        let found = read_one("--index-url https://u:secret@example.com/simple\n-i x\n--pre\nflask\n").unwrap();
        assert_eq!(found.warnings.len(), 2);
        assert!(!format!("{:?}", found.warnings).contains("secret"));
    }

    #[test]
    fn includes_are_relative_to_the_including_file() {
        let tree = SourceTree::of_texts([
            ("app/requirements/prod.txt", "-r base.txt\n--constraint=../pins.txt\ngunicorn"),
            ("app/requirements/base.txt", "flask\n-r ../common.txt"),
            ("app/common.txt", "requests"),
            ("app/pins.txt", "urllib3<2"),
        ]);
        let found = read(&tree, &["app/requirements/prod.txt"]).unwrap();
        let names: Vec<_> = found.list.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["flask", "requests", "gunicorn"]);
        assert_eq!(found.files.len(), 4);
    }

    #[test]
    fn bad_includes_and_lines_name_their_place() {
        for (text, place, says) in [
            ("a\n-r ../../etc/passwd\n", (2, 4), "outside the repository"),
            ("-r requirements.txt", (1, 4), "cycle"),
            ("a\n\n-r gone.txt", (3, 4), "no file `gone.txt`"),
            ("flask == 1\n\tnot a requirement\n", (2, 2), "cannot read"),
            ("--unknown x", (1, 1), "no option `--unknown`"),
            ("-e ../other", (1, 4), "outside the repository"),
            ("\u{feff}-é", (1, 1), "no option"),
        ] {
            let failure = read_one(text).unwrap_err();
            assert!(failure.message.contains(says), "{}", failure.message);
            assert_eq!((failure.places[0].line, failure.places[0].column), (Some(place.0), Some(place.1)), "{text}");
            assert_eq!(failure.code, FailureCode::ManifestInvalid);
        }
    }

    #[test]
    fn a_cycle_through_another_file_is_found_and_a_diamond_is_none() {
        let tree = SourceTree::of_texts([("a.txt", "-r b.txt"), ("b.txt", "-r a.txt")]);
        assert!(read(&tree, &["a.txt"]).unwrap_err().message.contains("cycle"));
        let tree = SourceTree::of_texts([("a.txt", "-r b.txt\n-r c.txt"), ("b.txt", "-r c.txt"), ("c.txt", "x")]);
        assert_eq!(read(&tree, &["a.txt"]).unwrap().list.len(), 1);
    }
}
