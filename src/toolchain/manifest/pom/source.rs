//! Finds classes with a `main` method in sources of Java and Kotlin, by reading their tokens (The Java Language
//! Specification, 12.1.4; Kotlin's "Main entry point"): comments and texts do not count.

use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, join};

/// More source files than this are not looked at.
const MAX_FILES: usize = 5000;

/// The classes of a module's directories of sources that the virtual machine can start, in the order of their paths.
///
/// Kotlin's count only where something compiles them.
pub(super) fn mains(tree: &SourceTree, roots: &[String], kotlin: bool) -> Vec<Found<String>> {
    let mut paths = files(tree, roots);
    paths.retain(|path| kotlin || extension(path) == Some("java"));
    let found = tree.derived_each(paths.iter().map(String::as_str), |path, text| {
        Main(if calls(text, "main").next().is_none() {
            None
        } else if extension(path) == Some("kt") {
            kotlin_main(path, text)
        } else {
            java_main(text)
        })
    });
    found
        .into_iter()
        .filter_map(|(path, main)| {
            let (class, line) = main.0.as_ref()?;
            Some(Found::new(class.clone(), Origin::file(path, Some(*line), format!("`{class}` has a `main` method"))))
        })
        .collect()
}

/// A file's class that starts, and the line of its method.
struct Main(Option<(String, u32)>);

