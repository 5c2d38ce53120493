//! The little that planning reads of a Go source file: its build constraint, its package, what
//! it imports, and whether it has `func main` (Go specification; `go help buildconstraint`).

use super::goconstraint::{constraint, for_linux, holds};

/// What a file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// The package clause's name.
    pub(super) package: String,
    /// The line of `func main(`, from 1.
    pub(super) main: Option<u32>,
    /// The line of `import "C"`.
    pub(super) cgo: Option<u32>,
    /// Whether `//go:embed` is used.
    pub(super) embed: bool,
    /// Whether the build constraint holds on Linux.
    pub(super) built: bool,
}

/// Reads a file; `None` without a package clause. Looks for `main` only in a package `main`.
pub(super) fn read(name: &str, text: &str) -> Option<Source> {
    let mut tokens = Tokens { text, at: 0, line: 1 };
    if tokens.next()?.kind != Kind::Word("package") {
        return None;
    }
    let Kind::Word(package) = tokens.next()?.kind else { return None };
    let mut source = Source {
        package: package.to_owned(),
        embed: text.lines().any(|line| line.starts_with("//go:embed ")),
        built: for_linux(name) && constraint(text).is_none_or(holds),
        ..Source::default()
    };
    let mut token = tokens.next();
    while let Some(Token { kind: Kind::Word("import"), .. }) = token {
        token = imports(&mut tokens, &mut source);
    }
    if package == "main" {
        source.main = main_line(token, &mut tokens);
    }
    Some(source)
}

/// Reads one import declaration and returns the token after it.
fn imports<'a>(tokens: &mut Tokens<'a>, source: &mut Source) -> Option<Token<'a>> {
    let mut block = false;
    loop {
        let token = tokens.next()?;
        match token.kind {
            Kind::Text(path) => {
                if path == "C" {
                    source.cgo.get_or_insert(token.line);
                }
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    Word(&'a str),
    Text(&'a str),
    Sign(char),
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind<'a>,
    line: u32,
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Tokens<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = rest.get(..bytes).unwrap_or(rest);
        self.at += taken.len();
        let lines = taken.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        taken
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').len();
            let length = if blank > 0 {
                blank
            } else if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if let Some(comment) = rest.strip_prefix("/*") {
                comment.find("*/").map_or(rest.len(), |end| end + 4)
            } else {
                return;
            };
            self.take(length);
        }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let line = self.line;
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let kind = match first {
            '`' | '"' | '\'' => {
                let text = self.take(quoted(rest, first));
                let inner = text.strip_prefix(first).unwrap_or(text);
                Kind::Text(inner.strip_suffix(first).unwrap_or(inner))
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                Kind::Word(self.take(end))
            }
            c => {
                self.take(c.len_utf8());
                Kind::Sign(c)
            }
        };
        Some(Token { kind, line })
    }
}

/// Bytes of the literal that starts here; an unclosed `"` or `'` ends with its line.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote || (c == '\n' && quote != '`') {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_main_is_found_behind_comments_and_texts() {
        let text = "/* func main() */\n// package x\npackage main\n\nimport (\n\t\"fmt\"\n\t_ \"C\"\n)\nvar x = `func main(`\n\
            var y = \"func main(\"; const r = '\"'\nfunc (t T) main() {}\nfunc f() { func main() }\n//go:embed a\nfunc\tmain ( ) {}\n";
        let source = read("main.go", text).unwrap();
        assert_eq!((source.main, source.cgo, source.embed, source.built), (Some(14), Some(7), true, true));
        assert_eq!(read("a.go", "package main\nfunc mainly() {}").unwrap().main, None);
        assert_eq!(read("a.go", "package lib\nimport \"C\"\nfunc main() {}").unwrap().main, None);
        assert_eq!(read("a.go", "package a\nimport x \"y\"; import \"C\"\n").unwrap().cgo, Some(2));
        assert_eq!(read("a.go", "// nothing"), None);
        assert_eq!(read("a.go", "package \"a\""), None);
    }

    #[test]
    fn constraints_count_before_the_package_clause() {
        let built = |name: &str, text: &str| read(name, text).unwrap().built;
        assert!(!built("a.go", "// (c)\n\n/* x\n*/\n//go:build ignore\n\npackage main"));
        assert!(built("a.go", "package main\n//go:build ignore\n"));
        assert!(!built("a_windows.go", "package a") && !built("a_linux_arm64.go", "package a"));
        assert!(
            built("a_linux.go", "package a") && built("linux_x.go", "package a") && built("windows.go", "package a")
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_names_existing_lines(
            text in "(package main\n)?(func main|import|\"C\"|//go:build|[ (){}!|&\"'`/*\\\\é\n\u{feff}]){0,40}"
        ) {
            let count = u32::try_from(text.lines().count()).unwrap();
            if let Some(source) = read("a.go", &text) {
                prop_assert!(source.main.into_iter().chain(source.cgo).all(|line| line >= 1 && line <= count));
            }
        }
    }
}
