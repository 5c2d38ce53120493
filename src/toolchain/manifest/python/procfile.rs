//! Reads a `Procfile`: one process a line, `name: command`.

use super::gunicorn;
use super::text::inside;
use crate::model::failure::Warning;
use crate::model::origin::Origin;
use crate::model::source_tree::{SourceTree, join};
use crate::toolchain::findings::Process;

/// The processes of the directory's `Procfile`, and warnings about those that are not run.
pub(super) fn read(tree: &SourceTree, directory: &str) -> (Vec<Process>, Vec<Warning>) {
    let path = inside(directory, "Procfile");
    let (mut processes, mut warnings): (Vec<Process>, Vec<Warning>) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(tree.text(&path).unwrap_or_default().lines()) {
        let Some((name, command)) = line.split_once(':') else { continue };
        let (name, command) = (name.trim(), command.trim());
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if name.is_empty() || command.is_empty() || !is_name(name) || processes.iter().any(|p| p.name == name) {
            continue;
        }
        if name == "release" {
            let message = "The `release` process of `Procfile` is not run by a build or by the image.";
            let hint = "Run it when you deploy, or state it as `runtime.before_start` in `slipway.toml`.";
            warnings.push(Warning::new("procfile_release", message, hint).at(&path, Some(number)));
            continue;
        }
        if let Some(program) = missing(tree, directory, command) {
            let message = format!(
                "the process `{name}` of `{path}` is not used: `{}` is not in the repository",
                program.escape_debug()
            );
            let hint = "Write the command without what a platform's buildpack brings.";
            warnings.push(Warning::new("procfile_program_missing", message, hint).at(&path, Some(number)));
            continue;
        }
        if number <= MAX_LOOKED_AT
            && let Some(why) = behind_proxy(tree, directory, command)
        {
            let message = format!("the process `{name}` of `{path}` is not used: it is for a proxy beside it ({why})");
            let hint = "Have it listen on a port, `--bind 0.0.0.0:$PORT`: what reaches a container comes from outside.";
            warnings.push(Warning::new("procfile_behind_proxy", message, hint).at(&path, Some(number)));
            continue;
        }
        if let Some(words) = development(command) {
            let message = format!("the process `{name}` of `{path}` runs a server for development: `{words}`");
            let hint =
                "Start the application with a server for production, such as Gunicorn or uvicorn without `--reload`.";
            warnings.push(Warning::new("development_server", message, hint).at(&path, Some(number)));
        }
        let origin = Origin::file(&path, Some(number), name);
        processes.push(Process { name: name.to_owned(), command: argv(command), origin });
    }
    (processes, warnings)
}

/// What of a command says that it is for development, by the documentation of Django, Flask, `FastAPI` and uvicorn.
fn development(command: &str) -> Option<&'static str> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let known = ["manage.py runserver", "flask run", "fastapi dev", "--reload"];
    known.into_iter().find(|known| {
        let parts: Vec<&str> = known.split(' ').collect();
        words.windows(parts.len()).any(|pair| pair.iter().zip(&parts).all(|(word, part)| word.ends_with(part)))
    })
}

/// The program, where it is a path in the application's directory and nothing is there.
fn missing<'c>(tree: &SourceTree, directory: &str, command: &'c str) -> Option<&'c str> {
    let program = command.split_whitespace().next()?;
    let plain = program.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
    let path = join(directory, program).filter(|_| plain && program.contains('/') && !program.starts_with('/'))?;
    (!tree.has_file(&path)).then_some(program)
}

/// Of the processes on later lines the files that they name are not looked at.
const MAX_LOOKED_AT: u32 = 50;

