//! The common grammar of `go.mod` and `go.work`: directives, one a line or in a block
//! (Go Modules Reference, "Lexical elements" and "Grammar").

/// One directive, a block's line included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    /// From 1.
    pub(super) line: u32,
    /// The keyword.
    pub(super) verb: String,
    /// What follows it, unquoted.
    pub(super) words: Vec<String>,
}

/// Where and why a text is no such file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) line: u32,
    pub(super) why: String,
}

/// Reads the directives and refuses keywords other than `verbs`.
pub(super) fn directives(text: &str, verbs: &[&str]) -> Result<Vec<Directive>, Malformed> {
    let mut found = Vec::new();
    let mut block: Option<(u32, String)> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let malformed = |why: String| Malformed { line: number, why };
        let mut words = words(line).map_err(|why| malformed(why.to_owned()))?;
        if words.is_empty() {
            continue;
        }
        if let Some((_, verb)) = &block {
            if words == [")"] {
                block = None;
            } else {
                found.push(Directive { line: number, verb: verb.clone(), words });
            }
            continue;
        }
        let verb = words.remove(0);
        if !verbs.contains(&verb.as_str()) {
            return Err(malformed(format!("`{}` is no directive", verb.chars().take(40).collect::<String>())));
        }
        match words.as_slice() {
            [open] if open == "(" => block = Some((number, verb)),
            [open, close] if open == "(" && close == ")" => {}
            _ => found.push(Directive { line: number, verb, words }),
        }
    }
    match block {
        Some((line, verb)) => Err(Malformed { line, why: format!("the block `{verb} (` is not closed") }),
        None => Ok(found),
    }
}

/// The single argument of the only directive with this verb.
pub(super) fn single<'a>(directives: &'a [Directive], verb: &str) -> Result<Option<(&'a str, u32)>, Malformed> {
    let mut found = directives.iter().filter(|directive| directive.verb == verb);
    let Some(first) = found.next() else { return Ok(None) };
    if let Some(second) = found.next() {
        return Err(Malformed { line: second.line, why: format!("`{verb}` is given twice") });
    }
    match first.words.as_slice() {
        [word] => Ok(Some((word, first.line))),
        _ => Err(Malformed { line: first.line, why: format!("`{verb}` takes one argument") }),
    }
}

/// Words of a line: comments go, `"…"` is one word; other quotes are an error, as `go` has it.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("//") {
        let taken = match rest.chars().next() {
            Some('"') => {
                let (word, end) = interpreted(rest).ok_or("a quoted text is not closed")?;
                words.push(word);
                end
            }
            Some(c @ ('(' | ')' | '[' | ']' | ',')) => {
                words.push(c.to_string());
                1
            }
            _ => {
                let apart = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ',');
                let end = rest.find(apart).unwrap_or(rest.len());
                let end = rest[..end].find("//").unwrap_or(end);
                // The reference names raw texts, and `go` refuses them.
                if rest[..end].contains(['"', '`', '\'']) {
                    return Err("only `\"` quotes a text, and a whole one");
                }
                words.push(rest[..end].to_owned());
                end
            }
        };
        rest = rest.get(taken..).unwrap_or_default().trim_start();
    }
    Ok(words)
}

/// A `"…"` text; its escapes stand for the character that follows, enough for paths.
fn interpreted(text: &str) -> Option<(String, usize)> {
    let mut word = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((word, at + 1)),
            '\\' => word.push(chars.next()?.1),
            _ => word.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_blocks_comments_and_quotes() {
        let text =
            "// c\nmodule \"a/b\" // d\n\nrequire (\n\tx v1 // indirect\n  \n\ty v2\n)\nretract [v1, v2]\ntool ()\n";
        let found = directives(text, &["module", "require", "retract", "tool"]).unwrap();
        let shown: Vec<_> = found.iter().map(|d| (d.line, d.verb.as_str(), d.words.join(" "))).collect();
        assert_eq!(
            shown,
            [
                (2, "module", "a/b".to_owned()),
                (5, "require", "x v1".to_owned()),
                (7, "require", "y v2".to_owned()),
                (9, "retract", "[ v1 , v2 ]".to_owned())
            ]
        );
        assert_eq!(single(&found, "module"), Ok(Some(("a/b", 2))));
        assert_eq!(single(&found, "require").unwrap_err().line, 7);
    }

    #[test]
    fn what_is_malformed_is_named_with_its_line() {
        for (text, line) in
            [("module a\nfoo b", 2), ("module a\nrequire (\nx v1\n", 2), ("\nmodule \"a", 2), ("module `a", 1)]
        {
            assert_eq!(directives(text, &["module", "require"]).unwrap_err().line, line, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(module|go|[ a\"`()/\\\\é\n]){0,30}") {
            let _ = directives(&text, &["module", "go"]);
        }
    }
}
