//! Small trees and what is read from them.

use proptest::prelude::*;

use super::*;
use crate::model::failure::FailureCode;
use crate::model::source_tree::SourceTree;
use crate::toolchain::version::{Demand, Version};

const MAIN: &str = "package main\n\nfunc main() {}\n";
const MODULE: &str = "module example.com/trade/order\n\ngo 1.22\n";

struct Ask<'a> {
    directory: &'a str,
    application: &'a str,
    module: Option<&'a str>,
    command_given: bool,
    library: bool,
    facts: &'a str,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self { directory: "", application: "shop", module: None, command_given: false, library: false, facts: "" }
    }
}

impl Ask<'_> {
    fn read(&self, files: &[(&str, &str)]) -> Result<Findings, Failure> {
        let tree = SourceTree::of_texts(files.iter().copied());
        let facts: toml::Table = self.facts.parse().unwrap();
        let result = read(&Inspection {
            tree: &tree,
            directory: self.directory,
            application: self.application,
            module: self.module,
            process: None,
            command_given: self.command_given,
            library: self.library,
            extras: &[],
            args: &[],
            facts: &facts,
        });
        if let Ok(found) = &result {
            origins_exist(&tree, found);
        }
        result
    }
}

fn origins_exist(tree: &SourceTree, found: &Findings) {
    let origins = found.versions.iter().map(|version| &version.origin);
    let origins = origins.chain(found.module.iter().map(|module| &module.origin));
    let origins = origins.chain(found.processes.iter().map(|process| &process.origin));
    let origins = origins.chain(found.decisions.iter().map(|decision| &decision.origin));
    for origin in origins {
        let Some(path) = &origin.path else { continue };
        let count = u32::try_from(tree.text(path).unwrap().lines().count()).unwrap();
        assert!(origin.line.is_some_and(|line| line >= 1 && line <= count), "{origin}");
    }
}

fn names(failure: &Failure) -> (FailureCode, Vec<&str>) {
    (failure.code, failure.candidates.iter().map(String::as_str).collect())
}

fn chosen(found: &Findings) -> &str {
    &found.module.as_ref().unwrap().value
}

#[test]
fn the_only_program_is_the_application() {
    let module = "module example.com/order // c\n\ngo 1.22.1 // c\n\ntoolchain go1.22.5\n";
    let files =
        [("go.mod", module), ("cmd/api/main.go", MAIN), ("lib/x.go", "package lib\n"), ("vendor/modules.txt", "")];
    let found = Ask::default().read(&files).unwrap();
    let demands: Vec<_> = found.versions.iter().map(|f| (f.value.clone(), f.origin.line)).collect();
    assert_eq!(
        demands,
        [(Demand::AtLeast(Version::new(&[1, 22, 5])), Some(5)), (Demand::AtLeast(Version::new(&[1, 22, 1])), Some(3))]
    );
    assert_eq!(chosen(&found), "./cmd/api");
    assert_eq!(found.shape, "static");
    assert_eq!(found.processes[0].command, ["/app/application"]);
    for (key, value) in [
        ("package", json!("./cmd/api")),
        ("module_path", json!("example.com/order")),
        ("module_dir", json!("")),
        ("vendor", json!(true)),
        ("workspace", Value::Null),
    ] {
        assert_eq!(found.variables[key], value, "{key}");
    }
}

#[test]
fn what_go_ignores_is_no_program() {
    let files = [
        ("go.mod", MODULE),
        ("main.go", MAIN),
        ("main_test.go", MAIN),
        ("testdata/main.go", MAIN),
        ("vendor/x/main.go", MAIN),
        ("_x/main.go", MAIN),
        (".x/main.go", MAIN),
        ("a/_main.go", MAIN),
        ("win/main_windows.go", MAIN),
        ("gen/gen.go", "//go:build ignore\n\npackage main\nfunc main() {}\n"),
        ("nested/go.mod", "module nested\n"),
        ("nested/cmd/main.go", MAIN),
        ("notmain/a.go", "package main\n\n// func main() {}\n"),
    ];
    assert_eq!(chosen(&Ask::default().read(&files).unwrap()), ".");
}

