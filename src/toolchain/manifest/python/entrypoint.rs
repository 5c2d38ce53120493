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
    let runs = entry.kind == EntryKind::File && (hands_over(inspection) || !chooses(inspection));
    runs.then(|| Origin::tree(path, "executable entrypoint.sh"))
}

/// Whether the script ends in what it is handed (`exec "$@"`): it starts nothing by itself.
pub(super) fn hands_over(inspection: &Inspection<'_>) -> bool {
    let text = inspection.tree.text(&path(inspection)).unwrap_or_default();
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'));
    last.is_some_and(|line| line.contains("$@"))
}

/// Whether the script wants to be told what it starts: without an argument it would end.
fn chooses(inspection: &Inspection<'_>) -> bool {
    let text = inspection.tree.text(&path(inspection)).unwrap_or_default();
    let signs = ["case \"$1\"", "case $1 ", "case \"${1", "if [ \"$1\" =", "if [[ $1 =", "if [[ \"$1\" ="];
    text.lines().any(|line| signs.iter().any(|sign| line.trim_start().starts_with(sign)))
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
