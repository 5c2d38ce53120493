//! What planning reads of Go modules is what the `go` command answers, on generated modules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use slipway::model::failure::{Failure, FailureCode};
use slipway::model::source_tree::SourceTree;
use slipway::toolchain::findings::{Findings, Inspection};
use slipway::toolchain::manifest::gomod;
use slipway::toolchain::version::Demand;

/// Modules of each kind.
const MODULES: usize = 150;

/// In how many of them each feature has to be.
const ENOUGH: usize = 20;

/// Answers of `go` for every module, in one container: the form of its `go.mod`, its programs, what building them meets.
const ASK: &str = "cd /modules && export HOME=/tmp GOCACHE=/tmp/cache GOTOOLCHAIN=local GOPROXY=off GOFLAGS= CGO_ENABLED=1
for m in *; do (cd $m
go mod edit -json > /answers/$m.mod 2> /answers/$m.mod-error || echo failed >> /answers/$m.mod-error
test -e sources || exit 0
go list -e -f '{{if and (eq .Name \"main\") (or .GoFiles .CgoFiles)}}{{.Dir}}{{end}}' ./... > /answers/$m.mains 2> /answers/$m.mains-error
go list -deps -f '{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{end}}' $(cat sources) > /answers/$m.cgo 2> /answers/$m.deps-error
); done";

/// A module and what is special about it.
#[derive(Default)]
struct Module {
    files: BTreeMap<String, String>,
    features: BTreeSet<&'static str>,
    /// The program whose packages are asked about.
    main: Option<&'static str>,
}

/// The same numbers every time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

impl Module {
    /// Adds a feature with a chance of one in three.
    fn maybe(&mut self, numbers: &mut Numbers, feature: &'static str, add: impl FnOnce(&mut Self, &mut Numbers)) {
        if numbers.one_in(3) {
            self.features.insert(feature);
            add(self, numbers);
        }
    }

    fn file(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), text.to_owned());
    }

    fn line(&mut self, text: &str) {
        let manifest = self.files.get_mut("go.mod").unwrap();
        let _ = writeln!(manifest, "{text}");
    }

    fn read(&self, module: Option<&str>) -> Result<Findings, Failure> {
        let tree = SourceTree::of_texts(self.files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        let facts = toml::Table::new();
        gomod::read(&Inspection {
            tree: &tree,
            directory: "",
            application: "no-such-name",
            module,
            process: None,
            command_given: module.is_none() && self.main.is_none(),
            library: false,
            extras: &[],
            args: &[],
            facts: &facts,
        })
    }
}

/// A module whose `go.mod` has one form or another.
fn manifest(numbers: &mut Numbers) -> Module {
    let mut module = Module::default();
    module.file("go.mod", "");
    module.maybe(numbers, "comments", |module, _| module.line("// the shop\n"));
    let path = numbers.pick(&["example.com/shop", "example.com/shop/v2", "\"example.com/shop\"", "`example.com/shop`"]);
    if path.starts_with(['"', '`']) {
        module.features.insert("quoted path");
    }
    module.line(&format!("module {path} // ours"));
    module.maybe(numbers, "go line", |module, numbers| {
        let version =
            numbers.pick(&["1.9", "1.12", "1.20", "1.21.0", "1.22.5", "1.23rc1", "1.25", "1.27.3", "1.27rc2"]);
        module.line(&format!("go {version}"));
    });
    module.maybe(numbers, "toolchain line", |module, numbers| {
        module.line(&format!(
            "toolchain {}",
            numbers.pick(&["go1.21.1", "go1.26.0", "go1.24rc1", "default", "go1.22.3-corp"])
        ));
    });
    module.maybe(numbers, "require block", |module, _| {
        module.line("require (\n\texample.com/a v1.0.0\n\texample.com/b/v2 v2.3.4 // indirect\n)");
    });
    module.maybe(numbers, "require line", |module, _| {
        module.line("require example.com/c v0.0.0-20240101000000-0123456789ab");
    });
    module.maybe(numbers, "replace", |module, numbers| {
        module.line(numbers.pick(&[
            "replace example.com/z => example.com/y v1.2.3",
            "replace example.com/z v1.0.0 => example.com/y v1.2.3",
            "replace example.com/z => ./z",
        ]));
    });
    module.maybe(numbers, "exclude and retract", |module, _| {
        module.line("exclude example.com/d v1.1.0\nretract [v1.0.0, v1.0.5] // broken\nretract v0.9.0");
    });
    module
        .maybe(numbers, "godebug and tool", |module, _| module.line("godebug default=go1.21\ntool example.com/e/cmd"));
    if numbers.one_in(3) {
        module.features.insert("malformed");
        module.line(numbers.pick(&[
            "go 1.x",
            "go",
            "go 1.21 1.22",
            "toolchain 1.22",
            "unknown x",
            "require example.com/f",
            "module example.com/again",
            "require (",
            "replace example.com/g example.com/h",
            "\"",
            "go v1.21",
            "replace example.com/g => example.com/h",
        ]));
    }
    module
}