/// Why a command is for a proxy that no image has: gunicorn listens on a socket of the file system (its documentation,
/// "Server Socket": `unix:PATH`), or the repository's own script starts nginx in front of what it is given.
fn behind_proxy(tree: &SourceTree, directory: &str, command: &str) -> Option<String> {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let text = |path: &str| tree.text(&join(directory, path)?);
    let program = words.iter().find(|word| *word != "exec")?;
    let is_nginx =
        |line: &str| line.split_whitespace().next().is_some_and(|word| word.rsplit('/').next() == Some("nginx"));
    if program.contains('/') && text(program).is_some_and(|script| script.lines().any(is_nginx)) {
        return Some(format!("`{}` starts `nginx`", program.escape_debug()));
    }
    let arguments = gunicorn::arguments(&words)?;
    let stated = gunicorn::option(arguments, "-b", "--bind");
    let configured = || {
        let file = gunicorn::option(arguments, "-c", "--config").unwrap_or(gunicorn::USUAL);
        gunicorn::setting(text(file.trim_start_matches("file:"))?, "bind").map(|(_, value)| value)
    };
    let bind = stated.or_else(configured)?.trim_matches(['[', ']', '"', '\'']);
    bind.starts_with("unix:").then(|| format!("`{}`", bind.escape_debug()))
}

/// Words where the command needs no shell, otherwise a shell that is replaced by the command's last part, so that the
/// signal that ends a container reaches the server.
fn argv(command: &str) -> Vec<String> {
    if let Some(words) = words(command) {
        return words;
    }
    let at = last_command(command);
    let (before, last) = command.split_at(at.unwrap_or(0));
    let script = match at {
        Some(_) if starts_with_assignment(last) => format!("{before}exec env {last}"),
        Some(_) if !last.starts_with("exec ") => format!("{before}exec {last}"),
        _ => command.to_owned(),
    };
    vec!["sh".to_owned(), "-c".to_owned(), script]
}

/// Where the last command of a list begins (`a && b; c`), if a shell can be replaced by it: a pipeline, a job in the
/// background and compound commands (POSIX, "Shell Grammar") cannot.
fn last_command(command: &str) -> Option<usize> {
    let (mut begin, mut quote, mut escaped) = (0, None, false);
    let mut characters = command.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        if escaped {
            escaped = false;
            continue;
        }
        if let Some(open) = quote {
            escaped = open == '"' && character == '\\';
            quote = quote.filter(|open| *open != character);
            continue;
        }
        match character {
            '\\' => escaped = true,
            '\'' | '"' | '`' => quote = Some(character),
            ';' => begin = index + 1,
            '&' | '|' => {
                characters.next_if(|(_, next)| *next == character)?;
                begin = index + 2;
            }
            '(' | ')' | '{' | '}' if !command[..index].ends_with('$') && !in_expansion(&command[..index]) => {
                return None;
            }
            _ => {}
        }
    }
    let last = &command[begin..];
    let begin = begin + (last.len() - last.trim_start().len());
    let first = command[begin..].split_whitespace().next()?;
    let compound = ["if", "for", "while", "until", "case", "fi", "done", "esac", "then", "else", "do", "!"];
    (quote.is_none() && !compound.contains(&first)).then_some(begin)
}

/// Whether an expansion, `${…` or `$(…`, is still open.
fn in_expansion(before: &str) -> bool {
    let opened = before.matches("${").count() + before.matches("$(").count();
    let closed = before.matches('}').count() + before.matches(')').count();
    opened > closed
}

fn starts_with_assignment(command: &str) -> bool {
    command.split_whitespace().next().is_some_and(|word| word.contains('='))
}