#[test]
fn several_programs_need_a_word() {
    let files = [("go.mod", MODULE), ("cmd/api/main.go", MAIN), ("cmd/jobs/main.go", MAIN), ("main.go", MAIN)];
    let failure = Ask::default().read(&files).unwrap_err();
    assert_eq!(names(&failure), (FailureCode::ApplicationAmbiguous, vec![".", "./cmd/api", "./cmd/jobs"]));
    assert!(failure.hint.contains("module = \".\"") && failure.places.len() == 3);
    for (application, expected) in [("api", "./cmd/api"), ("order", "."), ("jobs", "./cmd/jobs")] {
        let found = Ask { application, ..Ask::default() }.read(&files).unwrap();
        assert_eq!(chosen(&found), expected);
        assert_eq!(found.decisions[0].rejected.len(), 2);
    }
    for module in ["./cmd/jobs", "cmd/jobs/", "example.com/trade/order/cmd/jobs"] {
        let found = Ask { module: Some(module), ..Ask::default() }.read(&files).unwrap();
        assert_eq!(chosen(&found), "./cmd/jobs");
    }
    let failure = Ask { module: Some("./cmd/x"), ..Ask::default() }.read(&files).unwrap_err();
    assert_eq!(names(&failure), (FailureCode::ApplicationNotFound, vec![".", "./cmd/api", "./cmd/jobs"]));
}

#[test]
fn no_program_is_a_failure_unless_none_is_needed() {
    let files = [("go.mod", MODULE), ("x.go", "package order\n")];
    assert_eq!(Ask::default().read(&files).unwrap_err().code, FailureCode::ApplicationNotFound);
    for ask in [Ask { library: true, ..Ask::default() }, Ask { command_given: true, ..Ask::default() }] {
        let found = ask.read(&files).unwrap();
        assert!(found.module.is_none() && found.processes.is_empty());
        assert_eq!(found.variables["package"], json!("./..."));
    }
}

#[test]
fn cgo_is_seen_in_packages_and_in_known_modules() {
    let files = [("go.mod", MODULE), ("main.go", MAIN), ("x/c.go", "package x\n\n// #include <a.h>\nimport \"C\"\n")];
    assert_eq!(Ask::default().read(&files).unwrap().shape, "static");
    let files = [
        ("main.go", "package main\n\nimport \"example.com/trade/order/x\"\n\nfunc main() { x.Do() }\n"),
        files[0],
        files[2],
    ];
    let found = Ask::default().read(&files).unwrap();
    assert_eq!((found.shape.as_str(), found.decisions[0].origin.line), ("cgo", Some(4)));
    let ask =
        Ask { facts: "cgo_packages = [\"github.com/mattn/go-sqlite3\"]\naside = [[\"tools\"]]", ..Ask::default() };
    let main = "package main\n\nimport _ \"github.com/mattn/go-sqlite3\"\n\nfunc main() {}\n";
    let found = ask.read(&[("go.mod", MODULE), ("main.go", main)]).unwrap();
    assert_eq!((found.shape.as_str(), found.decisions[0].origin.line), ("cgo", Some(3)));
    // What is only required, or imported by another program, is not linked.
    let found = ask.read(&[("go.mod", MODULE), ("main.go", MAIN), ("tools/x/main.go", main)]).unwrap();
    assert_eq!(found.shape, "static");
}