const MAIN: &str = "package main\n\nfunc main() {}\n";

/// A module with sources of one kind or another.
fn sources(numbers: &mut Numbers) -> Module {
    let mut module = Module { main: Some("./cmd/app"), ..Module::default() };
    module.file(
        "go.mod",
        &format!("module example.com/shop\n\ngo {}\n", numbers.pick(&["1.16", "1.17", "1.21", "1.24"])),
    );
    let imports = "import (\n\t_ \"example.com/shop/lib\"\n\t\"fmt\"\n)\n";
    module.file("cmd/app/main.go", &format!("/* func main() */\npackage main\n\n{imports}\nvar text = `\nfunc main() {{`\n\nfunc main() {{ fmt.Println(text) }}\n"));
    module.file("lib/lib.go", "package lib\n");
    module.maybe(numbers, "main at the root", |module, _| module.file("main.go", MAIN));
    module.maybe(numbers, "main in a test", |module, _| module.file("probe/main_test.go", MAIN));
    module.maybe(numbers, "main in testdata", |module, _| module.file("lib/testdata/x/main.go", MAIN));
    module.maybe(numbers, "main in a hidden directory", |module, numbers| {
        module.file(numbers.pick(&["_old/main.go", ".tmp/main.go", "old/_main.go", "old/.main.go"]), MAIN);
    });
    module.maybe(numbers, "main of another system", |module, numbers| {
        module.file(
            &format!("other/main_{}.go", numbers.pick(&["windows", "darwin", "linux_arm64", "js_wasm", "arm64"])),
            MAIN,
        );
    });
    module.maybe(numbers, "main of this system", |module, numbers| {
        module.file(
            &format!(
                "this/{}.go",
                numbers.pick(&["main_linux", "main_amd64", "main_linux_amd64", "windows", "linux_x"])
            ),
            MAIN,
        );
    });
    module.maybe(numbers, "build line", |module, numbers| {
        let constraint = numbers.pick(&[
            "ignore",
            "linux && !arm64",
            "!linux",
            "tools || unix",
            "(darwin || linux) && cgo",
            "go1.18",
            "!cgo",
        ]);
        module.file("built/main.go", &format!("// ours\n\n//go:build {constraint}\n\n{MAIN}"));
    });
    module.maybe(numbers, "old build line", |module, numbers| {
        let constraint = numbers.pick(&["ignore", "linux", "darwin linux,amd64", "!linux", "windows darwin"]);
        // Go reads them in modules before 1.18 alone.
        module.file("go.mod", "module example.com/shop\n\ngo 1.16\n");
        module.file("older/main.go", &format!("// +build {constraint}\n\n{MAIN}"));
    });
    module.maybe(numbers, "nested module", |module, _| {
        module.file("nested/go.mod", "module example.com/nested\n\ngo 1.20\n");
        module.file("nested/cmd/main.go", MAIN);
    });
    module.maybe(numbers, "cgo in the program", |module, _| {
        module.file("lib/c.go", "package lib\n\n// int one() { return 1; }\nimport \"C\"\n");
    });
    module.maybe(numbers, "cgo beside the program", |module, _| {
        module.file("beside/c.go", "package beside\n\nimport \"C\"\n");
    });
    module.maybe(numbers, "embedded files", |module, numbers| {
        let pattern = numbers.pick(&[
            "web",
            "web/*.txt",
            "all:web",
            "web/a?txt",
            "web/[a-c].txt",
            "*.go",
            "\"web/a.txt\" web/b.txt",
        ]);
        module.file("lib/web/a.txt", "a\n");
        module.file("lib/web/b.txt", "b\n");
        module.file(
            "lib/files.go",
            &format!("package lib\n\nimport \"embed\"\n\n//go:embed {pattern}\nvar files embed.FS\n"),
        );
    });
    module.maybe(numbers, "missing embedded files", |module, numbers| {
        let pattern = numbers.pick(&["dist", "dist/*", "*.html", "web/z.txt", "web/[d-f].txt"]);
        module.file(
            "lib/gone.go",
            &format!("package lib\n\nimport \"embed\"\n\n//go:embed {pattern}\nvar gone embed.FS\n"),
        );
    });
    module
}

fn write(directory: &Path, modules: &[Module]) {
    for (number, module) in modules.iter().enumerate() {
        let root = directory.join(format!("{number:04}"));
        for (path, text) in &module.files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        if let Some(main) = module.main {
            std::fs::write(root.join("sources"), main).unwrap();
        }
    }
}

