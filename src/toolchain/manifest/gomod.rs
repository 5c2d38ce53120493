//! Reads a Go module or workspace: the release it demands, what starts, whether it needs cgo, which port it listens on,
//! which files it opens (Go Modules Reference; `go help packages`).

mod above;
mod arguments;
mod assets;
mod boxes;
mod commands;
mod conventions;
mod generated;
mod layout;
mod listens;
mod mains;
mod mentions;
mod needed;
mod packages;
mod ports;
mod programs;
mod stamps;
mod stated;
mod unfit;
mod verify;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::arguments::Dockerfiles;
use self::layout::{Layout, Module};
use self::mains::Main;
use self::needed::Needed;
use self::packages::Package;
use self::ports::File;
use super::dockerfile;
use crate::model::failure::Failure;
use crate::model::origin::{Decision, Found, Origin, Rejected};
use crate::toolchain::findings::{Findings, Inspection, Process};
use crate::toolchain::version::{Demand, Version};

/// Where the toolchain puts the program, whatever its package is called.
const PROGRAM: &str = "/app/application";

/// The variables of `main` that programs are stamped by.
const STAMPS: [&str; 2] = ["version", "commit"];

/// Reads `go.mod`, `go.work` and the `.go` files.
///
/// Variables: `package` (relative to the module: `./cmd/api`; `./...` where nothing starts),
/// `module_path`, `module_dir`, `workspace` (the directory of a `go.work` that uses the module, or
/// null), `vendor`, `assets` and `above` (`{directory, paths}`), `boxes` (`{directory, paths, below}`), `programs` (that it starts), `unstamped` (variables of `main` that
/// are no texts), `toolchains` (release to full version). The shape is `cgo` or
/// `static`. Facts: `aside`, `c_libraries`, `cgo_packages`, `conventions`, `embedding`, `listening`, `opening`, `serving`, `toolchains`, `unfit`.
///
/// # Errors
/// `manifest_invalid`, `application_ambiguous` with the candidates, `application_not_found`, `source_unusable` for
/// embedded files that are not there.
pub fn read(inspection: &Inspection<'_>) -> Result<Findings, Failure> {
    let layout = Layout::read(inspection.tree, inspection.directory)?;
    let packages = packages::read(inspection.tree, &layout, &tags(inspection.args));
    let mains = mains::mains(inspection, &layout, &packages);
    let chosen = if inspection.library { None } else { mains::choose(inspection, &layout, &packages, &mains)? };
    let main = chosen.map(|(main, _)| main);
    let module = &layout.modules[main.map_or(0, |main| main.module)];
    let closure: Vec<&Package<'_>> = match main {
        Some(main) => packages::closure(&packages, &layout, &main.directory).iter().map(|at| &packages[at]).collect(),
        None => packages.values().filter(|package| package.module == 0).collect(),
    };
    for package in &closure {
        verify::embedded(inspection.tree, package)?;
    }
    if layout.workspace.is_none() {
        verify::vendored(inspection.tree, module)?;
    }

    let limits = unfit::limits(module, inspection.facts);
    let mut findings = Findings { versions: versions(&layout, module, &closure), limits, ..Findings::default() };
    findings.warnings.extend(layout.warning.clone());
    findings.warnings.extend(verify::c_libraries(inspection.facts, &closure));
    findings.warnings.extend(generated::missing(inspection.tree, inspection.facts, &closure));
    if let Some((main, why)) = chosen {
        let origin = Origin::file(main.path.as_str(), Some(main.line), "func main");
        findings.decisions.extend(decision(main, &mains, why, &origin));
        findings.module = Some(Found::new(main.name.clone(), origin.clone()));
        findings.processes.push(Process { name: "web".to_owned(), command: vec![PROGRAM.to_owned()], origin });
    }
    let (shape, why) = shape(inspection, &closure);
    findings.decisions.push(Decision { key: "shape".to_owned(), value: json!(shape), origin: why, rejected: vec![] });
    shape.clone_into(&mut findings.shape);
    let toolchains = toolchains(inspection, &findings.versions);
    findings.variables.insert("toolchains".to_owned(), json!(toolchains));
    for (key, value) in variables(inspection, &layout, module, main) {
        findings.variables.insert(key.to_owned(), value);
    }
    if let Some(main) = main {
        let directories = [inspection.directory, main.directory.as_str(), module.directory.as_str()];
        let dockerfiles = arguments::dockerfiles(inspection, &directories, main, &module.path);
        findings.arguments = arguments::of_dockerfile(inspection, &dockerfiles, main, &mains, &module.path);
        let exposed = exposed(&dockerfiles);
        let listens = || listens::only(inspection, &layout, &packages, &[main]).is_some();
        running(inspection, module, main, &closure, &exposed, &listens, &mut findings);
        reached(&mut findings);
    }
    Ok(findings)
}

