//! Reads a Go module or workspace: the release it demands, what starts, whether it needs cgo
//! (Go Modules Reference; `go help packages`).

mod layout;
mod mains;

use serde_json::{Value, json};

use self::layout::{Layout, Module};
use self::mains::{Main, Scan};
use crate::model::failure::Failure;
use crate::model::origin::{Decision, Found, Origin, Rejected};
use crate::toolchain::findings::{Findings, Inspection, Process};

/// Where the toolchain puts the program, whatever its package is called.
const PROGRAM: &str = "/app/application";

/// Reads `go.mod`, `go.work` and the `.go` files.
///
/// Variables: `package` (relative to the module: `./cmd/api`; `./...` where nothing starts),
/// `module_path`, `module_dir`, `workspace` (the directory of a `go.work` that uses the module, or
/// null), `vendor`, `embed`. The shape is `cgo` or `static`. The fact `cgo_modules` may
/// list modules whose use needs cgo.
///
/// # Errors
/// `manifest_invalid`, `application_ambiguous` with the candidates, `application_not_found`.
pub fn read(inspection: &Inspection<'_>) -> Result<Findings, Failure> {
    let layout = Layout::read(inspection.tree, inspection.directory)?;
    let scan = Scan::of(inspection, &layout);
    let chosen = if inspection.library { None } else { mains::choose(inspection, &layout, &scan)? };
    let module = &layout.modules[chosen.map_or(0, |main| main.module)];

    let mut findings = Findings { versions: module.versions.clone(), ..Findings::default() };
    findings.versions.extend(layout.workspace.iter().flat_map(|workspace| workspace.versions.clone()));
    findings.warnings.extend(layout.warning.clone());
    if let Some(main) = chosen {
        let origin = Origin::file(main.path.as_str(), Some(main.line), "func main");
        findings.decisions.extend(decision(main, &scan, &origin));
        findings.module = Some(Found::new(main.name.clone(), origin.clone()));
        findings.processes.push(Process { name: "web".to_owned(), command: vec![PROGRAM.to_owned()], origin });
    }
    let (shape, why) = shape(inspection, module, &scan);
    findings.decisions.push(Decision { key: "shape".to_owned(), value: json!(shape), origin: why, rejected: vec![] });
    shape.clone_into(&mut findings.shape);
    for (key, value) in variables(inspection, &layout, module, chosen, &scan) {
        findings.variables.insert(key.to_owned(), value);
    }
    Ok(findings)
}

fn decision(main: &Main, scan: &Scan, origin: &Origin) -> Option<Decision> {
    let others = scan.mains.iter().filter(|other| *other != main);
    let rejected: Vec<_> = others
        .map(|other| Rejected {
            value: json!(other.name),
            origin: Origin::file(other.path.as_str(), Some(other.line), "func main"),
            why: "another program was named".to_owned(),
        })
        .collect();
    (!rejected.is_empty()).then(|| Decision {
        key: "application.module".to_owned(),
        value: json!(main.name),
        origin: origin.clone(),
        rejected,
    })
}

/// `cgo` where a package imports `"C"` or a module known for it is required.
fn shape(inspection: &Inspection<'_>, module: &Module, scan: &Scan) -> (&'static str, Origin) {
    if let Some((path, line)) = &scan.cgo {
        return ("cgo", Origin::file(path.as_str(), Some(*line), "import \"C\""));
    }
    let listed = inspection.facts.get("cgo_modules").and_then(toml::Value::as_array);
    let known: Vec<&str> = listed.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    match module.requires.iter().find(|(path, _)| known.contains(&path.as_str())) {
        Some((path, line)) => ("cgo", Origin::file(module.file.as_str(), Some(*line), format!("require {path}"))),
        None => ("static", Origin::default("no package of the module imports \"C\"")),
    }
}

fn variables(
    inspection: &Inspection<'_>,
    layout: &Layout,
    module: &Module,
    main: Option<&Main>,
    scan: &Scan,
) -> [(&'static str, Value); 6] {
    let workspace = layout.workspace.as_ref().map(|workspace| workspace.directory.clone());
    let vendored = |directory: &str| {
        let list = layout::below(directory, "vendor/modules.txt");
        inspection.tree.has_file(&list)
    };
    // In a workspace only the vendor directory beside go.work counts (`go help work vendor`).
    let vendor = vendored(workspace.as_deref().unwrap_or(&module.directory));
    [
        ("package", json!(main.map_or("./...", |main| main.package.as_str()))),
        ("module_path", json!(module.path)),
        ("module_dir", json!(module.directory)),
        ("workspace", json!(workspace)),
        ("vendor", json!(vendor)),
        ("embed", json!(scan.embed)),
    ]
}

#[cfg(test)]
mod tests;