fn counted(modules: &[Module]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for feature in modules.iter().flat_map(|module| &module.features) {
        *counts.entry(feature).or_default() += 1;
    }
    println!("{} modules: {counts:?}", modules.len());
    assert!(counts.values().all(|count| *count >= ENOUGH), "{counts:?}");
}

/// The numbers in front of a version, as releases are compared.
fn numbers_of(version: &str) -> String {
    version
        .trim_start_matches("go")
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
#[ignore = "long: the go command answers for 300 modules"]
fn modules_are_read_as_go_reads_them() {
    let mut numbers = Numbers(0x5119_3a7d);
    let mut modules: Vec<Module> = (0..MODULES).map(|_| manifest(&mut numbers)).collect();
    modules.extend((0..MODULES).map(|_| sources(&mut numbers)));
    counted(&modules);
    let (inputs, answers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(inputs.path(), &modules);
    let mount = |directory: &Path, to: &str| format!("{}:{to}", directory.display());
    let run = Command::new("docker")
        .args(["run", "--rm", "--network", "none", "--tmpfs", "/tmp:exec", "--user", "0"])
        .args(["--volume", &mount(inputs.path(), "/modules"), "--volume", &mount(answers.path(), "/answers")])
        .args(["slipway/build-go:latest", "sh", "-c", ASK])
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}\nbuild the base images with `make base-images`",
        String::from_utf8_lossy(&run.stderr)
    );
    let mut wrong = String::new();
    for (number, module) in modules.iter().enumerate() {
        let answer = |kind: &str| {
            std::fs::read_to_string(answers.path().join(format!("{number:04}.{kind}"))).unwrap_or_default()
        };
        let differs =
            if module.main.is_some() { sources_differ(module, &answer) } else { manifest_differs(module, &answer) };
        if let Some(why) = differs {
            let _ = writeln!(wrong, "{number:04}: {why}\n{:?}\n{}", module.features, module.files["go.mod"]);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn manifest_differs(module: &Module, answer: &impl Fn(&str) -> String) -> Option<String> {
    let refused = answer("mod-error").contains("failed");
    let read = module.read(None);
    let malformed = read.as_ref().is_err_and(|failure| failure.code == FailureCode::ManifestInvalid);
    if refused != malformed {
        return Some(format!("go refused: {refused} ({}); planning: {read:?}", answer("mod-error")));
    }
    let (Ok(found), false) = (read, refused) else { return None };
    let value: Value = serde_json::from_str(&answer("mod")).unwrap();
    if found.variables["module_path"] != value["Module"]["Path"] {
        return Some(format!("the path is {}, not {}", value["Module"]["Path"], found.variables["module_path"]));
    }
    let stated = ["Toolchain", "Go"].map(|key| value[key].as_str().map(numbers_of));
    let stated: Vec<String> = stated.into_iter().flatten().filter(|version| !version.is_empty()).collect();
    let demands = found.versions.iter().map(|found| match &found.value {
        Demand::AtLeast(version) => version.to_string(),
        other => other.to_string(),
    });
    let demands: Vec<String> = demands.collect();
    (stated != demands).then(|| format!("the versions are {stated:?}, not {demands:?}"))
}

fn sources_differ(module: &Module, answer: &impl Fn(&str) -> String) -> Option<String> {
    // The same answers whatever is embedded: a program that does not exist is asked for, and all that do are named.
    let mains: BTreeSet<String> = answer("mains")
        .lines()
        .filter_map(|line| {
            line.split_once("/modules/")?.1.split_once('/').map_or(Some("."), |(_, rest)| Some(rest)).map(str::to_owned)
        })
        .filter(|line| !line.is_empty())
        .map(|line| if line == "." { line } else { format!("./{line}") })
        .collect();
    let named: BTreeSet<String> = match module.read(Some("./no/such/program")) {
        Err(failure) => failure.candidates.into_iter().collect(),
        Ok(_) => BTreeSet::new(),
    };
    if mains != named {
        return Some(format!("the programs are {mains:?}, not {named:?}; {}", answer("mains-error")));
    }
    let missing = answer("deps-error").contains("no matching files found");
    let read = module.read(module.main);
    let unusable = read.as_ref().is_err_and(|failure| failure.code == FailureCode::SourceUnusable);
    if missing != unusable {
        return Some(format!("embedded files are missing: {missing} ({}); planning: {read:?}", answer("deps-error")));
    }
    let (Ok(found), false) = (read, missing) else { return None };
    let cgo = !answer("cgo").trim().is_empty();
    (cgo != (found.shape == "cgo")).then(|| format!("cgo is needed: {cgo}; planning: {}", found.shape))
}