#[test]
fn workspaces_join_modules() {
    let work = "go 1.23\n\nuse (\n\t./api\n\t./lib\n)\n";
    let files = [
        ("go.work", work),
        ("api/go.mod", "module example.com/api\ngo 1.21\n"),
        ("api/cmd/server/main.go", MAIN),
        ("lib/go.mod", "module example.com/lib\n"),
        ("lib/lib.go", "package lib\n"),
        ("other/go.mod", "module example.com/other\n"),
        ("other/main.go", MAIN),
    ];
    let found = Ask::default().read(&files).unwrap();
    assert_eq!(chosen(&found), "./api/cmd/server");
    assert_eq!(found.variables["package"], json!("./cmd/server"));
    assert_eq!(found.variables["module_dir"], json!("api"));
    assert_eq!(found.variables["workspace"], json!(""));
    assert_eq!(
        found.versions.iter().map(|f| f.origin.path.clone().unwrap()).collect::<Vec<_>>(),
        ["api/go.mod", "go.work"]
    );
    let found = Ask { directory: "api", ..Ask::default() }.read(&files).unwrap();
    assert_eq!(chosen(&found), "./cmd/server");
    let found = Ask { directory: "other", ..Ask::default() }.read(&files).unwrap();
    assert_eq!((found.warnings[0].code.as_str(), &found.variables["workspace"]), ("workspace_ignored", &Value::Null));
}

#[test]
fn a_directory_inside_a_module_limits_the_search() {
    let files = [("go.mod", MODULE), ("a/main.go", MAIN), ("b/cmd/x/main.go", MAIN)];
    let found = Ask { directory: "b", ..Ask::default() }.read(&files).unwrap();
    assert_eq!((chosen(&found), &found.variables["package"]), ("./cmd/x", &json!("./b/cmd/x")));
    assert_eq!(
        Ask { directory: "ab", ..Ask::default() }.read(&files).unwrap_err().code,
        FailureCode::ApplicationNotFound
    );
}

#[test]
fn malformed_files_are_named_with_their_line() {
    for (path, text, line) in [
        ("go.mod", "module a\nfoo\n", Some(2)),
        ("go.mod", "module a\ngo x\n", Some(2)),
        ("go.mod", "module a\n\ntoolchain 1.22\n", Some(3)),
        ("go.mod", "module a\nmodule b\n", Some(2)),
        ("go.mod", "go 1.22\n", None),
        ("go.work", "use ../x\n", Some(1)),
        ("go.work", "go 1.22\nuse ./x\n", Some(2)),
    ] {
        let failure = Ask::default().read(&[(path, text), ("main.go", MAIN)]).unwrap_err();
        assert_eq!((failure.code, failure.places[0].line), (FailureCode::ManifestInvalid, line), "{text}");
    }
    assert_eq!(Ask::default().read(&[("main.go", MAIN)]).unwrap_err().code, FailureCode::ManifestInvalid);
}

#[test]
fn arguments_of_a_dockerfile_are_those_of_the_program() {
    let module = ("go.mod", "module example.com/trade/shop\n\ngo 1.22\n");
    let arguments = |dockerfile: &str| {
        let files = [module, ("main.go", MAIN), ("cmd/agent/main.go", MAIN), ("Dockerfile", dockerfile)];
        let ask = Ask { facts: "opening = { endings = [\".yml\"] }", module: Some("."), ..Ask::default() };
        let found = ask.read(&files).unwrap().arguments;
        found.map(|found| format!("{} {}", found.origin.line.unwrap_or_default(), found.value.join(" ")))
    };
    for (dockerfile, expected) in [
        ("FROM a\nENTRYPOINT [\"/bin/shop\"]\nCMD [\"serve\", \"--bind=0.0.0.0\"]", Some("3 serve --bind=0.0.0.0")),
        ("FROM a\nRUN go build -o /out/app\nFROM b\nCMD [\"/out/app\", \"-p\", \"80\"]", Some("4 -p 80")),
        ("FROM a\nENTRYPOINT [\"/sbin/tini\", \"-g\", \"--\", \"shop\"]\nCMD [\"web\"]", Some("3 web")),
        ("FROM a\nCMD ./shop serve", Some("2 serve")),
        ("FROM a\nCMD [\"shop\", \"serve\", \"-c\", \"/etc/shop.yml\", \"--at=/x\", \"-q\"]", Some("2 serve -q")),
        // Paths, variables and files are the other image's own; what only says something about itself starts nothing.
        ("FROM a\nCMD [\"shop\", \"serve\", \"/etc/shop/x\"]", None),
        ("FROM a\nCMD [\"shop\", \"-c\", \"shop.yml\"]", None),
        ("FROM a\nCMD [\"shop\", \"serve\", \"-q\", \"x\", \"/etc/shop/x\"]", None),
        ("FROM a\nCMD shop --port $PORT", None),
        ("FROM a\nENTRYPOINT [\"shop\"]\nCMD [\"--help\"]", None),
        ("FROM a\nCMD [\"shop\"]", None),
        // Another program, also one of the same module.
        ("FROM a\nCMD [\"nginx\", \"-g\", \"x\"]", None),
        ("FROM a\nRUN go build -o agent ./cmd/agent\nCMD [\"./agent\", \"run\"]", None),
        ("FROM a\nENTRYPOINT [\"./start.sh\"]\nCMD [\"shop\", \"run\"]", None),
    ] {
        assert_eq!(arguments(dockerfile).as_deref(), expected, "{dockerfile}");
    }
}

