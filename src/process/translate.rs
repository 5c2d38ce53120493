//! Paths of the sandbox as paths of the host.

use std::path::{Path, PathBuf};

use crate::model::command::Command;

/// Maps a command's mount targets to their sources, for a command that runs without mounts.
#[derive(Debug, Clone, Default)]
pub struct Translation {
    /// Target and source, longest target first, so that a mount inside a mount wins.
    mounts: Vec<(String, String)>,
}

impl Translation {
    /// The mounts of a command: its workspace at `/workspace`, its caches and its files.
    #[must_use]
    pub fn of(command: &Command) -> Self {
        let workspace = (Path::new("/workspace"), command.workspace.as_path());
        let caches = command.caches.iter().map(|cache| (cache.target.as_path(), cache.source.as_path()));
        let files = command.files.iter().map(|file| (file.target.as_path(), file.source.as_path()));
        let mut mounts: Vec<_> = std::iter::once(workspace)
            .chain(caches)
            .chain(files)
            .map(|(target, source)| (text_of(target), text_of(source)))
            .filter(|(target, _)| !target.is_empty())
            .collect();
        mounts.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
        Self { mounts }
    }

    /// The path on the host; a path outside all mounts stays.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.mounts
            .iter()
            .find_map(|(target, source)| Some(Path::new(source).join(path.strip_prefix(target).ok()?)))
            .unwrap_or_else(|| path.to_owned())
    }

    /// A text with all paths in it translated: at its start, and where settings and lists put them
    /// (`-Dkey=/cache/m2`, `/workspace/bin:/usr/bin`, `-I/workspace`, `@/workspace/args`, `file:///workspace`).
    /// Whole components only: `/workspace2` and `https://host/workspace` are no paths of a mount.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let (mut result, mut done) = (String::with_capacity(text.len()), 0);
        while let Some(found) = text[done..].find('/') {
            let at = done + found;
            let hit = self.mounts.iter().find(|(target, _)| {
                text[at..].strip_prefix(target.as_str()).is_some_and(ends_component) && starts_path(&text[..at])
            });
            let (taken, put) = hit.map_or((1, "/"), |(target, source)| (target.len(), source.as_str()));
            result.push_str(&text[done..at]);
            result.push_str(put);
            done = at + taken;
        }
        result.push_str(&text[done..]);
        result
    }
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().trim_end_matches('/').to_owned()
}

fn delimits(character: char) -> bool {
    character.is_whitespace() || "=:,;\"'<>".contains(character)
}

fn ends_component(rest: &str) -> bool {
    rest.chars().next().is_none_or(|next| next == '/' || delimits(next))
}

fn starts_path(before: &str) -> bool {
    let mut characters = before.chars();
    let option = characters.next() == Some('-')
        && characters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && characters.next().is_none();
    option || before == "@" || before.ends_with("file://") || before.chars().next_back().is_none_or(delimits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn translation() -> Translation {
        let mounts = [("/workspace/target", "/big/t"), ("/cache/m2", "/var/m2"), ("/workspace", "/b/1")];
        Translation { mounts: mounts.map(|(target, source)| (target.to_owned(), source.to_owned())).to_vec() }
    }

    #[test]
    fn paths_are_translated_wherever_they_start() {
        for (from, to) in [
            ("/workspace", "/b/1"),
            ("/workspace/pom.xml", "/b/1/pom.xml"),
            ("/workspace/target/x", "/big/t/x"),
            ("/workspace/targets", "/b/1/targets"),
            ("-Dmaven.repo.local=/cache/m2/repository", "-Dmaven.repo.local=/var/m2/repository"),
            ("/workspace/bin:/usr/bin:/cache/m2", "/b/1/bin:/usr/bin:/var/m2"),
            ("-Da=/workspace -Db='/cache/m2'", "-Da=/b/1 -Db='/var/m2'"),
            ("-I/workspace/include", "-I/b/1/include"),
            ("@/workspace/args", "@/b/1/args"),
            ("file:///workspace/repo", "file:///b/1/repo"),
            ("<home>/cache/m2</home>", "<home>/var/m2</home>"),
        ] {
            assert_eq!(translation().text(from), to);
        }
    }

    #[test]
    fn other_texts_stay() {
        for text in ["/workspace2", "https://host/workspace", "a/workspace", "/x/cache/m2", "//workspace", "", "/"] {
            assert_eq!(translation().text(text), text);
        }
    }

    #[test]
    fn paths_follow_the_longest_mount() {
        assert_eq!(translation().path(Path::new("/workspace/target")), Path::new("/big/t"));
        assert_eq!(translation().path(Path::new("/workspace/a/b")), Path::new("/b/1/a/b"));
        assert_eq!(translation().path(Path::new("/usr/bin")), Path::new("/usr/bin"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[/=a-z中-]{0,40}|(/workspace|=|:|é|/){0,10}") {
            let translated = translation().text(&text);
            prop_assert_eq!(translated.is_empty(), text.is_empty());
        }
    }
}
