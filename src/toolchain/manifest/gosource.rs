//! The little that planning reads of a Go source file: its build constraint, its package, what
//! it imports and embeds, and whether it has `func main` (Go specification; `go help buildconstraint`).

use std::sync::Arc;

use super::goconstraint::{Tags, constraint, for_linux, holds};
use super::gotokens::{Kind, Token, Tokens};
use crate::model::source_tree::SourceTree;

/// What a file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// The package clause's name.
    pub(super) package: String,
    /// The line of `func main(`, from 1.
    pub(super) main: Option<u32>,
    /// The line of `import "C"`.
    pub(super) cgo: Option<u32>,
    /// What it imports, `"C"` excepted.
    pub(super) imports: Vec<String>,
    /// Patterns of `//go:embed`, with their lines.
    pub(super) embeds: Vec<(String, u32)>,
    /// Names of `#cgo pkg-config:`, with their lines.
    pub(super) c_libraries: Vec<(String, u32)>,
    /// Whether the file is built on Linux with cgo.
    pub(super) built: bool,
    /// Whether it is built on Linux only where cgo is off.
    pub(super) without_cgo: bool,
}

/// Files of the tree, read once for these tags; what [`read`] gives nothing for, and what has no text, is left out.
pub(super) fn of_each<'p>(
    tree: &SourceTree,
    paths: impl IntoIterator<Item = &'p str>,
    tags: &[String],
) -> Vec<(&'p str, Arc<Source>)> {
    /// The tags are the request's, and so the same for all of a planning.
    struct Read(Vec<String>, Option<Arc<Source>>);
    let read = |path: &str, text: &str| read(path.rsplit('/').next().unwrap_or(path), text, tags).map(Arc::new);
    let found = tree.derived_each(paths, |path, text| Read(tags.to_vec(), read(path, text)));
    let for_these = |(path, found): (&'p str, Arc<Read>)| {
        let source = if found.0 == tags { found.1.clone() } else { read(path, tree.text(path)?) };
        Some((path, source?))
    };
    found.into_iter().filter_map(for_these).collect()
}

/// Reads a file; `None` without a package clause. Looks for `main` only in a package `main`.
fn read(name: &str, text: &str, tags: &[String]) -> Option<Source> {
    let mut tokens = Tokens::of(text);
    if tokens.next()?.kind != Kind::Word("package") {
        return None;
    }
    let Kind::Word(package) = tokens.next()?.kind else { return None };
    let expression = constraint(text);
    let built =
        |cgo| for_linux(name) && expression.as_deref().is_none_or(|text| holds(text, &Tags { cgo, more: tags }));
    let mut source = Source {
        package: package.to_owned(),
        c_libraries: if text.contains("#cgo ") { c_libraries(text) } else { Vec::new() },
        built: built(true),
        ..Source::default()
    };
    source.without_cgo = !source.built && built(false);
    let mut token = tokens.next();
    while let Some(Token { kind: Kind::Word("import"), .. }) = token {
        token = imports(&mut tokens, &mut source);
    }
    // Elsewhere the compiler refuses the line (package `embed`, "Directives").
    if text.contains("//go:embed") && source.imports.iter().any(|import| import == "embed") {
        source.embeds = embeds(text);
    }
    if package == "main" {
        source.main = main_line(token, &mut tokens);
    }
    Some(source)
}

/// The patterns of `//go:embed` lines: words, or Go texts (package `embed`, "Directives").
fn embeds(text: &str) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for (mut rest, number) in Tokens::embeds(text) {
        loop {
            rest = rest.trim_start();
            let Some(first) = rest.chars().next() else { break };
            let quoted = ['"', '`'].contains(&first);
            let end = if quoted { rest[1..].find(first).map(|at| at + 1) } else { rest.find([' ', '\t']) };
            let end = end.unwrap_or(rest.len());
            found.push((rest[usize::from(quoted)..end].to_owned(), number));
            rest = rest.get(end + usize::from(quoted)..).unwrap_or_default();
        }
    }
    found
}

/// The names of `#cgo pkg-config:` lines that hold on Linux (`go doc cmd/cgo`, "Using cgo with the go command").
fn c_libraries(text: &str) -> Vec<(String, u32)> {
    let lines = (1..).zip(text.lines()).filter_map(|(number, line)| {
        let line = line.trim_start_matches("//").trim().strip_prefix("#cgo ")?;
        let (before, names) = line.split_once("pkg-config:")?;
        let here = |term: &str| {
            term.split(',').all(|word| {
                matches!(word, "linux" | "amd64" | "cgo")
                    || word.starts_with('!') && !matches!(word, "!linux" | "!amd64" | "!cgo")
            })
        };
        let holds = before.trim().is_empty() || before.split_whitespace().any(here);
        holds.then_some((number, names))
    });
    let names = lines.flat_map(|(number, names)| names.split_whitespace().map(move |name| (name.to_owned(), number)));
    names.filter(|(name, _)| !name.starts_with('-')).collect()
}