#[test]
fn a_dockerfile_elsewhere_speaks_for_a_program_of_the_same_name() {
    let read = |one: &str, other: &str| {
        let module = "module example.com/trade/shop\n\ngo 1.22\n";
        let files = [
            ("go.mod", module),
            ("main.go", MAIN),
            (".docker/Dockerfile-alpine", one),
            ("deploy/agent/Dockerfile", other),
        ];
        let found = Ask::default().read(&files).unwrap();
        let ports: Vec<u16> = found.ports.iter().map(|port| port.value).collect();
        (found.arguments.map(|found| found.value.join(" ")).unwrap_or_default(), ports)
    };
    let shop = "FROM a\nEXPOSE 4455 4456\nENTRYPOINT [\"shop\"]\nCMD [\"serve\"]";
    let expected = ("serve".to_owned(), vec![4455, 4456]);
    assert_eq!(read(shop, "FROM a\nEXPOSE 1\nCMD [\"agent\", \"run\"]"), expected);
    // A `CMD` that says the program again gives it nothing.
    assert_eq!(read(shop, "FROM a\nEXPOSE 4455 4456\nENTRYPOINT [\"shop\"]\nCMD [\"shop\"]"), expected);
    assert_eq!(read(shop, "FROM a\nEXPOSE 80\nENTRYPOINT [\"shop\", \"work\"]"), (String::new(), vec![]));
}

/// The facts that are shipped.
fn shipped() -> String {
    let file: toml::Table = include_str!("../../../../toolchains/go/facts.toml").parse().unwrap();
    toml::to_string(&file["facts"]).unwrap()
}

#[test]
fn what_is_said_of_a_flag_makes_its_default_a_port() {
    let facts = shipped();
    for (flag, expected) in [
        ("flag.Int(\"p\", 8000, \"port to listen on\")", Some(8000)),
        ("flag.String(\"l\", \":8001\", \"where it listens\")", Some(8001)),
        ("flag.Int(\"p\", 8000, \"number of parallel workers\")", None),
        ("flag.Int(\"p\", 8000, \"port of the redis server\")", None),
    ] {
        let source = format!("package main\n\nimport \"flag\"\n\nfunc main() {{\n\tx := {flag}\n\tflag.Parse()\n}}\n");
        let files = [("go.mod", MODULE), ("main.go", &source)];
        let found = Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap();
        assert_eq!(found.ports.first().map(|port| port.value), expected, "{flag}");
    }
}

