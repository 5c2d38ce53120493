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
            tree.text(path).is_some_and(|text| takes(text, directory[parent(path).len()..].trim_start_matches('/')))
        })
    })
}

fn own(tree: &SourceTree, directory: &str) -> Option<String> {
    NAMES.iter().filter_map(|name| join(directory, name)).find(|path| tree.has_file(path))
}

/// Whether a Dockerfile copies a directory below it, works in it, or runs or starts what lies in it: the directory relative to
/// the build context, which is where the Dockerfile lies.
pub(crate) fn takes(text: &str, directory: &str) -> bool {
    let inside = format!("{directory}/");
    let plain = |word: &str| word.trim_start_matches("./").trim_start_matches('/').to_owned();
    let copied = says::copies(text).iter().any(|word| {
        let word = plain(word);
        word.trim_end_matches('/') == directory || word.starts_with(&inside)
    });
    let works = |place: &String| place == directory || place.ends_with(&format!("/{directory}"));
    let enters =
        |words: &[String]| words.windows(2).any(|pair| matches!(pair[0].as_str(), "cd" | "-C") && works(&pair[1]));
    let run = says::commands(text).into_iter().chain(says::starts(text));
    let uses = |words: &[String]| words.iter().any(|word| plain(word).starts_with(&inside)) || enters(words);
    copied || says::workplaces(text).iter().any(works) || run.into_iter().any(|said| uses(&said.words))
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
