//! Libraries of the system that distributions load when they run: no wheel names them, so nothing that looks at wheels finds
//! that an image lacks them.

use super::dependencies::Dependencies;
use crate::model::failure::Warning;

/// A warning for every distribution of `[facts.loads]` that applies.
pub(super) fn missing(dependencies: &Dependencies, facts: &toml::Table) -> Vec<Warning> {
    let Some(table) = facts.get("loads").and_then(toml::Value::as_table) else { return Vec::new() };
    let needed = dependencies.list.iter().filter(|requirement| requirement.applies).filter_map(|requirement| {
        let library = table.get(&requirement.name)?.as_str()?;
        let message =
            format!("`{}` loads the library `{library}` when it is used, which the images have not", requirement.name);
        let hint =
            "where the application uses it, ask the operator for a base image with the library (`[image]` `base`)";
        let warning = Warning::new("library_missing", message, hint);
        Some(match &requirement.origin.path {
            Some(path) => warning.at(path, requirement.origin.line),
            None => warning,
        })
    });
    let mut found: Vec<Warning> = needed.collect();
    found.dedup_by(|a, b| a.message == b.message);
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;

    #[test]
    fn what_loads_a_library_is_said_with_its_line() {
        let requirements =
            "requests\ncairocffi==1.7.1; python_version >= '3.8'\npython-magic; sys_platform == 'win32'\n";
        let script = "if __name__ == '__main__':\n    pass\n";
        let findings = found(&[("requirements.txt", requirements), ("job.py", script)]);
        let said: Vec<_> = findings.warnings.iter().map(|warning| (warning.code.as_str(), warning.line)).collect();
        assert_eq!(said, [("library_missing", Some(2))]);
    }
}