/// What stands behind each `name (` of a text, be it in a comment: most texts need not be read any further. A comment
/// between the two is taken for what is given.
pub(super) fn calls<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    memchr::memmem::find_iter(text.as_bytes(), name.as_bytes()).filter_map(move |at| {
        let behind = text[at + name.len()..].trim_start();
        let given = behind.strip_prefix('(').map(str::trim_start).or_else(|| behind.starts_with('/').then_some(behind));
        given.filter(|_| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// Whether a file below a directory is named as a class is, in whatever language it is written.
pub(super) fn has_class(tree: &SourceTree, directory: &str, class: &str) -> bool {
    let name = format!("/{}.", class.replace('.', "/"));
    let name = memchr::memmem::Finder::new(&name);
    tree.below(directory).any(|(path, _)| name.find(path.as_bytes()).is_some())
}

/// The sources of Java and Kotlin in a module's directories.
pub(super) fn files(tree: &SourceTree, roots: &[String]) -> Vec<String> {
    let below = |root: &String| tree.below(root).map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
    let sources = roots.iter().flat_map(below).filter(|path| matches!(extension(path), Some("java" | "kt")));
    sources.take(MAX_FILES).collect()
}

/// Directories of a module that its main sources open by a path relative to where they run, as programs with a server
/// inside do with `src/main/webapp`; those that are `made` by the build need not be there yet.
pub(super) fn opened(tree: &SourceTree, directory: &str, known: &[&str], made: &[&str]) -> Vec<String> {
    let there = |name: &&&str| join(directory, name).is_some_and(|path| tree.has_directory(&path));
    let known: Vec<&&str> = known.iter().filter(there).chain(made).collect();
    let root = join(directory, "src/main/java").unwrap_or_default();
    let files = tree.below(&root).map(|(path, _)| path).filter(|path| extension(path) == Some("java"));
    let files: Vec<&str> = files.take(if known.is_empty() { 0 } else { MAX_FILES }).collect();
    let texts: Vec<&str> = files.into_iter().filter_map(|path| tree.text(path)).collect();
    let opens = |name: &&&str| texts.iter().any(|text| text.contains(&format!("\"{name}")));
    known.into_iter().filter(opens).map(|name| (*name).to_owned()).collect()
}

fn extension(path: &str) -> Option<&str> {
    path.rsplit_once('.').map(|(_, extension)| extension)
}

/// `public static void main(String…)` of a top-level type.
fn java_main(text: &str) -> Option<(String, u32)> {
    let tokens = tokens(text);
    let (mut package, mut class, mut depth) = (String::new(), None, 0usize);
    for (index, (token, line)) in tokens.iter().enumerate() {
        let next = |by: usize| tokens.get(index + by).map_or("", |(token, _)| *token);
        match *token {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "package" if depth == 0 && class.is_none() => package = dotted(&tokens[index + 1..]),
            "class" | "interface" | "enum" | "record" if depth == 0 => class = Some(next(1)),
            "main" if depth == 1 && next(1) == "(" && next(2) != ")" => {
                let before: Vec<_> = tokens[index.saturating_sub(6)..index].iter().map(|(token, _)| *token).collect();
                let own = before.rsplit(|token| matches!(*token, ";" | "{" | "}")).next().unwrap_or_default();
                if let Some(class) = class.filter(|_| own.contains(&"static") && own.last() == Some(&"void")) {
                    return Some((qualified(&package, class), *line));
                }
            }
            _ => {}
        }
    }
    None
}

/// A top-level `fun main`: its class has the file's name with `Kt`.
fn kotlin_main(path: &str, text: &str) -> Option<(String, u32)> {
    let tokens = tokens(text);
    let (mut package, mut depth) = (String::new(), 0usize);
    for (index, (token, line)) in tokens.iter().enumerate() {
        let next = |by: usize| tokens.get(index + by).map_or("", |(token, _)| *token);
        match *token {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "package" if depth == 0 => package = dotted(&tokens[index + 1..]),
            "fun" if depth == 0 && next(1) == "main" && next(2) == "(" => {
                let file = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".kt");
                let mut letters = file.chars();
                let first = letters.next()?.to_uppercase();
                return Some((qualified(&package, &format!("{first}{}Kt", letters.as_str())), *line));
            }
            _ => {}
        }
    }
    None
}

fn qualified(package: &str, class: &str) -> String {
    if package.is_empty() { class.to_owned() } else { format!("{package}.{class}") }
}

/// The names joined by dots at the beginning of some tokens.
fn dotted(tokens: &[(&str, u32)]) -> String {
    let mut name = String::new();
    for (token, _) in tokens {
        let ends_in_name = !name.is_empty() && !name.ends_with('.');
        if (*token == ".") != ends_in_name || !(*token == "." || is_word(token)) {
            break;
        }
        name.push_str(token);
    }
    name
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
}

/// Words and single signs with their lines, without comments and texts.
pub(super) fn tokens(text: &str) -> Vec<(&str, u32)> {
    let bytes = text.as_bytes();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let rest = &text[at..];
        let length = match bytes[at] {
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
            b'"' if rest.starts_with("\"\"\"") => rest[3..].find("\"\"\"").map_or(rest.len(), |end| end + 6),
            quote @ (b'"' | b'\'') => quoted(rest, quote),
            byte if byte.is_ascii_whitespace() => 1,
            _ => {
                let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
                let length = if word == 0 { rest.chars().next().map_or(1, char::len_utf8) } else { word };
                found.push((&rest[..length], line));
                length
            }
        };
        line += u32::try_from(rest[..length].matches('\n').count()).unwrap_or(0);
        at += length;
    }
    found
}

/// The length of a text in quotes; one that does not end does so with its line.
fn quoted(rest: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (index, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            b'\n' => return index,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if byte == quote => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(path: &str, text: &str, kotlin: bool) -> Vec<String> {
        let tree = SourceTree::of_texts([(path, text)]);
        mains(&tree, &["src/main/java".to_owned(), "src/main/kotlin".to_owned()], kotlin)
            .iter()
            .map(|found| format!("{} {}", found.value, found.origin.line.unwrap()))
            .collect()
    }

    #[test]
    fn classes_that_start() {
        let table: &[(&str, &str)] = &[
            (
                "package a.b;\npublic final class C {\n public static void main(final String... args) throws Exception {} }",
                "a.b.C 3",
            ),
            ("class C { static public void main(String[] a) {} }", "C 1"),
            ("class C { static public void main /* x */\n (String[] a) {} }", "C 1"),
            ("class C { static public void domain(String[] a) {} void main() {} }", ""),
            (
                "package a; // x\n/* class X { */ @A(\"}\") public class C<T> { int f = '{'; static void main(String[] a) {} }",
                "a.C 2",
            ),
            ("class C { class D { public static void main(String[] a) {} } }", ""),
            ("class C { // public static void main(String[] a)\n String s = \"static void main(\"; }", ""),
            ("class C { void x() { main(null); } static int main(String[] a) { return 1; } }", ""),
            ("class C { String s = \"\"\"\n static void main(String[] a) {\"\"\"; }", ""),
        ];
        for (text, expected) in table {
            assert_eq!(found("src/main/java/C.java", text, false).concat(), *expected, "{text}");
        }
    }

    #[test]
    fn directories_that_the_program_opens() {
        let opens = r#"class C { java.io.File f = new java.io.File("src/main/webapp/"); }"#;
        let tree = SourceTree::of_texts([("m/src/main/java/C.java", opens), ("m/src/main/webapp/index.jsp", "")]);
        assert_eq!(opened(&tree, "m", &["src/main/webapp", "src/main/resources"], &[]), ["src/main/webapp"]);
        assert!(opened(&tree, "m", &["src/main/resources"], &["target/classes"]).is_empty());
        let opens = r#"class C { java.io.File f = new java.io.File("target/classes"); }"#;
        let tree = SourceTree::of_texts([("src/main/java/C.java", opens)]);
        assert_eq!(opened(&tree, "", &[], &["target/classes"]), ["target/classes"]);
    }

    #[test]
    fn kotlin_counts_where_it_is_compiled() {
        let text = "package a\n\nfun main(args: Array<String>) {}\n";
        assert_eq!(found("src/main/kotlin/app.kt", text, true), ["a.AppKt 3"]);
        assert!(found("src/main/kotlin/app.kt", text, false).is_empty());
        assert!(found("src/test/java/C.java", "class C { public static void main(String[] a) {} }", true).is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-zé {}()\"'/*.;\\\\]|main|static void main\\(|package |class |\n){0,60}") {
            let _ = java_main(&text);
            let _ = kotlin_main("é.kt", &text);
        }
    }
}
