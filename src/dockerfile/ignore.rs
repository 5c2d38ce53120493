//! `.dockerignore`: which paths of a repository stay out of its build context.
//!
//! The rules are Docker's (moby `patternmatcher` and `dockerignore.ReadAll`): Go's path
//! matching, `**` for any number of directories, `!` for exceptions, the last match decides,
//! and a match of a directory counts for everything below it.

use std::path::Path;

/// The patterns of one file, in order.
#[derive(Debug, Default)]
pub struct Rules {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    exception: bool,
    tokens: Vec<Token>,
}

#[derive(Debug, PartialEq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// `**/`, before its first character: nothing, or anything that ends in a slash.
    Directories,
    /// `**/`, after its first character. Follows each `Directories`.
    InDirectories,
    /// `**` elsewhere: anything.
    Anything,
    /// `[a-z]`, `[^a]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Rules {
    /// Reads the text of a `.dockerignore`; a malformed pattern matches nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { patterns: text.lines().filter_map(Pattern::parse).collect() }
    }

    /// Whether anything ignored may hold something that is not.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception)
    }

    /// Whether a path, relative to the root, stays out.
    #[must_use]
    pub fn ignores(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        let chars: Vec<char> = text.chars().collect();
        let mut ignored = false;
        for pattern in &self.patterns {
            // A pattern that would not change the answer need not be tried.
            if pattern.exception == ignored && pattern.matches_or_parent(&chars) {
                ignored = !pattern.exception;
            }
        }
        ignored
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let line = line.trim();
        let (exception, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if line.is_empty() {
            return None;
        }
        let clean = clean(line);
        let clean = if clean.len() > 1 { clean.trim_start_matches('/') } else { &clean };
        Some(Self { exception, tokens: tokens(clean, true)? })
    }

    /// Whether the path or a directory above it matches.
    fn matches_or_parent(&self, path: &[char]) -> bool {
        self.matches(path, |next| next == '/')
    }

    /// Whether the path up to its end, or up to where `may_end` holds of what follows, matches.
    fn matches(&self, path: &[char], may_end: impl Fn(char) -> bool) -> bool {
        // Position by position of the path, the set of tokens that may come next: linear in
        // both, whatever a hostile pattern says.
        let mut states = vec![false; self.tokens.len() + 1];
        states[0] = true;
        self.skip_empty(&mut states);
        for (index, &c) in path.iter().enumerate() {
            let mut next = vec![false; states.len()];
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| states[*at]) {
                match token {
                    Token::Char(expected) if *expected == c => next[at + 1] = true,
                    Token::One if c != '/' => next[at + 1] = true,
                    Token::Star if c != '/' => next[at] = true,
                    Token::Anything => next[at] = true,
                    Token::InDirectories => {
                        next[at] = true;
                        if c == '/' {
                            next[at + 1] = true;
                        }
                    }
                    Token::Class { negated, ranges } => {
                        let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                        if inside != *negated && c != '/' {
                            next[at + 1] = true;
                        }
                    }
                    _ => {}
                }
            }
            self.skip_empty(&mut next);
            states = next;
            let ends_here = path.get(index + 1).is_none_or(|next| may_end(*next));
            if ends_here && states[self.tokens.len()] {
                return true;
            }
        }
        false
    }

    /// Adds what may come next where a token matches nothing.
    fn skip_empty(&self, states: &mut [bool]) {
        for (at, token) in self.tokens.iter().enumerate() {
            if states[at] && matches!(token, Token::Star | Token::Anything | Token::Directories) {
                states[at + 1] = true;
            }
            if states[at] && *token == Token::Directories {
                states[at + 2] = true;
            }
        }
    }
}

/// A pattern of `COPY`: as Go's `filepath.Match`, no part of a path matching a `/`.
#[derive(Debug)]
pub struct Glob(Pattern);

impl Glob {
    /// Reads a pattern; none where it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(Pattern { exception: false, tokens: tokens(text, false)? }))
    }

    /// Whether the whole path matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        self.0.matches(&path, |_| false)
    }
}

