//! Whether a Go file is built on Linux: its name and its `//go:build` line (`go help buildconstraint`).

/// `x_windows.go` and `x_linux_arm64.go` are built only there; Slipway builds for Linux on amd64.
pub(super) fn for_linux(name: &str) -> bool {
    const SYSTEMS: &[&str] = &[
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "hurd",
        "illumos",
        "ios",
        "js",
        "linux",
        "nacl",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "wasip1",
        "windows",
        "zos",
    ];
    const MACHINES: &[&str] = &[
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
        "riscv64", "s390x", "wasm",
    ];
    let mut parts = name.trim_end_matches(".go").split('_').skip(1).collect::<Vec<_>>();
    if let Some(machine) = parts.pop_if(|part| MACHINES.contains(part))
        && machine != "amd64"
    {
        return false;
    }
    parts.last().is_none_or(|part| !SYSTEMS.contains(part) || *part == "linux")
}

/// What a constraint is worked out for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tags<'a> {
    /// Whether cgo is on.
    pub(super) cgo: bool,
    /// What `-tags` adds.
    pub(super) more: &'a [String],
}

/// The constraint before the package clause: the `//go:build` line, or else all `// +build` lines as such an expression.
pub(super) fn constraint(text: &str) -> Option<String> {
    let mut in_comment = false;
    let mut old = Vec::new();
    for line in text.lines().map(|line| line.trim_start_matches('\u{feff}').trim()) {
        if in_comment {
            in_comment = !line.contains("*/");
        } else if let Some(expression) = line.strip_prefix("//go:build ") {
            return Some(expression.to_owned());
        } else if let Some(options) = line.strip_prefix("//").and_then(|line| line.trim_start().strip_prefix("+build "))
        {
            // Options are alternatives, the terms of an option all hold.
            let options = options.split_whitespace().map(|option| format!("({})", option.replace(',', " && ")));
            old.push(format!("({})", options.collect::<Vec<_>>().join(" || ")));
        } else if line.starts_with("/*") {
            in_comment = !line.contains("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            break;
        }
    }
    (!old.is_empty()).then(|| old.join(" && "))
}

/// Works out a constraint for Linux on amd64, of any Go release.
pub(super) fn holds(expression: &str, tags: &Tags<'_>) -> bool {
    let mut spaced = expression.to_owned();
    for sign in ["(", ")", "!", "&&", "||"] {
        spaced = spaced.replace(sign, &format!(" {sign} "));
    }
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    Constraint { tokens: &tokens, at: 0, tags }.any(0)
}

struct Constraint<'a> {
    tokens: &'a [&'a str],
    at: usize,
    tags: &'a Tags<'a>,
}

impl Constraint<'_> {
    fn accept(&mut self, token: &str) -> bool {
        let found = self.tokens.get(self.at) == Some(&token);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: u32) -> bool {
        let mut value = self.all(depth);
        while self.accept("||") {
            value |= self.all(depth);
        }
        value
    }

    fn all(&mut self, depth: u32) -> bool {
        let mut value = self.one(depth);
        while self.accept("&&") {
            value &= self.one(depth);
        }
        value
    }

    fn one(&mut self, depth: u32) -> bool {
        let mut negated = false;
        while self.accept("!") {
            negated = !negated;
        }
        if depth > 50 {
            return false;
        }
        let value = if self.accept("(") {
            let value = self.any(depth + 1);
            self.accept(")");
            value
        } else {
            let tag = self.tokens.get(self.at).copied().unwrap_or_default();
            self.at += 1;
            matches!(tag, "linux" | "unix" | "amd64" | "gc")
                || (tag == "cgo" && self.tags.cgo)
                || tag.starts_with("go1.")
                || self.tags.more.iter().any(|more| more == tag)
        };
        value != negated
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn constraints_hold_on_linux_only() {
        for (expression, value) in [
            ("ignore", false),
            ("linux", true),
            ("!windows", true),
            ("linux && !amd64", false),
            ("(darwin || linux) && cgo", true),
            ("unix&&go1.21", true),
            ("!(linux || darwin)", false),
            ("tools", false),
            ("", false),
        ] {
            assert_eq!(holds(expression, &Tags { cgo: true, more: &[] }), value, "{expression}");
        }
        let more = ["embedded".to_owned()];
        assert!(holds("embedded && !cgo", &Tags { cgo: false, more: &more }));
    }

    #[test]
    fn old_constraints_are_read_where_there_is_no_new_one() {
        let text = "// (c)\n\n// +build linux,!cgo darwin\n// +build go1.2\n\npackage a\n// +build x\n";
        assert_eq!(constraint(text).unwrap(), "((linux && !cgo) || (darwin)) && ((go1.2))");
        assert_eq!(constraint("//go:build linux\n// +build darwin\n\npackage a\n").unwrap(), "linux");
        assert_eq!(constraint("package a\n"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a(){}!|& \n]|&&|linux){0,40}") {
            let _ = holds(&text, &Tags { cgo: true, more: &[] });
            let _ = constraint(&text);
            let _ = for_linux(&text);
        }
    }
}