/// Splits at white space with plain quotes; `None` for anything that a shell would expand.
fn words(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in command.chars() {
        match (quote, character) {
            (_, '$' | '`' | '\\' | '!')
            | (None, '&' | '|' | ';' | '<' | '>' | '*' | '?' | '{' | '~' | '#' | '(' | ')' | '[' | ']') => return None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (Some(open), close) if open == close => quote = None,
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    let plain = quote.is_none() && !starts_with_assignment(command) && !words.is_empty();
    plain.then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_without_shell_syntax_are_words() {
        for (command, expected) in [
            ("gunicorn shop.wsgi", vec!["gunicorn", "shop.wsgi"]),
            ("gunicorn 'shop:create_app()' -w 2", vec!["gunicorn", "shop:create_app()", "-w", "2"]),
            ("uvicorn a:b --port $PORT", vec!["sh", "-c", "exec uvicorn a:b --port $PORT"]),
            ("a && b", vec!["sh", "-c", "a && exec b"]),
            ("flask db upgrade; gunicorn x:app", vec!["sh", "-c", "flask db upgrade; exec gunicorn x:app"]),
            ("a 'x; y' || b -p ${PORT:-80}", vec!["sh", "-c", "a 'x; y' || exec b -p ${PORT:-80}"]),
            ("a; exec b $X", vec!["sh", "-c", "a; exec b $X"]),
            ("yes | a", vec!["sh", "-c", "yes | a"]),
            ("a & b", vec!["sh", "-c", "a & b"]),
            ("(a; b)", vec!["sh", "-c", "(a; b)"]),
            ("if a; then b; fi", vec!["sh", "-c", "if a; then b; fi"]),
            ("a $(date) x", vec!["sh", "-c", "exec a $(date) x"]),
            ("a \"$X;\" b", vec!["sh", "-c", "exec a \"$X;\" b"]),
            ("X=1 python a.py", vec!["sh", "-c", "exec env X=1 python a.py"]),
            ("python 'a", vec!["sh", "-c", "python 'a"]),
        ] {
            assert_eq!(argv(command), expected, "{command}");
        }
    }

    #[test]
    fn what_a_buildpack_brings_is_not_started() {
        let tree = SourceTree::of_texts([
            ("a/Procfile", "web: bin/start-nginx gunicorn shop:app\nworker: ./run.sh\nother: /usr/bin/env x"),
            ("a/run.sh", ""),
        ]);
        let (processes, warnings) = read(&tree, "a");
        let said: Vec<_> = processes.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(said, ["worker", "other"]);
        assert_eq!((warnings[0].code.as_str(), warnings[0].line), ("procfile_program_missing", Some(1)));
    }

    #[test]
    fn what_is_for_a_proxy_is_not_started() {
        let nginx = "#!/bin/sh\n(\n  $@\n) &\n  /usr/bin/nginx -p .\n";
        for (line, why) in [
            ("gunicorn -c gunicorn.conf shop:app", "`unix:/run/shop.sock`"),
            ("exec gunicorn --bind=unix:shop.sock shop:app", "`unix:shop.sock`"),
            ("gunicorn -c gunicorn.conf -b :$PORT shop:app", ""),
            ("bin/start gunicorn shop:app", "`bin/start` starts `nginx`"),
            ("python gunicorn.py", ""),
        ] {
            let text = format!("web: {line}\n");
            let conf = "bind = 'unix:/run/shop.sock'\n";
            let tree =
                SourceTree::of_texts([("Procfile", text.as_str()), ("gunicorn.conf", conf), ("bin/start", nginx)]);
            let (processes, warnings) = read(&tree, "");
            assert_eq!(processes.is_empty(), !why.is_empty(), "{line}");
            assert!(warnings.iter().all(|warning| warning.message.contains(why)), "{line}: {warnings:?}");
        }
    }

    #[test]
    fn processes_with_lines() {
        let tree = SourceTree::of_texts([(
            "Procfile",
            "# c\nweb: gunicorn a\nrelease: ./migrate\nworker: celery -A a worker\nweb: x\n",
        )]);
        let (processes, warnings) = read(&tree, "");
        let said: Vec<_> = processes.iter().map(|p| (p.name.as_str(), p.origin.line)).collect();
        assert_eq!(said, [("web", Some(2)), ("worker", Some(4))]);
        assert_eq!(warnings[0].line, Some(3));
    }
}
