//! Which directories of the repository a Dockerfile takes files from.

use crate::dockerfile::instruction::{Instruction, Transfer};
use crate::dockerfile::parse::parse;

/// Whether the Dockerfile copies from the directory or works in it: `COPY backend/pom.xml .`, `COPY . .` with
/// `WORKDIR /src/backend` or `RUN cd backend && …`. `directory` is relative to the build context. What cannot be read does
/// neither.
pub(crate) fn takes_from(text: &str, directory: &str) -> bool {
    let Ok(file) = parse(text) else { return false };
    let lines: Vec<&str> = text.lines().collect();
    file.instructions.iter().any(|located| match &located.instruction {
        // What an earlier stage made lies in no directory of the repository.
        Instruction::Copy(transfer) | Instruction::Add(transfer) => {
            transfer.flag("from").is_none() && copies(transfer, directory)
        }
        Instruction::Workdir(path) => path.as_literal().is_some_and(|path| ends_in(path, directory)),
        Instruction::Run { .. } => {
            let (first, last) = (located.line as usize, located.last_line as usize);
            lines.get(first.saturating_sub(1)..last).into_iter().flatten().any(|line| speaks_of(line, directory))
        }
        _ => false,
    })
}

fn copies(transfer: &Transfer, directory: &str) -> bool {
    transfer.sources.iter().filter_map(|source| source.as_literal()).any(|source| within(source, directory))
}

/// `./backend/`, `/backend/pom.xml`: sources are relative to the context however they are written.
fn within(path: &str, directory: &str) -> bool {
    let path = path.trim_start_matches("./").trim_start_matches('/');
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn ends_in(path: &str, directory: &str) -> bool {
    let path = path.trim_end_matches('/');
    path.strip_suffix(directory).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn speaks_of(line: &str, directory: &str) -> bool {
    let separates = |c: char| c.is_whitespace() || "\"'=;&|()[],".contains(c);
    line.split(separates).any(|word| within(word, directory) || ends_in(word, directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_workplaces_and_commands_name_directories() {
        let named = |text: &str| takes_from(&format!("FROM debian\n{text}\n"), "backend/api");
        for text in [
            "COPY backend/api .",
            "ADD ./backend/api/ /srv/",
            "COPY --chown=1:1 a /backend/api/go.mod /srv/",
            "COPY . /srv\nWORKDIR /srv/backend/api",
            "RUN make && \\\n  cd backend/api && go build",
            "RUN [\"go\", \"build\", \"-C\", \"/srv/backend/api\"]",
        ] {
            assert!(named(text), "{text}");
        }
        for text in [
            "COPY . .",
            "COPY backend .",
            "COPY backend/apis other/backend/api .",
            "COPY --from=build backend/api .",
            "WORKDIR /backend/api/web",
            "# COPY backend/api .",
            "ENV A=backend/api",
            "COPY [\"backend/api\"",
        ] {
            assert!(!named(text), "{text}");
        }
    }
}
