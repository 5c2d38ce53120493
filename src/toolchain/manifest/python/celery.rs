//! A Celery application beside what serves: a process of its own.

use super::dependencies::Dependencies;
use super::layout::Sources;
use super::module::Value;
use crate::model::origin::Origin;
use crate::toolchain::findings::Process;

/// The process `worker`, where the repository has exactly one Celery application and names no such process itself.
pub(super) fn worker(sources: &Sources<'_>, dependencies: &Dependencies, there: &[Process]) -> Option<Process> {
    if !dependencies.has("celery") || there.iter().any(|process| process.name != "web") {
        return None;
    }
    let mut found = sources.modules.iter().flat_map(|(file, module)| {
        let made =
            |value: &Value| matches!(value, Value::Call(callee) if callee.imported && callee.dotted == "celery.Celery");
        module.assignments.iter().filter(move |a| made(&a.value)).map(move |a| (*file, a))
    });
    let (file, assignment) = found.next().filter(|_| found.next().is_none())?;
    let (root, module) = sources.import_name(file);
    let mut command = vec!["celery".to_owned(), "--app".to_owned(), format!("{module}:{}", assignment.target)];
    if root.len() > sources.directory.len() {
        command.extend(["--workdir".to_owned(), format!("/app/{}", super::text::below(sources.directory, &root))]);
    }
    command.extend(["worker".to_owned(), "--loglevel=INFO".to_owned()]);
    let origin = Origin::file(file, Some(assignment.line), "celery application");
    Some(Process { name: "worker".into(), command, origin })
}