/// Reads one import declaration and returns the token after it.
fn imports<'a>(tokens: &mut Tokens<'a>, source: &mut Source) -> Option<Token<'a>> {
    let mut block = false;
    loop {
        let token = tokens.next()?;
        match token.kind {
            Kind::Text("C") => {
                source.cgo.get_or_insert(token.line);
                if !block {
                    break;
                }
            }
            Kind::Text(path) => {
                source.imports.push(path.to_owned());
                if !block {
                    break;
                }
            }
            Kind::Sign('(') => block = true,
            Kind::Sign(')') => break,
            Kind::Word("func" | "var" | "const" | "type" | "import") if !block => return Some(token),
            _ => {}
        }
    }
    let mut next = tokens.next()?;
    while next.kind == Kind::Sign(';') {
        next = tokens.next()?;
    }
    Some(next)
}

/// Finds `func main(` outside all brackets.
fn main_line<'a>(mut token: Option<Token<'a>>, tokens: &mut Tokens<'a>) -> Option<u32> {
    let mut depth = 0_u32;
    let mut last = [Kind::Sign(' '), Kind::Sign(' ')];
    while let Some(current) = token {
        match current.kind {
            Kind::Sign('(') if depth == 0 && last == [Kind::Word("func"), Kind::Word("main")] => {
                return Some(current.line);
            }
            Kind::Sign('(' | '{' | '[') => depth = depth.saturating_add(1),
            Kind::Sign(')' | '}' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        last = [last[1], current.kind];
        token = tokens.next();
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(name: &str, text: &str) -> Option<Source> {
        super::read(name, text, &["extra".to_owned()])
    }

    #[test]
    fn a_main_is_found_behind_comments_and_texts() {
        let text = "/* func main() */\n// package x\npackage main\n\nimport (\n\t\"embed\"\n\t_ \"C\"\n)\nvar x = `func main(`\n\
            var y = \"func main(\"; const r = '\"'\nfunc (t T) main() {}\nfunc f() { func main() }\n//go:embed a\nfunc\tmain ( ) {}\n";
        let source = read("main.go", text).unwrap();
        assert_eq!((source.main, source.cgo, source.built), (Some(14), Some(7), true));
        assert_eq!((source.imports, source.embeds), (vec!["embed".to_owned()], vec![("a".to_owned(), 13)]));
        assert_eq!(read("a.go", "package main\nfunc mainly() {}").unwrap().main, None);
        assert_eq!(read("a.go", "package lib\nimport \"C\"\nfunc main() {}").unwrap().main, None);
        assert_eq!(read("a.go", "package a\nimport x \"y\"; import \"C\"\n").unwrap().cgo, Some(2));
        assert_eq!(read("a.go", "// nothing"), None);
        assert_eq!(read("a.go", "package \"a\""), None);
    }

    #[test]
    fn embeds_are_words_and_texts() {
        let lines = "//go:embed dist/* all:web \"a b\" `c`\r\n//go:embedded x\n// go:embed y\nvar (\n\t//go:embed site\n\tsite FS\n)\n\
            const x = `\n//go:embed text\n`\n/*\n//go:embed comment\n*/\nvar y int //go:embed behind\n";
        let source = read("a.go", &format!("package a\nimport _ \"embed\"\n{lines}"));
        let patterns: Vec<_> = source.unwrap().embeds;
        assert_eq!(
            patterns.iter().map(|(pattern, line)| (pattern.as_str(), *line)).collect::<Vec<_>>(),
            [("dist/*", 3), ("all:web", 3), ("a b", 3), ("c", 3), ("site", 7)]
        );
        assert!(read("a.go", &format!("package a\n{lines}")).unwrap().embeds.is_empty());
    }

    #[test]
    fn constraints_count_before_the_package_clause() {
        let built = |name: &str, text: &str| read(name, text).unwrap().built;
        assert!(!built("a.go", "// (c)\n\n/* x\n*/\n//go:build ignore\n\npackage main"));
        assert!(built("a.go", "package main\n//go:build ignore\n"));
        assert!(built("a.go", "//go:build extra\n\npackage main\n"));
        assert!(!built("a_windows.go", "package a") && !built("a_linux_arm64.go", "package a"));
        assert!(
            built("a_linux.go", "package a") && built("linux_x.go", "package a") && built("windows.go", "package a")
        );
        let other = read("a.go", "//go:build !cgo\n\npackage a\n").unwrap();
        assert!(!other.built && other.without_cgo);
    }

    proptest! {
        #[test]
        fn never_panics_and_names_existing_lines(
            text in "(package main\n)?(func main|import|\"C\"|//go:build|//go:embed |[ (){}!|&\"'`/*\\\\é\n\u{feff}]){0,40}"
        ) {
            let count = u32::try_from(text.lines().count()).unwrap();
            if let Some(source) = read("a.go", &text) {
                let lines = source.main.into_iter().chain(source.cgo).chain(source.embeds.iter().map(|(_, line)| *line));
                prop_assert!(lines.into_iter().all(|line| line >= 1 && line <= count));
            }
        }
    }
}
