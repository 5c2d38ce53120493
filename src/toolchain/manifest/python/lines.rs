//! The logical lines of a requirements file: continuations joined, comments removed.

/// `-rfile`, `-r file`, `--requirement file`, `--requirement=file`.
pub(super) fn split_option(line: &str) -> (&str, &str) {
    if line.starts_with("--") {
        let end = line.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(line.len());
        return (&line[..end], line[end..].trim_start_matches('=').trim());
    }
    // Only called for lines that begin with `-`; the option's letter may be any character.
    let end = line.char_indices().nth(2).map_or(line.len(), |(index, _)| index);
    (&line[..end], line[end..].trim_start_matches('=').trim())
}

/// Joins continued lines and removes comments, as pip's `join_lines` and `ignore_comments` do.
pub(super) fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    let mut pending: Option<(u32, String)> = None;
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let comment = line.trim_start().starts_with('#');
        let (first, mut joined) = pending.take().unwrap_or((number, String::new()));
        if line.ends_with('\\') && !comment {
            joined.push_str(line.trim_end_matches('\\'));
            pending = Some((first, joined));
            continue;
        }
        if comment {
            // A comment ends a continuation and must not stick to the word before it.
            joined.push(' ');
        }
        joined.push_str(line);
        lines.push((first, joined));
    }
    lines.extend(pending);
    let stripped = lines.into_iter().map(|(number, line)| (number, strip_comment(&line).trim().to_owned()));
    stripped.filter(|(_, line)| !line.is_empty()).collect()
}

/// A `#` begins a comment at the line's start or after white space.
fn strip_comment(line: &str) -> &str {
    let mut previous = ' ';
    for (index, character) in line.char_indices() {
        if character == '#' && previous.is_whitespace() {
            return &line[..index];
        }
        previous = character;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_as_pip_joins_them() {
        for (text, expected) in [
            ("a\n\n b # c\n", vec![(1, "a"), (3, "b")]),
            ("a \\\n  --hash=x\nb", vec![(1, "a   --hash=x"), (3, "b")]),
            ("a \\\n# comment\nb", vec![(1, "a"), (3, "b")]),
            ("a \\", vec![(1, "a")]),
            ("a#b", vec![(1, "a#b")]),
            ("\u{feff}a\r\nb", vec![(1, "a"), (2, "b")]),
        ] {
            let found = logical_lines(text);
            let found: Vec<_> = found.iter().map(|(number, line)| (*number, line.as_str())).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