#[test]
fn a_name_that_speaks_of_another_address_does_so_by_its_words() {
    let facts = shipped();
    for (name, expected) in [
        ("http_server.port", Some(8000)),
        ("HTTPServerPort", Some(8000)),
        ("https_port", None),
        ("back-end.port", None),
        ("redisPort", None),
    ] {
        let source = format!("package main\n\nfunc main() {{\n\tflag.Int(\"{name}\", 8000, \"x\")\n}}\n");
        let files = [("go.mod", MODULE), ("main.go", &*source)];
        let found = Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap();
        assert_eq!(found.ports.first().map(|port| port.value), expected, "{name}");
    }
}

#[test]
fn no_source_is_an_asset() {
    let facts = shipped();
    let assets = |pattern: &str| {
        let source = format!("package main\n\nfunc main() {{\n\tx, _ := filepath.Glob(\"{pattern}\")\n}}\n");
        let files = [("go.mod", MODULE), ("main.go", &source), ("a.html", "x"), ("views/b.html", "x")];
        let found = Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap();
        found.variables["assets"]["paths"].clone()
    };
    assert_eq!(assets("*.html"), json!(["a.html"]));
    assert_eq!(assets("views/*.html"), json!(["views"]));
    assert_eq!(assets("*.go"), json!([]));
    assert_eq!(assets("main.go"), json!([]));
}

#[test]
fn the_working_directory_is_no_asset_by_parts_of_names() {
    let facts = shipped();
    let assets = |call: &str| {
        let source = format!("package main\n\nfunc main() {{\n\t{call}\n}}\n");
        let files = [("go.mod", MODULE), ("main.go", &source), ("docs/a.md", "x")];
        Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap().variables["assets"]["paths"].clone()
    };
    assert_eq!(assets("http.Dir(\".\")"), json!(["docs"]));
    assert_eq!(assets("filepath.Join(\".\", name)"), json!(["docs"]));
    assert_eq!(assets("filepath.Join(\n\t\".\",\n\t\".\"+name+\".part\",\n)"), json!([]));
    assert_eq!(assets("templatesDir := \"docs\""), json!(["docs"]));
    assert_eq!(assets("section := \"docs\""), json!([]));
    assert_eq!(assets("filepath.Join(home, \".\"+name+\"-meta\")"), json!([]));
    assert_eq!(assets("os.Open(\".\" + name)"), json!([]));
}

#[test]
fn what_settings_name_belongs_beside_the_program() {
    let facts = shipped();
    let assets = |settings: &str| {
        let source = "package main\n\nfunc main() {\n\tos.ReadFile(\"config.json\")\n}\n";
        let files = [
            ("go.mod", MODULE),
            ("main.go", source),
            ("config.json", settings),
            ("db/db_sqlite/1.sql", "x"),
            ("db/db.go", "package db\n"),
            ("web/pages/a.html", "x"),
            ("pkg/till/till.go", "package till\n"),
        ];
        Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap().variables["assets"]["paths"].clone()
    };
    assert_eq!(assets("{\n  \"migrations\": \"db/db_\"\n}"), json!(["config.json", "db"]));
    assert_eq!(assets("{\n  \"pages\": \"./web/pages\",\n}"), json!(["config.json", "web/pages"]));
    assert_eq!(assets("{\n  \"till\": \"pkg/till\", \"x\": \"/web/pages\"\n}"), json!(["config.json"]));
}

#[test]
fn an_exporter_listens_where_its_flags_say_by_default() {
    let facts = shipped();
    let source = "package main\n\nfunc main() {\n\tflags := web.AddFlags(kingpin.CommandLine, \":9114\")\n}\n";
    let files = [("go.mod", MODULE), ("main.go", source), ("Dockerfile", "FROM a\nEXPOSE 7979\n")];
    let found = Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap();
    assert_eq!(found.ports.iter().map(|port| port.value).collect::<Vec<_>>(), [9114]);
}

