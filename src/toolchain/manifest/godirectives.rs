//! The common grammar of `go.mod` and `go.work`: directives, one a line or in a block
//! (Go Modules Reference, "Lexical elements" and "Grammar").

/// Where something begins: its line, and its column in characters, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// One directive, a block's line included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    /// Where its first word stands.
    pub(super) at: Spot,
    /// The keyword.
    pub(super) verb: String,
    /// What follows it, unquoted.
    pub(super) words: Vec<String>,
}

/// Where and why a text is no such file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: Spot,
    pub(super) why: String,
}

/// Reads the directives and refuses keywords other than `verbs`.
pub(super) fn directives(text: &str, verbs: &[&str]) -> Result<Vec<Directive>, Malformed> {
    let mut found = Vec::new();
    let mut block: Option<(Spot, String)> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let spot = |offset| Spot { line: number, column: column(line, offset) };
        let at = spot(line.len() - line.trim_start().len());
        let mut words = words(line).map_err(|(offset, why)| Malformed { at: spot(offset), why: why.to_owned() })?;
        if words.is_empty() {
            continue;
        }
        if let Some((_, verb)) = &block {
            if words == [")"] {
                block = None;
            } else {
                found.push(Directive { at, verb: verb.clone(), words });
            }
            continue;
        }
        let verb = words.remove(0);
        if !verbs.contains(&verb.as_str()) {
            let why = format!("`{}` is no directive", verb.chars().take(40).collect::<String>());
            return Err(Malformed { at, why });
        }
        match words.as_slice() {
            [open] if open == "(" => block = Some((at, verb)),
            [open, close] if open == "(" && close == ")" => {}
            _ => found.push(Directive { at, verb, words }),
        }
    }
    match block {
        Some((at, verb)) => Err(Malformed { at, why: format!("the block `{verb} (` is not closed") }),
        None => Ok(found),
    }
}

/// The single argument of the only directive with this verb.
pub(super) fn single<'a>(directives: &'a [Directive], verb: &str) -> Result<Option<(&'a str, Spot)>, Malformed> {
    let mut found = directives.iter().filter(|directive| directive.verb == verb);
    let Some(first) = found.next() else { return Ok(None) };
    if let Some(second) = found.next() {
        return Err(Malformed { at: second.at, why: format!("`{verb}` is given twice") });
    }
    match first.words.as_slice() {
        [word] => Ok(Some((word, first.at))),
        _ => Err(Malformed { at: first.at, why: format!("`{verb}` takes one argument") }),
    }
}

/// The column of a byte of a line: characters, from 1.
fn column(line: &str, offset: usize) -> u32 {
    let before = line.get(..offset).unwrap_or(line);
    u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX)
}

/// Words of a line: comments go, `"…"` is one word; other quotes are an error, as `go` has it. What is wrong comes with its
/// byte of the line.
fn words(line: &str) -> Result<Vec<String>, (usize, &'static str)> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("//") {
        let taken = match rest.chars().next() {
            Some('"') => {
                let (word, end) = interpreted(rest).ok_or((line.len() - rest.len(), "a quoted text is not closed"))?;
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
                    return Err((line.len() - rest.len(), "only `\"` quotes a text, and a whole one"));
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
        let shown: Vec<_> = found.iter().map(|d| (d.at.line, d.verb.as_str(), d.words.join(" "))).collect();
        assert_eq!(
            shown,
            [
                (2, "module", "a/b".to_owned()),
                (5, "require", "x v1".to_owned()),
                (7, "require", "y v2".to_owned()),
                (9, "retract", "[ v1 , v2 ]".to_owned())
            ]
        );
        assert_eq!(single(&found, "module"), Ok(Some(("a/b", Spot { line: 2, column: 1 }))));
        assert_eq!(single(&found, "require").unwrap_err().at, Spot { line: 7, column: 2 });
    }

    #[test]
    fn what_is_malformed_is_named_with_its_line_and_column() {
        for (text, line, column) in [
            ("module a\n  foo b", 2, 3),
            ("module a\nrequire (\nx v1\n", 2, 1),
            ("\nmodule \"a", 2, 8),
            ("module `a", 1, 8),
            ("require é `a", 1, 11),
        ] {
            let malformed = directives(text, &["module", "require"]).unwrap_err();
            assert_eq!(malformed.at, Spot { line, column }, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(module|go|[ a\"`()/\\\\é\n]){0,30}") {
            let _ = directives(&text, &["module", "go"]);
        }
    }
}
