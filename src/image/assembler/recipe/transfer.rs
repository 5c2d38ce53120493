//! `COPY` and `ADD`: what they bring where.

use super::values::join;
use super::{Copy, State, unsupported};
use crate::dockerfile::instruction::{Transfer, Word};
use crate::model::failure::Failure;

impl State {
    pub(super) fn copy(
        &self,
        line: u32,
        name: &str,
        transfer: &Transfer,
        word: &impl Fn(&Word) -> Result<String, Failure>,
    ) -> Result<Copy, Failure> {
        let add = name == "ADD";
        let mut copy = Copy { line, add, ..Copy::default() };
        for flag in &transfer.flags {
            let value = flag.value.as_ref().map(word).transpose()?.unwrap_or_default();
            match flag.name.as_str() {
                "chown" => copy.owner = Some(value),
                "chmod" => {
                    let mode = u32::from_str_radix(&value, 8).ok().filter(|mode| *mode <= 0o7777);
                    copy.mode = Some(mode.ok_or_else(|| unsupported(line, &format!("`--chmod={value}`")))?);
                }
                "link" => {
                    let asked = value.parse().ok().or_else(|| value.is_empty().then_some(true));
                    copy.linked = asked.ok_or_else(|| unsupported(line, &format!("`--link={value}`")))?;
                }
                "from" if !add => copy.from = Some(value),
                other => return Err(unsupported(line, &format!("`{name} --{other}`"))),
            }
        }
        for heredoc in &transfer.heredocs {
            if heredoc.expand && heredoc.content.contains('$') {
                return Err(unsupported(line, "a here-document with variables"));
            }
            let tabs = |line: &str| {
                if heredoc.strip_tabs { line.trim_start_matches('\t').to_owned() } else { line.to_owned() }
            };
            let content = heredoc.content.split_inclusive('\n').map(tabs).collect();
            copy.texts.push((heredoc.name.clone(), content));
        }
        for source in &transfer.sources {
            let source = word(source)?;
            if add && (source.contains("://") || source.starts_with("git@")) {
                return Err(unsupported(line, &format!("`ADD {source}`")));
            }
            copy.sources.push(source);
        }
        let destination = word(&transfer.destination)?;
        let directory =
            destination.ends_with('/') || destination.ends_with("/.") || destination == "." || destination.is_empty();
        copy.destination = join(self.workdir(), &destination);
        if !directory && copy.sources.len() + copy.texts.len() > 1 && copy.destination != "/" {
            // As the Engine has it: several sources need a directory, which must look like one.
            let message =
                format!("several sources need a destination that ends with `/`, and `{destination}` does not");
            return Err(super::failed(line, &message));
        }
        if directory && copy.destination != "/" {
            copy.destination.push('/');
        }
        Ok(copy)
    }
}