#[test]
fn what_completes_a_client_s_address_is_no_port() {
    let facts = shipped();
    let ports = |second: &str| {
        let source =
            format!("package main\n\nfunc main() {{\n\tdefaultPort := \"9000\"\n\tif x {{\n\t\t{second}\n\t}}\n}}\n");
        let files = [("go.mod", MODULE), ("main.go", &source)];
        let found = Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap();
        found.ports.iter().map(|port| port.value).collect::<Vec<_>>()
    };
    assert_eq!(ports("defaultPort = \"8443\""), [0; 0]);
    assert_eq!(ports("other = \"8443\""), [9000]);
}

#[test]
fn the_host_for_tls_is_no_port() {
    let facts = shipped();
    let source = "package main\n\nfunc main() {\n\tsecure.New(secure.Options{SSLHost: \"localhost:443\"})\n}\n";
    let files = [("go.mod", MODULE), ("main.go", source), ("Dockerfile", "FROM a\nEXPOSE 8888\n")];
    let found = Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap();
    assert_eq!(found.ports.iter().map(|port| port.value).collect::<Vec<_>>(), [8888]);
}

#[test]
fn only_texts_of_the_program_itself_are_stamped() {
    let unstamped = |source: &str| {
        let files = [("go.mod", MODULE), ("main.go", source), ("lib/a.go", "package lib\n\nvar commit int\n")];
        Ask::default().read(&files).unwrap().variables["unstamped"].clone()
    };
    assert_eq!(unstamped(MAIN), json!([]));
    assert_eq!(unstamped("package main\n\nvar version bool\n\nfunc main() {}\n"), json!(["version"]));
    let imports = "package main\n\nimport _ \"example.com/trade/order/lib\"\n\nfunc main() {}\n";
    assert_eq!(unstamped(imports), json!([]));
}

#[test]
fn a_sub_command_s_flags_are_not_those_of_the_program() {
    let facts = shipped();
    let root = |run: &str| {
        format!(
            "package main\n\nimport \"github.com/spf13/cobra\"\n\nfunc main() {{\n\troot := &cobra.Command{{Use: \"shop\"{run}}}\n\t\
             root.Flags().String(\"web.port\", \"8000\", \"x\")\n\troot.AddCommand(docs())\n}}\n"
        )
    };
    let docs = "package main\n\nimport \"github.com/spf13/cobra\"\n\nfunc docs() *cobra.Command {\n\tvar docs = &cobra.Command{\n\t\tUse: \"docs DIR\",\n\t}\n\t\
                docs.Flags().IntVarP(&port, \"port\", \"p\", 3000, \"port to serve on\")\n\treturn docs\n}\n";
    let ports = |run: &str, dockerfile: &str| {
        let files = [("go.mod", MODULE), ("main.go", &*root(run)), ("docs.go", docs), ("Dockerfile", dockerfile)];
        let found = Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap();
        found.ports.iter().map(|port| port.value).collect::<Vec<_>>()
    };
    assert_eq!(ports(", Run: run", "FROM a"), [8000]);
    // It is started, or the program does nothing without one.
    assert_eq!(ports(", Run: run", "FROM a\nCMD [\"shop\", \"docs\"]"), [3000]);
    assert_eq!(ports("", "FROM a"), [3000]);
    assert_eq!(ports(", Run: func(c *cobra.Command, a []string) { c.Help() }", "FROM a"), [3000]);
}

#[test]
fn a_daemon_is_the_server_of_the_client_with_the_application_s_name() {
    let facts = shipped();
    let serves = "package main\n\nfunc main() { http.ListenAndServe(\":4001\", nil) }\n";
    let choose = |client: &str, server: &str| {
        let files = [("go.mod", MODULE), ("cmd/shop/main.go", client), ("cmd/shopd/main.go", server)];
        chosen(&Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap()).to_owned()
    };
    assert_eq!(choose(MAIN, serves), "./cmd/shopd");
    assert_eq!(choose(serves, serves), "./cmd/shop");
    assert_eq!(choose(MAIN, MAIN), "./cmd/shop");
}

