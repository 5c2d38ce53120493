//! Planning takes time in proportion to a manifest's size, whatever stands in it.

use slipway::model::source_tree::SourceTree;
use slipway::plan::plan;

use crate::projects::{catalog, request};

/// Sizes of the two texts that are compared.
const SMALL: usize = 64 << 10;
const LARGE: usize = 4 * SMALL;

/// The fewer of what there are many of.
const NARROW: usize = 250;

/// The longest tick of a Linux kernel that is in use, in nanoseconds.
const TICK: f64 = 4e6;

/// How much more the large one may take: 4 is in proportion, 16 would be its square.
const AT_MOST: f64 = 10.0;

/// File, start, repeated part, and the files beside it.
type Text = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Texts that grow: a file's name, what stands before, what is repeated, and the other files that make it looked at.
const TEXTS: &[Text] = &[
    ("go.mod", "module example.com/a\n\ngo 1.26\n\nrequire (\n", "\texample.com/b v1.0.0\n", &[("main.go", MAIN)]),
    ("go.mod", "module example.com/a\n\ngo 1.26\n", "(", &[("main.go", MAIN)]),
    ("go.work", "go 1.26\n", "use ./a\n", &[("go.mod", MOD), ("main.go", MAIN)]),
    ("main.go", "package main\n\nfunc main() { f", "(\"", &[("go.mod", MOD)]),
    ("main.go", "package main\n\nvar a = ", "g(\":8080\", ", &[("go.mod", MOD)]),
    ("main.go", "package main\n\nfunc main() { cobra.", "&cobra.Command{", &[("go.mod", MOD)]),
    (
        "main.go",
        "package main\n\nvar a = &cobra.Command{Use: \"a\"}\n\nfunc main() { a.Execute()\n",
        "a.AddCommand(",
        &[("go.mod", MOD)],
    ),
    (
        "main.go",
        "package main\n\nvar a = &cobra.Command{Use: \"a\"}\n\nfunc main() {\n",
        "a.Execute()\n",
        &[("go.mod", MOD)],
    ),
    ("main.go", "package main\n\nfunc main() {\n", "&cli.App{Commands: []cli.Command{{", &[("go.mod", MOD)]),
    ("main.go", "//go:build ", "(linux || !", &[("go.mod", MOD)]),
    (
        "main.go",
        "package main\n\nfunc main() {}\n",
        "//go:embed *a*a*a*a*b ",
        &[("go.mod", MOD), ("aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "")],
    ),
    ("main.go", "package main\n\nfunc main() {}\n", "/* */ `", &[("go.mod", MOD)]),
    ("requirements.txt", "", "flask==3.0.3 ; python_version > '3' \\\n", &[("app.py", APP)]),
    ("requirements.txt", "", "a[", &[("app.py", APP)]),
    (
        "pyproject.toml",
        "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\n",
        "\"flask>=3\",\n",
        &[("app.py", APP)],
    ),
    ("pyproject.toml", "a = ", "[", &[("app.py", APP)]),
    ("pom.xml", "<project>", "<a>", &[]),
    ("pom.xml", "<project><properties>", "<a>${a}</a>", &[]),
    (
        "main.go",
        "package main\n\nimport \"github.com/alecthomas/kingpin\"\n\nvar a = ",
        "kingpin.Command(\"a\", kingpin.Flag(",
        GO,
    ),
    ("main.go", "package main\n\nimport \"github.com/alecthomas/kong\"\n\nvar a ", "struct { A ", GO),
    ("main.go", "package main\n\nfunc main() {\n", "a := b()\ncobra.Command{Run: c, Use: \"d\"}\n", GO),
    ("main.go", "package main\n\nvar a = map[string]string{", "\"a b c d e.f\": \":8080\", ", GO),
    ("src/main/java/A.java", "class A { GrizzlyHttpServerFactory a = ", "\"http://localhost:1/\"", POM),
    ("src/main/java/A.java", "class A { HttpServer a = ", "addHttpListener(1, \"localhost\") ", POM),
    ("docker-compose.yml", "services:\n", "  a:\n    build: .\n    command: gunicorn a:b\n", STARTED),
    ("Procfile", "", "web: ./a gunicorn -c b c:d\n", STARTED),
    ("start.sh", "#!/bin/sh\n", "supervisord -c a.conf\n", STARTED),
    ("start.sh", "#!/bin/sh\n", "echo a\n", STARTED),
    ("entrypoint.sh", "#!/bin/sh\n", "exec gosu a \"$@\"\n", STARTED),
    ("Dockerfile", "FROM python\nCOPY . .\nRUN <<E\n", "pip install -r a.txt && b\n", &[("app.py", APP)]),
    (
        "docker/Dockerfile.web",
        "FROM python\n",
        "COPY back/a.py b\n",
        &[("back/requirements.txt", "flask\n"), ("back/app.py", APP)],
    ),
    ("order/run.py", "from order import create_app\ndef main():\n", "    a = create_app()\n", COMMAND),
    ("Dockerfile", "FROM scratch\n", "ENV A=\"${A:-$A}\" \\\n", &[]),
    ("Dockerfile", "FROM scratch\n", "COPY [\"a\", \"b\"]\n", &[]),
    ("slipway.toml", "[runtime]\nargs = ", "[", &[("go.mod", MOD), ("main.go", MAIN)]),
];

const GO: &[(&str, &str)] = &[("go.mod", MOD)];

const POM: &[(&str, &str)] = &[(
    "pom.xml",
    "<project><groupId>a</groupId><artifactId>a</artifactId><version>1</version><build><plugins><plugin><artifactId>maven-jar-plugin</artifactId><configuration><archive><manifest><mainClass>A</mainClass></manifest></archive></configuration></plugin></plugins></build></project>",
)];

/// A program that a script starts.
const STARTED: &[(&str, &str)] = &[
    ("Dockerfile", "FROM python\nCOPY . .\nCMD [\"./start.sh\"]\n"),
    ("requirements.txt", "flask\n"),
    ("app.py", APP),
];

/// A package whose command starts what its factory makes.
const COMMAND: &[(&str, &str)] = &[
    ("requirements.txt", "flask\n"),
    ("setup.py", "setup(name='order', entry_points={'console_scripts': ['order = order.run:main']})\n"),
    ("order/__init__.py", "from flask import Flask\n\ndef create_app():\n    return Flask(__name__)\n"),
];
const MOD: &str = "module example.com/a\n\ngo 1.26\n";
const MAIN: &str = "package main\n\nfunc main() {}\n";
const APP: &str = "from flask import Flask\n\napp = Flask(__name__)\n";

/// Nanoseconds that this thread has been on a processor (proc(5), `schedstat`): others that are busy do not count.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts a thread's time");
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// A repository with so many directories, modules or names.
type Wide = fn(usize) -> Vec<(String, String)>;

/// Repositories that grow in width: what one file names, and others have to be looked through for.
const WIDE: &[(&str, Wide)] = &[
    ("modules below a Dockerfile that copies each", |count| {
        let lines = (0..count).map(|n| format!("COPY d{n}/go.mod d{n}/\n"));
        let modules =
            (0..count).flat_map(|n| [(format!("d{n}/go.mod"), MOD.into()), (format!("d{n}/main.go"), MAIN.into())]);
        modules.chain([("Dockerfile".into(), format!("FROM golang\n{}", lines.collect::<Vec<_>>().concat()))]).collect()
    }),
    ("distributions that a Dockerfile installs, beside modules", |count| {
        let names = (0..count).map(|n| format!("name{n}")).collect::<Vec<_>>().join(" ");
        let modules = (0..count.min(MAX_MODULES)).map(|n| (format!("m{n}.py"), format!("import name{n}\n{APP}")));
        let dockerfile = format!("FROM python\nCOPY . .\nRUN pip install {names}\nCMD [\"gunicorn\", \"m0:app\"]\n");
        modules.chain([("Dockerfile".into(), dockerfile), ("requirements.txt".into(), "flask\n".into())]).collect()
    }),
    ("modules that import each other", |count| {
        let all = (0..count).map(|n| format!("import m{n}\n")).collect::<Vec<_>>().concat();
        let modules = (0..count.min(MAX_MODULES)).map(|n| (format!("m{n}.py"), format!("import m{}\n", n + 1)));
        modules
            .chain([("app.py".into(), format!("{all}{APP}")), ("requirements.txt".into(), "flask\n".into())])
            .collect()
    }),
    ("modules of a reactor that depend on each other", |count| {
        let names = (0..count).map(|n| format!("<module>m{n}</module>")).collect::<Vec<_>>().concat();
        let parent = "<groupId>a</groupId><version>1</version>";
        let module = |n: usize| {
            let needs = format!("<dependency><groupId>a</groupId><artifactId>m{}</artifactId></dependency>", n + 1);
            format!(
                "<project><parent>{parent}<artifactId>all</artifactId></parent><artifactId>m{n}</artifactId>\
                 <dependencies>{needs}</dependencies></project>"
            )
        };
        let root = format!(
            "<project>{parent}<artifactId>all</artifactId><packaging>pom</packaging><modules>{names}</modules></project>"
        );
        (0..count).map(|n| (format!("m{n}/pom.xml"), module(n))).chain([("pom.xml".into(), root)]).collect()
    }),
];

/// As many modules of Python as planning looks at.
const MAX_MODULES: usize = 400;

/// The fastest of some plans of a repository, in nanoseconds of a processor.
fn fastest(files: &[(String, String)]) -> f64 {
    let tree = || SourceTree::of_texts(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let (request, catalog) = (request("order"), catalog());
    let time = |tree: SourceTree| {
        let began = processor_time();
        // Planned or refused: either is an answer.
        let _ = plan(&request, &tree, &catalog);
        processor_time() - began
    };
    (0..5).map(|_| time(tree())).fold(f64::INFINITY, f64::min)
}

fn of_size(size: usize, (name, before, repeated, others): &Text) -> Vec<(String, String)> {
    let text = format!("{before}{}", repeated.repeat((size - before.len()) / repeated.len()));
    others.iter().copied().chain([(*name, text.as_str())]).map(|(path, text)| (path.into(), text.into())).collect()
}

/// How much longer the large one takes; the kernel counts in ticks, and less than one is none.
fn ratio(small: &[(String, String)], large: &[(String, String)]) -> f64 {
    fastest(large) / fastest(small).max(TICK)
}

#[test]
fn time_grows_with_size_alone() {
    let mut slow = Vec::new();
    for text in TEXTS {
        let ratio = ratio(&of_size(SMALL, text), &of_size(LARGE, text));
        if ratio > AT_MOST {
            slow.push(format!("{}: {:?} repeated: {ratio:.0} times as long for 4 times the size", text.0, text.2));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn time_grows_with_width_alone() {
    let mut slow = Vec::new();
    for (what, wide) in WIDE {
        let ratio = ratio(&wide(NARROW), &wide(4 * NARROW));
        if ratio > AT_MOST {
            slow.push(format!("{what}: {ratio:.0} times as long for 4 times as many"));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