/// What the program needs where it runs: its port, `PORT`, the files that it opens.
fn running(
    inspection: &Inspection<'_>,
    module: &Module,
    main: &Main,
    closure: &[&Package<'_>],
    exposed: &[Found<u16>],
    listens: &dyn Fn() -> bool,
    findings: &mut Findings,
) {
    let paths = closure.iter().flat_map(|package| package.files.iter().map(|(path, _)| *path));
    let files = mentions::of_each(inspection.tree, paths);
    let directories = [inspection.directory, main.directory.as_str(), module.directory.as_str()];
    let assets = assets::find(inspection.tree, inspection.facts, &files, &directories);
    let above = above::find(inspection.tree, inspection.facts, &files, &main.directory, inspection.directory);
    let stated = |known: &ports::Known<'_>| {
        let of = |directory: &str, paths: &[String]| {
            stated::port(inspection.tree, inspection.facts, known, directory, paths)
        };
        of(&assets.directory, &assets.paths).or_else(|| of(&above.directory, &above.paths))
    };
    let names = [mains::last(&main.import_path), mains::last(&module.path), inspection.application];
    if findings.arguments.is_none() {
        match needed::find(inspection.tree, inspection.facts, &files, &names, listens) {
            Some(Needed::Serves(arguments)) => findings.arguments = Some(arguments),
            Some(Needed::Unknown(warning)) => findings.warnings.push(warning),
            None => {}
        }
    }
    let arguments = findings.arguments.iter().flat_map(|found| found.value.clone()).collect::<Vec<_>>();
    let others = commands::others(inspection.tree, &files, &names, &arguments);
    let written = |(path, _): &&File<'_>| !inspection.tree.text(path).is_some_and(mentions::is_generated);
    let by_hand: Vec<File<'_>> = files.iter().filter(written).cloned().collect();
    ports::find(&by_hand, inspection.facts, exposed, &stated, &others, findings);
    for (path, line, name, value) in conventions::variables(inspection.facts, &files) {
        let origin = Origin::file(path, Some(line), "it listens on loopback alone unless the variable says otherwise");
        findings.image_env.insert(name.to_owned(), Found::new(value.to_owned(), origin));
    }
    findings.variables.insert("programs".to_owned(), json!(programs::started(&files)));
    let own = closure.first().into_iter().flat_map(|package| &package.files);
    let texts = own.filter_map(|(path, _)| inspection.tree.text(path));
    findings.variables.insert("unstamped".to_owned(), json!(stamps::refused(texts, &STAMPS)));
    findings.variables.insert("assets".to_owned(), json!({ "directory": assets.directory, "paths": assets.paths }));
    let boxes = boxes::find(inspection.tree, inspection.facts, &files, module);
    findings.warnings.extend(boxes.missing);
    let of_module = json!({ "directory": module.directory, "paths": boxes.paths, "below": module.path });
    findings.variables.insert("boxes".to_owned(), of_module);
    findings.variables.insert("above".to_owned(), json!({ "directory": above.directory, "paths": above.paths }));
    let opened = [
        ("above", above.first, above.paths, "read above the directory of its package"),
        ("assets", assets.first, assets.paths, "opened by a relative path"),
        ("boxes", boxes.first, boxes.paths, "looked for at the place of its source"),
    ];
    for (key, first, paths, why) in opened {
        if let Some((path, line)) = first {
            let origin = Origin::file(path, Some(line), why);
            findings.decisions.push(Decision { key: key.to_owned(), value: json!(paths), origin, rejected: vec![] });
        }
    }
}

/// What it is started with may say that it listens everywhere.
fn reached(findings: &mut Findings) {
    let found = findings.arguments.iter().flat_map(|found| &found.value);
    let everywhere = |argument: &String| {
        let value = argument.rsplit('=').next().and_then(ports::address);
        argument.contains("0.0.0.0") || value.is_some_and(|(host, _)| !ports::is_loopback(host))
    };
    if found.into_iter().any(everywhere) {
        findings.warnings.retain(|warning| warning.code != "listens_on_loopback");
    }
}

/// What Dockerfiles that are not used say about ports: the first, or all of them.
fn exposed(dockerfiles: &Dockerfiles<'_>) -> Vec<Found<u16>> {
    let mut each = dockerfiles.files.iter().map(|(path, text)| dockerfile::exposed(path, text));
    let first = each.next().unwrap_or_default();
    let ports = |found: &[Found<u16>]| found.iter().map(|port| port.value).collect::<Vec<_>>();
    let agreed = dockerfiles.own || each.all(|other| ports(&other) == ports(&first));
    if agreed { first } else { Vec::new() }
}