/// Go's `filepath.Clean` for slash paths.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Reads a pattern; Docker's has `**`, Go's own (`filepath.Match`) has not.
fn tokens(pattern: &str, docker: bool) -> Option<Vec<Token>> {
    let mut chars = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        let token = match c {
            '*' if docker && chars.peek() == Some(&'*') => {
                while chars.next_if_eq(&'*').is_some() {}
                if chars.next_if_eq(&'/').is_some() {
                    tokens.push(Token::Directories);
                    Token::InDirectories
                } else {
                    Token::Anything
                }
            }
            '*' => Token::Star,
            '?' => Token::One,
            '\\' => Token::Char(chars.next()?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    let low = match chars.next()? {
                        ']' if !ranges.is_empty() => break,
                        '\\' => chars.next()?,
                        low => low,
                    };
                    let high = if chars.next_if_eq(&'-').is_some() {
                        match chars.next()? {
                            '\\' => chars.next()?,
                            high => high,
                        }
                    } else {
                        low
                    };
                    ranges.push((low, high));
                }
                Token::Class { negated, ranges }
            }
            c => Token::Char(c),
        };
        tokens.push(token);
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ignores(patterns: &str, path: &str) -> bool {
        Rules::parse(patterns).ignores(Path::new(path))
    }

    #[test]
    fn docker_s_own_examples() {
        // Docker's documentation, ".dockerignore file".
        assert!(ignores("*/temp*", "somedir/temporary.txt"));
        assert!(!ignores("*/temp*", "a/b/temporary.txt"));
        assert!(ignores("*/*/temp*", "somedir/subdir/temporary.txt"));
        assert!(ignores("temp?", "tempa"));
        assert!(!ignores("temp?", "temp"));
        assert!(ignores("**/*.go", "a/b/c.go") && ignores("**/*.go", "c.go"));
        assert!(ignores("*.md\n!README.md", "x.md") && !ignores("*.md\n!README.md", "README.md"));
        assert!(ignores("*.md\n!README*.md\nREADME-secret.md", "README-secret.md"));
        assert!(!ignores("*.md\nREADME-secret.md\n!README*.md", "README-secret.md"));
    }

    #[test]
    fn moby_s_own_cases() {
        // moby `patternmatcher_test.go`: pattern, path, whether it matches.
        for (pattern, path, expected) in [
            ("**", "file", true),
            ("**", "dir/file", true),
            ("**/", "dir/file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("dir/**", "dir", false),
            ("**/dir2/*", "dir/dir2/dir2/file", true),
            ("**/dir2/**", "dir/dir2/dir2/file", true),
            ("**file", "dir/file", true),
            ("**/file", "dir/dir/file", true),
            ("**/file*", "dir/dir/file.txt", true),
            ("**/file*txt", "dir/dir/file.txt", true),
            ("**/file*.txt*", "dir/dir/file.txt", true),
            ("**/**/*.txt", "dir/dir/file.txt", true),
            ("**/**/*.txt2", "dir/dir/file.txt", false),
            ("a**/*.txt", "a/dir/file.txt", true),
            ("a/*.txt", "a/dir/file.txt", false),
            ("a/*.txt", "a/file.txt", true),
            ("a[b-d]e", "ae", false),
            ("a[b-d]e", "ace", true),
            ("a[^b-d]e", "aze", true),
            (".*", ".foo", true),
            (".*", "foo", false),
            ("abc.def", "abcZdef", false),
            ("abc?def", "abc/def", false),
            ("a\\*b", "a*b", true),
            ("**/foo/bar", "dir/foo/bar", true),
            ("**/foo/bar", "dir/xfoo/bar", false),
            ("abc/**", "abc/def/ghi", true),
            ("**/.foo", "bar.foo", false),
            ("./bin/", "bin/x", true),
            ("/bin", "bin/x", true),
            ("bin/../lib", "lib/x", true),
        ] {
            assert_eq!(ignores(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn comments_and_blank_lines_say_nothing() {
        assert!(!ignores("# a\n\n!\n", "a") && !ignores("#a", "#a"));
        assert!(ignores("\u{feff}  a  ", "a"));
    }

    proptest! {
        #[test]
        fn no_pattern_is_slow_or_panics(pattern in "[\\*\\?\\[\\]ab/!\\\\^.-]{0,40}", path in "[ab/]{0,200}") {
            let _ = ignores(&pattern, &path);
        }
    }
}
