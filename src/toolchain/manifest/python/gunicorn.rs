//! What the repository's configuration of gunicorn changes of how it runs in a container: `gunicorn.conf.py`, or the file that
//! the command names (gunicorn's documentation, "Configuration Overview").

use super::text::inside;
use crate::model::failure::Warning;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, join};
use crate::toolchain::findings::Process;

/// The file that gunicorn reads by itself in the directory that it is started in.
pub(super) const USUAL: &str = "gunicorn.conf.py";

/// The configuration that a process reads, and its text.
fn configuration<'t>(tree: &'t SourceTree, directory: &str, process: &Process) -> Option<(String, &'t str)> {
    let words: Vec<String> =
        process.command.iter().flat_map(|word| word.split_whitespace()).map(str::to_owned).collect();
    let named = option(arguments(&words)?, "-c", "--config");
    let named = named.map(|path| path.trim_matches(['"', '\'']).trim_start_matches("file:"));
    let path = named.filter(|path| path.rsplit('.').next() == Some("py")).unwrap_or(USUAL);
    let path = join(directory, path).unwrap_or_else(|| inside(directory, USUAL));
    let text = tree.text(&path)?;
    Some((path, text))
}

/// The words behind gunicorn's name.
pub(super) fn arguments(words: &[String]) -> Option<&[String]> {
    let program = words.iter().position(|word| word.rsplit('/').next() == Some("gunicorn"))?;
    words.get(program + 1..)
}

/// What an option is given, behind it or by `=`.
pub(super) fn option<'w>(arguments: &'w [String], short: &str, long: &str) -> Option<&'w str> {
    arguments.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(long) {
        Some("") => arguments.get(index + 1).map(String::as_str),
        Some(value) => value.strip_prefix('='),
        None if word == short => arguments.get(index + 1).map(String::as_str),
        None => None,
    })
}

/// A setting of the file that has a plain value, with its line.
pub(super) fn setting<'t>(text: &'t str, name: &str) -> Option<(u32, &'t str)> {
    (1..).zip(text.lines()).find_map(|(number, line)| {
        let (key, value) = line.split_once('=')?;
        let value = value.split('#').next().unwrap_or_default().trim();
        (key.trim_end() == name).then_some((number, value))
    })
}

/// The port of `bind`, which counts where the command binds nothing itself.
pub(super) fn port(tree: &SourceTree, directory: &str, process: &Process) -> Option<Found<u16>> {
    let (path, text) = configuration(tree, directory, process)?;
    let (line, value) = setting(text, "bind")?;
    let binds = |word: &String| word.contains("-b ") || word.contains("--bind");
    if process.command.iter().any(|word| binds(word) || word == "-b") {
        return None;
    }
    let port = value.trim_matches(['[', ']']).trim_matches(['"', '\'']).rsplit_once(':')?.1.parse().ok()?;
    Some(Found::new(port, Origin::file(path, Some(line), "bind")))
}

/// Says that gunicorn leaves the foreground: what started it ends, and the container with it.
pub(super) fn leaves(tree: &SourceTree, directory: &str, process: &Process) -> Option<Warning> {
    let (path, text) = configuration(tree, directory, process)?;
    let (line, _) = setting(text, "daemon").filter(|(_, value)| *value == "True")?;
    let message =
        format!("`{path}` has gunicorn leave the foreground (`daemon = True`), and the container ends when it does");
    let hint = "remove the line: a container runs what stays in the foreground";
    Some(Warning::new("gunicorn_daemon", message, hint).at(&path, Some(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(command: &[&str]) -> Process {
        let command = command.iter().map(ToString::to_string).collect();
        Process { name: "web".into(), command, origin: Origin::default("") }
    }

    #[test]
    fn a_daemon_ends_its_container() {
        let text = "workers = 4\ndaemon = True  # in the background\n";
        let tree = SourceTree::of_texts([
            ("a/gunicorn.conf.py", text),
            ("a/conf/g.py", "daemon = False\n"),
            ("a/b/gunicorn.conf.py", "# daemon = True\n"),
        ]);
        let line =
            |directory: &str, command: &[&str]| leaves(&tree, directory, &process(command)).map(|warning| warning.line);
        assert_eq!(line("a", &["gunicorn", "shop:app"]), Some(Some(2)));
        assert_eq!(line("a", &["sh", "-c", "exec \"$0\" --bind :80 \"$@\"", "gunicorn", "shop:app"]), Some(Some(2)));
        assert_eq!(line("a", &["gunicorn", "-c", "conf/g.py", "shop:app"]), None);
        assert_eq!(line("a", &["uvicorn", "shop:app"]), None);
        assert_eq!(line("a/b", &["gunicorn", "shop:app"]), None);
    }

    #[test]
    fn the_port_of_bind_counts_where_the_command_has_none() {
        let tree = SourceTree::of_texts([
            ("gunicorn.conf.py", "x = 1\nbind = '0.0.0.0:5000'\n"),
            ("c.py", "bind = [\":5001\"]\n"),
            ("d.py", "bind = f':{PORT}'\n"),
        ]);
        let port = |command: &[&str]| port(&tree, "", &process(command)).map(|found| found.value);
        assert_eq!(port(&["gunicorn", "shop:app"]), Some(5000));
        assert_eq!(port(&["sh", "-c", "a; exec gunicorn --config=c.py shop:app"]), Some(5001));
        assert_eq!(port(&["gunicorn", "-c", "d.py", "shop:app"]), None);
        assert_eq!(port(&["gunicorn", "-b", ":80", "shop:app"]), None);
    }
}
