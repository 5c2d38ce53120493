//! Which of a repository's Dockerfiles is that of a directory which a toolchain builds.

use super::says;
use crate::model::source_tree::{SourceTree, join, parent};

/// What builders look for (`docker build`; `podman build`: a `Containerfile` is the same under another name).
pub(crate) const NAMES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// The directory's own, or the nearest above it that takes files from it: the context of that one is the repository.
pub(crate) fn of(tree: &SourceTree, directory: &str) -> Option<String> {
    own(tree, directory).or_else(|| {
        let above = std::iter::successors(Some(directory), |path| (!path.is_empty()).then(|| parent(path))).skip(1);
        above.filter_map(|place| own(tree, place)).find(|path| {
            let inside = directory[parent(path).len()..].trim_start_matches('/');
            tree.text(path).is_some_and(|text| Taken::read(text).is_from(inside))
        })
    })
}

fn own(tree: &SourceTree, directory: &str) -> Option<String> {
    NAMES.iter().filter_map(|name| join(directory, name)).find(|path| tree.has_file(path))
}

/// What a Dockerfile takes from the repository, read once for however many directories are asked about.
pub(crate) struct Taken {
    copied: Vec<String>,
    workplaces: Vec<String>,
    run: Vec<Vec<String>>,
}

impl Taken {
    pub(crate) fn read(text: &str) -> Self {
        let run = says::commands(text).into_iter().chain(says::starts(text));
        let copied = says::copies(text).iter().map(|word| plain(word).to_owned()).collect();
        Self { copied, workplaces: says::workplaces(text), run: run.map(|said| said.words).collect() }
    }

    /// Whether it copies the directory, works in it, or runs or starts what lies in it: the directory relative to the build
    /// context, which is where the Dockerfile lies.
    pub(crate) fn is_from(&self, directory: &str) -> bool {
        let (inside, end) = (format!("{directory}/"), format!("/{directory}"));
        let copied = |word: &String| word.trim_end_matches('/') == directory || word.starts_with(&inside);
        let works = |place: &String| place == directory || place.ends_with(&end);
        let enters =
            |words: &[String]| words.windows(2).any(|pair| matches!(pair[0].as_str(), "cd" | "-C") && works(&pair[1]));
        let uses = |words: &Vec<String>| words.iter().any(|word| plain(word).starts_with(&inside)) || enters(words);
        self.copied.iter().any(copied) || self.workplaces.iter().any(works) || self.run.iter().any(uses)
    }
}

fn plain(word: &str) -> &str {
    word.trim_start_matches("./").trim_start_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_of_a_directory() {
        for (text, expected) in [
            ("FROM a\nCOPY src/. .\n", true),
            ("FROM a\nCOPY ./src /app\n", true),
            ("FROM a\nCOPY . .\nRUN pip install -r src/requirements.txt\n", true),
            ("FROM a\nCOPY . .\nCMD [\"python\", \"/src/app.py\"]\n", true),
            ("FROM a\nCOPY . /x\nWORKDIR /x/src/\n", true),
            ("FROM a\nCOPY . /x\nRUN make && cd /x/src && go build\n", true),
            ("FROM a\nCOPY . /x\nWORKDIR /x/src/web\n", false),
            ("FROM a\nCOPY srcs/ .\nRUN mkdir src\n", false),
            ("FROM a AS b\nFROM a\nCOPY --from=b src/x .\n", false),
        ] {
            let tree = SourceTree::of_texts([("Dockerfile", text), ("src/a.py", "")]);
            assert_eq!(of(&tree, "src"), expected.then(|| "Dockerfile".to_owned()), "{text}");
        }
        let tree =
            SourceTree::of_texts([("a/Containerfile", ""), ("Dockerfile", "FROM a\nCOPY a/b .\n"), ("a/b/x", "")]);
        assert_eq!(of(&tree, "a").as_deref(), Some("a/Containerfile"));
        assert_eq!(of(&tree, "a/b").as_deref(), Some("Dockerfile"));
    }
}