#[test]
fn what_a_framework_looks_for_by_itself_is_beside_the_program() {
    let facts = shipped();
    let assets = |import: &str| {
        let source = format!("package main\n\nimport \"{import}\"\n\nfunc main() {{}}\n");
        let files = [
            ("go.mod", MODULE),
            ("main.go", &*source),
            ("conf/app.conf", "x"),
            ("views/a.tpl", "x"),
            ("static/static.go", "package static\n"),
        ];
        Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap().variables["assets"]["paths"].clone()
    };
    assert_eq!(assets("github.com/beego/beego/v2/server/web"), json!(["conf", "views"]));
    assert_eq!(assets("github.com/beego/beegotwo"), json!([]));
}

#[test]
fn the_default_of_a_field_may_be_a_path() {
    let facts = shipped();
    let assets = |tag: &str| {
        let source = format!("package main\n\ntype c struct {{\n\tPath string `{tag}`\n}}\n\nfunc main() {{}}\n");
        let files = [("go.mod", MODULE), ("main.go", &*source), ("migrations/1.sql", "x")];
        Ask { facts: &facts, ..Ask::default() }.read(&files).unwrap().variables["assets"]["paths"].clone()
    };
    assert_eq!(assets("split_words:\"true\" default:\"./migrations\""), json!(["migrations"]));
    assert_eq!(assets("json:\"./migrations\""), json!([]));
}

proptest! {
    #[test]
    fn arbitrary_texts_never_panic(
        module in "(module a\n|go 1.22\n|toolchain go1|use |require \\(\n|[ a./()\"\n]){0,12}",
        work in prop::option::of("(go 1.2\n|use \\./b\n|use |[ a./()\n]){0,8}"),
        source in "(package main\n|func main\\(|import \"C\"\n|[ {}\"'`/*é\n]){0,12}",
        directory in "(b|c|b/d)?",
        library in any::<bool>(),
    ) {
        let mut files = vec![("go.mod", module.as_str()), ("b/go.mod", MODULE), ("b/d/x.go", &source), ("m.go", &source)];
        files.extend(work.as_deref().map(|work| ("go.work", work)));
        let _ = Ask { directory: &directory, library, ..Ask::default() }.read(&files);
    }
}

mod commands;
mod running;

#[test]
fn a_dockerfile_says_which_package_it_compiles_by_where_it_goes() {
    let module = ("go.mod", "module example.com/trade/shop\n\ngo 1.22\n");
    let chosen = |dockerfile: &str| {
        let files = [
            module,
            ("main.go", MAIN),
            ("server/main/main.go", MAIN),
            ("other/x.go", MAIN),
            ("Dockerfile", dockerfile),
        ];
        Ask::default().read(&files).unwrap().module.unwrap().value
    };
    for (runs, expected) in [
        ("RUN cd /build/shop/server/main && go build -v && mv main /x", "./server/main"),
        ("RUN cd server/main && CGO_ENABLED=0 go build -o /x -ldflags=-w", "./server/main"),
        ("RUN go build -o /x ./server/main", "./server/main"),
        ("RUN go build -o /x ./server/main && go build -o /y .", "."),
        ("RUN go build -o /x ./server/main\nRUN go build -o /y", "."),
        ("RUN go build -o /x ./server/...", "."),
        ("RUN cd /src && make", "."),
    ] {
        assert_eq!(chosen(&format!("FROM a\n{runs}\n")), expected, "{runs}");
    }
}

#[test]
fn vendor_is_left_aside_without_a_go_line() {
    let module = "module example.com/trade/shop\n\nrequire example.com/other v1.0.0\n";
    let read = |module: &str| {
        Ask::default().read(&[
            ("go.mod", module),
            ("main.go", MAIN),
            ("vendor/modules.txt", "# example.com/x v1.0.0\n"),
        ])
    };
    assert_eq!(read(module).unwrap().variables["vendor"], json!(false));
    assert_eq!(read(&format!("{module}\ngo 1.22\n")).unwrap_err().code, FailureCode::ManifestInvalid);
}