/// What `-tags` among the arguments of `go build` adds.
fn tags(args: &[String]) -> Vec<String> {
    let flag = |argument: &str| argument.trim_start_matches('-').to_owned();
    let mut found = Vec::new();
    for (index, argument) in args.iter().enumerate().filter(|(_, argument)| argument.starts_with('-')) {
        let list = match flag(argument).split_once('=') {
            Some(("tags", list)) => list.to_owned(),
            None if flag(argument) == "tags" => args.get(index + 1).cloned().unwrap_or_default(),
            _ => continue,
        };
        found.extend(list.split([',', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned));
    }
    found
}

/// The demands of the program's module, of its workspace, and of the modules that it is made of.
fn versions(layout: &Layout, module: &Module, closure: &[&Package<'_>]) -> Vec<Found<Demand>> {
    let mut versions = module.versions.clone();
    versions.extend(layout.workspace.iter().flat_map(|workspace| workspace.versions.clone()));
    let others = layout.modules.iter().enumerate().filter(|(_, other)| other.file != module.file);
    let used = others.filter(|(index, _)| closure.iter().any(|package| package.module == *index));
    versions.extend(used.flat_map(|(_, other)| other.versions.clone()));
    versions
}

/// The full version that stands for each release: the catalogue's, or a later patch that is demanded.
fn toolchains(inspection: &Inspection<'_>, versions: &[Found<Demand>]) -> BTreeMap<String, String> {
    let table = inspection.facts.get("toolchains").and_then(toml::Value::as_table);
    let offered = table.into_iter().flatten().filter_map(|(release, full)| Some((release, full.as_str()?)));
    let later = |release: &str, full: &str| {
        let (release, full): (Version, Version) = (release.parse().ok()?, full.parse().ok()?);
        let demanded = versions.iter().filter_map(|found| match &found.value {
            Demand::AtLeast(version) if version.within(&release) && *version > full => Some(version),
            _ => None,
        });
        demanded.max().map(ToString::to_string)
    };
    offered.map(|(release, full)| (release.clone(), later(release, full).unwrap_or_else(|| full.to_owned()))).collect()
}

fn decision(main: &Main, mains: &[Main], why: &str, origin: &Origin) -> Option<Decision> {
    let others = mains.iter().filter(|other| *other != main);
    let rejected: Vec<_> = others
        .map(|other| Rejected {
            value: json!(other.name),
            origin: Origin::file(other.path.as_str(), Some(other.line), "func main"),
            why: why.to_owned(),
        })
        .collect();
    (!rejected.is_empty()).then(|| Decision {
        key: "application.module".to_owned(),
        value: json!(main.name),
        origin: origin.clone(),
        rejected,
    })
}

/// `cgo` where a package of the program imports `"C"` and has nothing to stand in for it, or imports what is known to.
fn shape(inspection: &Inspection<'_>, closure: &[&Package<'_>]) -> (&'static str, Origin) {
    if let Some((path, line)) = closure.iter().find_map(|package| package.cgo()) {
        return ("cgo", Origin::file(path, Some(line), "import \"C\""));
    }
    let known = closure.iter().find_map(|package| verify::known_cgo(inspection.facts, package));
    match known {
        Some((path, import)) => {
            let text = inspection.tree.text(path).unwrap_or_default();
            let line = text.lines().position(|line| line.contains(&format!("\"{import}\"")));
            let line = line.and_then(|index| u32::try_from(index + 1).ok());
            ("cgo", Origin::file(path, line, format!("import of {import}, which needs cgo")))
        }
        None => ("static", Origin::default("no package of the program needs cgo")),
    }
}

fn variables(
    inspection: &Inspection<'_>,
    layout: &Layout,
    module: &Module,
    main: Option<&Main>,
) -> [(&'static str, Value); 7] {
    let workspace = layout.workspace.as_ref().map(|workspace| workspace.directory.clone());
    let vendored = |directory: &str| {
        let list = layout::below(directory, "vendor/modules.txt");
        inspection.tree.has_file(&list)
    };
    // In a workspace only the vendor directory beside go.work counts (`go help work vendor`); elsewhere `go` builds from it by
    // itself since 1.14, and what is older may lack modules there (Go Modules Reference, "Vendoring").
    let old = workspace.is_none() && verify::before_vendoring(module);
    let vendor = !old && vendored(workspace.as_deref().unwrap_or(&module.directory));
    [
        ("package", json!(main.map_or("./...", |main| main.package.as_str()))),
        ("module_path", json!(module.path)),
        ("module_dir", json!(module.directory)),
        ("workspace", json!(workspace)),
        ("vendor", json!(vendor)),
        ("assets", json!({ "directory": "", "paths": [] })),
        ("unstamped", json!([])),
    ]
}

#[cfg(test)]
mod tests;
