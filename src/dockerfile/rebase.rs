//! Other images in the place of those that a Dockerfile names: the operator's mirrors.

use super::instruction::{Flag, Instruction, Word};
use super::parse::{ParseError, parse};
use super::render;

/// An image that a Dockerfile names, and the one that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The line of the instruction that names it.
    pub line: u32,
    /// The name, variables replaced.
    pub image: String,
    /// What it becomes.
    pub by: String,
}

/// A Dockerfile in which images cannot be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreplaceable {
    /// It cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The image is written in a way that hides it.
    #[error("the image `{0}` is not written plainly, so that `{1}` cannot take its place")]
    Hidden(String, String),
}

/// Replaces images by `FROM`, `COPY --from` and `RUN --mount=…,from=`. Everything else stays as it is, line by line.
///
/// # Errors
/// A text that is no Dockerfile, or an image between quotes or escapes.
pub fn rebase(text: &str, replacements: &[Replacement]) -> Result<String, Unreplaceable> {
    let before = parse(text)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut expected = before.clone();
    for located in &mut expected.instructions {
        let span = located.line as usize - 1..located.last_line as usize;
        for replacement in replacements.iter().filter(|replacement| replacement.line == located.line) {
            replace(&mut located.instruction, &mut lines[span.clone()], replacement);
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    let same = |file: &super::instruction::Dockerfile| {
        file.instructions
            .iter()
            .map(|located| &located.instruction)
            .eq(expected.instructions.iter().map(|located| &located.instruction))
    };
    if parse(&text).is_ok_and(|after| same(&after)) {
        return Ok(text);
    }
    let hidden = replacements.iter().find(|replacement| !text.contains(&replacement.by)).or(replacements.first());
    let (image, by) = hidden.map(|hidden| (hidden.image.clone(), hidden.by.clone())).unwrap_or_default();
    Err(Unreplaceable::Hidden(image, by))
}

fn replace(instruction: &mut Instruction, lines: &mut [String], replacement: &Replacement) {
    let instruction = match instruction {
        Instruction::OnBuild(inner) => inner,
        other => other,
    };
    match instruction {
        Instruction::From { image, .. } => {
            *image = Word::literal(&replacement.by);
            // One line now; those that it went on over stay empty, so that no other line moves.
            lines.iter_mut().for_each(String::clear);
            let line = render::render(std::slice::from_ref(instruction)).unwrap_or_default();
            line.trim_end().clone_into(&mut lines[0]);
        }
        Instruction::Run { flags, .. } => in_flags(flags, "mount", lines, replacement),
        Instruction::Copy(transfer) => in_flags(&mut transfer.flags, "from", lines, replacement),
        _ => {}
    }
}

fn in_flags(flags: &mut [Flag], name: &str, lines: &mut [String], replacement: &Replacement) {
    let (old, new) = (format!("from={}", replacement.image), format!("from={}", replacement.by));
    for flag in flags.iter_mut().filter(|flag| flag.name == name) {
        let Some(value) = flag.value.as_ref().and_then(Word::as_literal) else { continue };
        let replaced = match name {
            "from" if value == replacement.image => replacement.by.clone(),
            "mount" => value
                .split(',')
                .map(|option| if option == old { new.as_str() } else { option })
                .collect::<Vec<_>>()
                .join(","),
            _ => continue,
        };
        flag.value = Some(Word::literal(replaced));
    }
    for line in lines {
        // A name that only begins like this one is another's.
        let mut rest = std::mem::take(line);
        while let Some(at) = rest.find(&old) {
            let after = rest.split_off(at + old.len());
            let whole = after.chars().next().is_none_or(|c| c == ',' || c.is_whitespace() || c == '\\');
            line.push_str(&rest[..at]);
            line.push_str(if whole { &new } else { &old });
            rest = after;
        }
        line.push_str(&rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str, replacements: &[(u32, &str, &str)]) -> Result<String, Unreplaceable> {
        let replacements: Vec<_> = replacements
            .iter()
            .map(|(line, image, by)| Replacement { line: *line, image: (*image).into(), by: (*by).into() })
            .collect();
        rebase(text, &replacements)
    }

    #[test]
    fn images_change_and_nothing_else_does() {
        let text = "# a comment\nARG V=1\nfrom --platform=linux/amd64 \\\n  go:$V as build\nRUN --mount=type=bind,from=tools,target=/t \\\n    echo from=toolsmith $V\n\nFROM scratch\nCOPY --from=build /a /b\nCOPY --from=tools --chown=1:1 [\"/x y\", \"/\"]\n";
        let expected = "# a comment\nARG V=1\nFROM --platform=linux/amd64 h.example/go:1 AS build\n\nRUN --mount=type=bind,from=h.example/tools,target=/t \\\n    echo from=toolsmith $V\n\nFROM scratch\nCOPY --from=build /a /b\nCOPY --from=h.example/tools --chown=1:1 [\"/x y\", \"/\"]\n";
        let with = [(3, "go:1", "h.example/go:1"), (5, "tools", "h.example/tools"), (10, "tools", "h.example/tools")];
        assert_eq!(replaced(text, &with).unwrap(), expected);
        assert_eq!(replaced(text, &[]).unwrap(), text);
    }

    #[test]
    fn what_would_change_another_thing_is_refused() {
        let quoted = "FROM a\nCOPY --from=\"tools\" /x /\n";
        assert!(matches!(replaced(quoted, &[(2, "tools", "h/tools")]), Err(Unreplaceable::Hidden(..))));
        let in_the_command = "FROM a\nRUN --mount=from=tools,target=/t echo from=tools\n";
        assert!(matches!(replaced(in_the_command, &[(2, "tools", "h/tools")]), Err(Unreplaceable::Hidden(..))));
    }
}
