//! `entrypoint.sh` in the application's directory: what runs before the application, or instead of it.

use super::text::inside;
use crate::model::failure::Warning;
use crate::model::origin::Origin;
use crate::model::source_tree::EntryKind;
use crate::toolchain::findings::Inspection;

fn path(inspection: &Inspection<'_>) -> String {
    inside(inspection.directory, "entrypoint.sh")
}

/// The script, where it can be run.
pub(super) fn find(inspection: &Inspection<'_>) -> Option<Origin> {
    let path = path(inspection);
    let entry = inspection.tree.entry(&path).filter(|entry| entry.executable)?;
    (entry.kind == EntryKind::File).then(|| Origin::tree(path, "executable entrypoint.sh"))
}

/// Whether the script ends in what it is handed (`exec "$@"`): it starts nothing by itself.
pub(super) fn hands_over(inspection: &Inspection<'_>) -> bool {
    let text = inspection.tree.text(&path(inspection)).unwrap_or_default();
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'));
    last.is_some_and(|line| line.contains("$@") && !is_given(line))
}

/// Whether the script gives what it is handed to a program of its own (`exec python -m shop "$@"`): it is the application, and
/// what stands behind it are that program's arguments.
pub(super) fn gives_on(inspection: &Inspection<'_>) -> bool {
    let text = inspection.tree.text(&path(inspection)).unwrap_or_default();
    !hands_over(inspection) && !chooses(inspection) && text.lines().any(|line| is_given(line.trim()))
}

/// Whether a line is a command of Python or one of its servers with `$@` among its arguments.
fn is_given(line: &str) -> bool {
    let Some((before, _)) = line.split_once("$@") else { return false };
    let last = before.rsplit([';', '|', '&']).next().unwrap_or_default();
    let mut words =
        last.split_whitespace().map(|word| word.trim_matches(['"', '\'']).rsplit('/').next().unwrap_or_default());
    let servers =
        ["gunicorn", "uvicorn", "hypercorn", "daphne", "waitress-serve", "uwsgi", "celery", "streamlit", "flask"];
    !line.starts_with('#')
        && words.by_ref().any(|word| word.starts_with("python") || servers.contains(&word))
        && words.any(|word| !word.is_empty())
}

/// Whether the script chooses by its first argument what it starts: it can stand before no other command.
pub(super) fn chooses(inspection: &Inspection<'_>) -> bool {
    if hands_over(inspection) {
        return false;
    }
    let text = inspection.tree.text(&path(inspection)).unwrap_or_default();
    let signs = ["case \"$1\"", "case $1 ", "case \"${1", "if [ \"$1\" =", "if [[ $1 =", "if [[ \"$1\" ="];
    text.lines().any(|line| signs.iter().any(|sign| line.trim_start().starts_with(sign)))
}

/// The warning about one that hands over, but first waits, whatever is set, with a program that the run image lacks
/// (`[facts.absent]`): it would wait for ever.
pub(super) fn waits(inspection: &Inspection<'_>) -> Option<Warning> {
    let path = path(inspection);
    let absent = inspection.facts.get("absent")?.get("programs")?.as_array()?;
    let absent: Vec<&str> = absent.iter().filter_map(toml::Value::as_str).collect();
    let (number, program) = (1..).zip(inspection.tree.text(&path)?.lines()).find_map(|(number, line)| {
        // An indented loop stands behind a condition, or in a function.
        let asked = line.strip_prefix("while ").or(line.strip_prefix("until "))?;
        let mut words = asked.split_whitespace().skip_while(|word| *word == "!");
        Some((number, words.next().filter(|word| absent.contains(word))?.to_owned()))
    })?;
    let message = format!("`{path}` is not run: it waits for another service with `{program}`, which the image lacks");
    let hint = "nothing, if the platform starts the application again until the service is there";
    Some(Warning::new("entrypoint_not_used", message, hint).at(path, Some(number))).filter(|_| hands_over(inspection))
}

/// The warning about one that becomes another user with a program that the run image lacks (`[facts.absent]`), whoever it is
/// already: there the application has a user of its own.
pub(super) fn changes_user(inspection: &Inspection<'_>) -> Option<Warning> {
    let path = path(inspection);
    let text = inspection.tree.text(&path)?;
    // Who asks first who it is need not become another.
    if ["id -u)", "id -u`", "EUID", "whoami"].iter().any(|asked| text.contains(asked)) {
        return None;
    }
    let changers = inspection.facts.get("absent")?.get("changers")?.as_array()?;
    let changers: Vec<&str> = changers.iter().filter_map(toml::Value::as_str).collect();
    let (number, program) = (1..).zip(text.lines()).find_map(|(number, line)| {
        let hands_over = line.contains("$@") && !line.trim_start().starts_with('#');
        let mut words = line.split_whitespace().skip_while(|word| *word == "exec");
        Some((number, words.next().filter(|word| hands_over && changers.contains(word))?.to_owned()))
    })?;
    let message = format!("`{path}` is not run: it becomes another user with `{program}`, which the image lacks");
    let hint =
        "nothing: the application runs as a user of its own; what else the script does belongs into the application";
    Some(Warning::new("entrypoint_not_used", message, hint).at(path, Some(number)))
}

/// The warning about one that is run and keeps the signals for itself: a shell that is not replaced by what it starts.
pub(super) fn keeps_signals(inspection: &Inspection<'_>) -> Option<Warning> {
    let path = path(inspection);
    let lines = || (1..).zip(inspection.tree.text(&path).unwrap_or_default().lines());
    let written = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let (number, last) = lines().filter(|(_, line)| written(line)).last()?;
    // What chooses, or ends in a block, may replace itself anywhere; what traps signals answers them itself.
    let replaced = lines().any(|(_, line)| line.trim_start().starts_with("trap "))
        || lines().any(|(_, line)| line.split([';', '&', ')']).any(|part| part.trim_start().starts_with("exec ")));
    if replaced || matches!(last.split_whitespace().next(), Some("fi" | "esac" | "done" | "}")) {
        return None;
    }
    let message = format!(
        "`{path}` stays in front of what it starts: the signal that ends a container does not reach the application, which is \
         killed after a while"
    );
    let hint = "put `exec` before its last command";
    Some(Warning::new("signals_not_passed", message, hint).at(path, Some(number)))
}

/// The warning about one that is not run because something else starts.
pub(super) fn left_alone(inspection: &Inspection<'_>) -> Warning {
    let path = path(inspection);
    let message = format!("`{path}` chooses by its first argument and is not run: the application is started itself");
    let hint = "to start it, say so in `slipway.toml`: `[runtime]` `command = [\"/app/entrypoint.sh\", \"…\"]`";
    Warning::new("entrypoint_not_used", message, hint).at(path, None)
}

/// The warning about one that nobody can run.
pub(super) fn unexecutable(inspection: &Inspection<'_>) -> Option<Warning> {
    let path = path(inspection);
    inspection.tree.entry(&path).filter(|entry| !entry.executable)?;
    let message = format!("`{path}` is not executable and is not run.");
    let hint =
        "Make it executable (`git update-index --chmod=+x entrypoint.sh`) if the container should start with it.";
    Some(Warning::new("entrypoint_not_executable", message, hint).at(path, None))
}
