//! What scripts of the repository give to a server: their author's answer where several objects could be the application.

use super::application::Candidate;
use super::layout::Sources;
use super::text::{below, inside};

/// Where such scripts lie, relative to the application's directory.
const PLACES: &[&str] = &["", "bin", "scripts", "docker", ".docker", "deploy", "deployment"];
/// Servers that are told what to import.
const SERVERS: &[&str] = &["gunicorn", "uvicorn", "hypercorn", "daphne", "waitress-serve"];
/// More scripts than one application starts by.
const MOST: usize = 30;

/// The only candidate that a shell script, a Makefile or a Compose file names behind a server, and where it does.
pub(super) fn named<'c, 'a>(
    sources: &Sources<'_>,
    candidates: &'c [Candidate<'a>],
) -> Option<(&'c Candidate<'a>, String)> {
    let files = PLACES.iter().flat_map(|place| {
        let place = inside(sources.directory, place);
        sources.tree.files_in(&place).filter(|path| tells(path)).map(str::to_owned).collect::<Vec<_>>()
    });
    let files: Vec<String> = files.take(MOST).collect();
    let texts: Vec<(&String, &str)> = files.iter().filter_map(|path| Some((path, sources.tree.text(path)?))).collect();
    let mut found: Vec<(&Candidate<'a>, String)> = Vec::new();
    for (path, text) in texts {
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with('#')) {
            let Some(chosen) = served(line, candidates) else { continue };
            if found.iter().all(|(known, _)| known.entry() != chosen.entry()) {
                found.push((chosen, format!("`{}` line {number} serves the other", below(sources.directory, path))));
            }
        }
    }
    let mut found = found.into_iter();
    found.next().filter(|_| found.next().is_none())
}

fn tells(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let compose = stem.starts_with("docker-compose") || stem.starts_with("compose");
    name == "Makefile" || ending == "sh" || compose && matches!(ending, "yml" | "yaml")
}

/// The candidate behind a server's name.
fn served<'c, 'a>(line: &str, candidates: &'c [Candidate<'a>]) -> Option<&'c Candidate<'a>> {
    let separates = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '[' | ']' | ';' | '&' | '|');
    let mut words = line.split(separates).filter(|word| !word.is_empty());
    words.find(|word| SERVERS.contains(&word.rsplit('/').next().unwrap_or_default()))?;
    words.find_map(|word| {
        let bare = word.trim_end_matches("()");
        let exact = candidates.iter().find(|c| c.entry().trim_end_matches("()") == bare);
        let mut within = candidates.iter().filter(|c| c.module == word);
        exact.or_else(|| within.next().filter(|_| within.next().is_none()))
    })
}
