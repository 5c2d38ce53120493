//! Poms in, demands on the JDK out.

use super::*;

#[test]
fn mise_names_a_jdk_in_each_of_its_forms() {
    for (text, expected) in [
        ("[tools]\nnode = \"20\"\njava = \"temurin-21.0.2\"\n", "21 mise.toml:3: tools.java"),
        ("[tools]\njava = [\"1.8\", \"17\"]\n", "8 mise.toml:2: tools.java"),
        ("[tools.java]\nversion = \"corretto-17\"\n", "17 mise.toml:1: tools.java"),
        ("[tools]\njava = \"latest\"\n", ""),
        ("[tools\n", ""),
    ] {
        let tree = SourceTree::of_texts([("mise.toml", text)]);
        let shown: Vec<_> = of_files(&tree, "a").iter().map(|f| format!("{} {}", f.value, f.origin)).collect();
        assert_eq!(shown.join(", "), expected, "{text}");
    }
}

#[test]
fn enforcer_ranges() {
    let table = [
        ("1.8", "8 or later"),
        ("[11,)", "11 or later"),
        ("[1.8,12)", "8 or later, below 12"),
        ("[17]", "17"),
        ("(,21)", "below 21"),
        ("[11,11]", "11 or later, 11"),
        ("[8,9),[11,17)", "8 or later, below 17"),
        ("junk", ""),
    ];
    for (text, expected) in table {
        let shown: Vec<_> = range(text).iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(", "), expected, "{text}");
    }
}

#[test]
fn version_files() {
    let tree = SourceTree::of_texts([
        (".java-version", "# jenv\n1.8\n"),
        (".sdkmanrc", "java=17.0.9-tem\n"),
        (".tool-versions", "nodejs 20\njava temurin-21.0.1+12\n"),
        ("a/system.properties", "java.runtime.version = 11\n"),
    ]);
    let shown: Vec<_> = of_files(&tree, "a").iter().map(|f| format!("{} {}", f.value, f.origin)).collect();
    assert_eq!(
        shown,
        [
            "8 .java-version:2: java version",
            "17 .sdkmanrc:1: java",
            "21 .tool-versions:2: java",
            "11 a/system.properties:1: java.runtime.version"
        ]
    );
}
