//! Programs that the Dockerfile starts beside the one that an image starts: by supervisor, or in the background of a shell script.

use super::dockerfile::started;
use super::ini;
use super::text::inside;
use crate::model::failure::Warning;
use crate::model::origin::Origin;
use crate::model::source_tree::{SourceTree, parent};
use crate::toolchain::findings::Process;

/// More lines of one script than start supervisor.
const MAX_STARTS: usize = 20;
/// Words of commands that start a program of the application.
const PROGRAMS: &[&str] = &[".py", "python", "gunicorn", "uvicorn", "celery"];

/// The programs of supervisor's configuration (its documentation, "`[program:x]` Section Settings") that the Dockerfile starts it
/// with, as processes that `application.process` chooses; and the warning where something is left for them.
pub(super) fn programs(tree: &SourceTree, directory: &str) -> (Vec<Process>, Option<Warning>) {
    let Some((dockerfile, said)) = started(tree, directory) else { return (Vec::new(), None) };
    let named = |word: &str| {
        let path = word.trim_start_matches("./").trim_start_matches('/');
        let mut places = std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest));
        places.find_map(|path| Some(inside(directory, path)).filter(|path| tree.has_file(path)))
    };
    let read = |path: String| Some((tree.text(&path)?, path.clone()));
    let supervisor = |words: &[String], beside: &str, others: usize| {
        let is_it = |word: &String| word.rsplit('/').next() == Some("supervisord");
        let words = &words[words.iter().position(is_it)?..];
        let stated = words.iter().find(|word| word.contains(".conf") || word.contains(".ini"));
        let stated = stated.map_or("supervisord.conf", |word| word.trim_start_matches("./"));
        // What the Dockerfile has put into a directory of the system lies beside the script that says so, or elsewhere.
        let there = |path: String| Some(path).filter(|path| tree.has_file(path));
        let own = Some(inside(directory, stated)).filter(|_| !stated.starts_with('/')).and_then(there);
        let lies = |place: &str| there(inside(place, stated.rsplit('/').next()?));
        let file = own.or_else(|| lies(beside)).or_else(|| lies(parent(&dockerfile))).or_else(|| named(stated));
        let Some((text, path)) = file.and_then(read) else { return Some((Vec::new(), None)) };
        let found = supervised(&path, text);
        let programs: Vec<String> = found.iter().map(|process| format!("`{}`", process.name)).collect();
        let several = programs.len() + others > 1;
        Some((found, several.then(|| warning(&dockerfile, said.line, &path, &programs.join(", ")))))
    };
    if let Some(found) = supervisor(&said.words, directory, 0) {
        return found;
    }
    let script = said.words.iter().filter(|word| word.rsplit('.').next() == Some("sh")).find_map(|word| named(word));
    // One that the image starts with starts them all.
    let script = script.filter(|path| *path != inside(directory, "entrypoint.sh"));
    let Some((text, path)) = script.and_then(read) else { return (Vec::new(), None) };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<Vec<String>> = lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    let runs = |word: &String| PROGRAMS.iter().any(|program| word.contains(program));
    // What stands behind it is started beside it.
    let last = lines.iter().rposition(|words| words.iter().any(runs));
    let of_supervisor =
        lines.iter().enumerate().filter(|(_, words)| words.iter().any(|word| word.ends_with("supervisord")));
    let started = of_supervisor.take(MAX_STARTS).find_map(|(index, words)| {
        let behind = last.is_some_and(|last| last > index);
        supervisor(words, parent(&path), usize::from(behind)).filter(|(found, _)| !found.is_empty())
    });
    if let Some(found) = started {
        return found;
    }
    // What stands in a branch may be one of two ways to start the same.
    let behind = |line: &&str| {
        let line = line.trim_end();
        if line.starts_with([' ', '\t']) {
            return false;
        }
        let own = PROGRAMS.iter().any(|word| line.contains(word));
        line.ends_with('&') && !line.ends_with("&&") && !line.starts_with('#') && own
    };
    let lines: Vec<String> = text.lines().filter(behind).map(|line| format!("`{}`", line.trim())).collect();
    let shown = lines.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    (Vec::new(), (!lines.is_empty()).then(|| warning(&dockerfile, said.line, &path, &shown)))
}

fn warning(dockerfile: &str, line: u32, path: &str, programs: &str) -> Warning {
    let message =
        format!("`{dockerfile}` starts several programs by `{path}` ({programs}), and an image of Slipway starts one");
    let hint = "build an application for each, with `application.process` or `runtime.command` in `slipway.toml`, or say `runtime.command` \
                for one that starts them all";
    Warning::new("several_programs", message, hint).at(dockerfile, Some(line))
}

/// The programs whose command needs no shell and no expression of supervisor.
fn supervised(path: &str, text: &str) -> Vec<Process> {
    let commands = ini::lines(text)
        .into_iter()
        .filter(|line| line.key == "command" && !line.value.contains(['%', '$', '"', '\'']));
    let each = commands.filter_map(|line| {
        let name = line.section.strip_prefix("program:")?;
        let command: Vec<String> = line.value.split_whitespace().map(str::to_owned).collect();
        let origin = Origin::file(path, Some(line.number), format!("program {name}"));
        (!command.is_empty()).then(|| Process { name: name.to_owned(), command, origin })
    });
    each.filter(|process| process.name != "web").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_beside_the_application() {
        let conf = "[supervisord]\nnodaemon=true\n[program:api]\ncommand=python3 run.py --only api\n[program:work]\ncommand = celery -A shop worker\n";
        let script = "#!/bin/sh\npython work.py &\npython serve.py\n";
        let either = "if [ $A ]; then\n  python serve.py &\nelse\n  python serve.py --quiet\nfi\n";
        for (start, processes, warned) in [
            (
                "CMD [\"supervisord\", \"-c\", \"/app/deploy/s.conf\"]",
                "api python3 run.py --only api; work celery -A shop worker",
                true,
            ),
            ("CMD [\"sh\", \"start.sh\"]", "", true),
            ("CMD [\"./deploy/all.sh\"]", "api python3 run.py --only api; work celery -A shop worker", true),
            ("CMD [\"sh\", \"deploy/beside.sh\"]", "queue python manage.py queue", true),
            ("CMD [\"sh\", \"either.sh\"]", "", false),
            ("CMD [\"python\", \"serve.py\"]", "", false),
        ] {
            let docker = format!("FROM python\nCOPY . /app\n{start}\n");
            let scripts = [
                ("deploy/s.conf", conf),
                ("start.sh", script),
                ("either.sh", either),
                ("deploy/all.sh", "#!/bin/sh\nexec supervisord -n -c deploy/s.conf\n"),
                ("deploy/beside.sh", "supervisord -c /etc/supervisord.conf\ngunicorn shop:app\n"),
                ("supervisord.conf", "[program:other]\ncommand=python manage.py other\n"),
                ("deploy/supervisord.conf", "[program:queue]\ncommand=python manage.py queue\n"),
            ];
            let tree = SourceTree::of_texts([("Dockerfile", docker.as_str())].into_iter().chain(scripts));
            let (found, warning) = programs(&tree, "");
            let said: Vec<String> = found.iter().map(|one| format!("{} {}", one.name, one.command.join(" "))).collect();
            assert_eq!((said.join("; ").as_str(), warning.is_some()), (processes, warned), "{start}");
        }
    }
}
