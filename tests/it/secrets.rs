//! A distinct secret in every setting of the operator's, real builds of three toolchains with all of them, and a search
//! for each secret, in every form, through everything that comes out.

mod outcome;
mod planted;
mod refused;
mod untrusted;

use std::path::Path;

use self::planted::Planted;
use crate::services::service;
use crate::support::project::Project;
use crate::support::slipway::Slipway;

fn committed(name: &str, files: &[(&str, &str)]) -> Project {
    let project = Project::new(name, files);
    project.commit();
    project
}

fn path(project: &Project) -> String {
    project.path().display().to_string()
}

const POM: &str = "<project><modelVersion>4.0.0</modelVersion>
<groupId>com.example</groupId><artifactId>planted</artifactId><version>1</version>
<properties><maven.compiler.release>17</maven.compiler.release></properties>
<build>RESOURCES<plugins><plugin><artifactId>maven-jar-plugin</artifactId>
<configuration><archive><manifest><mainClass>a.Main</mainClass></manifest></archive></configuration>
</plugin></plugins></build></project>";

const MAIN: &str = "package a;\n\npublic class Main {\n    public static void main(String[] arguments) {}\n}\n";

/// pip cannot check a certificate that names an address unless it is told to do so in its older way.
const PYTHON: &[(&str, &str)] = &[
    ("requirements.txt", "slipway-private==1.0\nslipway-extra==1.0\n"),
    ("app.py", "import slipway_private, slipway_extra\n\nprint(slipway_private.VALUE)\n"),
    (
        "slipway.toml",
        "[runtime]\ncommand = [\"python\", \"app.py\"]\n[toolchain.env]\nPIP_USE_DEPRECATED = \"legacy-certs\"\n",
    ),
];

const GO: &[(&str, &str)] = &[
    ("go.mod", "module example.com/planted\n\ngo 1.24\n\nrequire example.com/private v1.0.0\n"),
    ("main.go", "package main\n\nimport \"example.com/private\"\n\nfunc main() { println(private.Value()) }\n"),
];

/// Go builds only what `go.sum` names, and names it by a hash of the archive.
/// The server has no toolchains, so the image's own serves.
const GO_ARGS: &[&str] = &[
    "--toolchain",
    "go@1.24",
    "--set",
    "toolchain.args=[\"-mod=mod\"]",
    "--set",
    "toolchain.env={ GOTOOLCHAIN = \"local\" }",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_the_operator_s_comes_out_of_a_maven_build() {
    let planted = Planted::new().await;
    let maven =
        committed("planted", &[("pom.xml", &POM.replace("RESOURCES", "")), ("src/main/java/a/Main.java", MAIN)]);
    let deploy = ["--set", "toolchain.deploy=true"];
    let built = planted.build(&path(&maven), &deploy).await;
    built.succeeded();
    assert!(planted.server.file("maven/com/example/planted/1/planted-1.jar").is_file(), "it was deployed");
    assert_eq!(built.with_image().leaks(&planted.secrets), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_the_operator_s_comes_out_of_a_python_build() {
    let planted = Planted::new().await;
    let python = committed("planted-python", PYTHON);
    let built = planted.build(&path(&python), &[]).await;
    built.succeeded();
    let built = built.with_image();
    assert!(built.found.keys().any(|path| path.contains("slipway_extra/__init__.py")), "both indexes were used");
    assert_eq!(built.leaks(&planted.secrets), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_the_operator_s_comes_out_of_a_go_build() {
    let planted = Planted::new().await;
    let go = private_git("planted-go", GO);
    let built = planted.build(&go, &[GO_ARGS, &["--credentials", "services"]].concat()).await;
    built.succeeded();
    assert_eq!(built.with_image().leaks(&planted.secrets), [""; 0]);
}

/// A repository of the Git server that asks for a password; its URL.
fn private_git(name: &str, files: &[(&str, &str)]) -> String {
    let project = committed(name, files);
    let bare = Path::new(service("SLIPWAY_TEST_GIT_REPOSITORIES"))
        .join("private")
        .join(format!("{name}-{}.git", uuid::Uuid::now_v7()));
    crate::services::run(&project.path(), &["git", "clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    format!("{}/{}", service("SLIPWAY_TEST_GIT_PRIVATE"), bare.file_name().unwrap().to_str().unwrap())
}

/// People clone with a token in the place of the user's name.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_a_clone_s_origin_comes_out_of_a_build() {
    let mut planted = Planted::new().await;
    let token = format!("ghp{}", uuid::Uuid::now_v7().simple());
    let origin = format!("https://{token}@git.example.com/trade/order.git");
    planted.secrets.insert("origin".to_owned(), token);
    let script = "cat .git/config\n\
                  { echo '\"\"\"'; cat .git/config; echo '\"\"\"'; echo 'import time; time.sleep(60)'; } >/output/run\n";
    let project = committed("order", &[("build.sh", script)]);
    crate::services::run(&project.path(), &["git", "remote", "add", "origin", &origin]);
    let catalog = tempfile::tempdir().unwrap();
    let folder = catalog.path().join("toolchains/script");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("toolchain.toml"), crate::interrupt::SCRIPT).unwrap();
    let built = planted.build(&path(&project), &["--catalog", catalog.path().to_str().unwrap()]).await;
    built.succeeded();
    let built = built.with_image();
    let labels = String::from_utf8_lossy(&built.found["image configuration"]);
    assert!(labels.contains("\"https://git.example.com/trade/order.git\""), "{labels}");
    let run = built.found.iter().find(|(place, _)| place.ends_with("app/run")).expect("it is in a layer").1;
    assert!(String::from_utf8_lossy(run).contains("git.example.com"), "the project sees its origin");
    assert_eq!(built.leaks(&planted.secrets), [""; 0]);
}

/// `COPY . .` takes whatever lies there, so what looks like a secret does not lie there.
#[tokio::test(flavor = "multi_thread")]
async fn an_own_dockerfile_gets_no_secret_looking_files_by_either_backend() {
    let files = [
        ("Dockerfile", "FROM slipway/debian\nWORKDIR /src\nCOPY . .\nCMD [\"sleep\", \"60\"]\n"),
        (".dockerignore", "ignored.key\n"),
        ("slipway.toml", "include = [\"public.pem\"]\n"),
        (".env", "PASSWORD=x"),
        (".env.example", "PASSWORD="),
        ("config/tls.key", "x"),
        ("ignored.key", "x"),
        ("public.pem", "x"),
        ("run", "x"),
    ];
    let project = committed("own-files", &files);
    // The directory is read where it lies: Git's ignored files are not seen, and nothing in it is touched.
    std::fs::write(project.path().join(".git/info/exclude"), "built\n").unwrap();
    std::fs::write(project.path().join("built"), "x").unwrap();
    for backend in ["docker", "assembler"] {
        let (slipway, directory) = (Slipway::new(), tempfile::tempdir().unwrap());
        let archive = directory.path().join("image.tar").display().to_string();
        let (name, output) = (format!("own-{backend}"), format!("type=docker,dest={archive}"));
        let args = ["--image-backend", backend, "--name", &name, "--output", &output].map(str::to_owned);
        let run = slipway.build(&project.path(), &args).await;
        assert_eq!(run.code, 0, "{}", run.text());
        let warned = run.report["warnings"].as_array().unwrap().iter();
        let warned = warned.filter(|warning| warning["code"] == "secret_left_out");
        let paths: Vec<&str> = warned.map(|warning| warning["path"].as_str().unwrap()).collect();
        assert_eq!(paths, [".env", "config/tls.key"], "{backend}");
        let docker = |args: &[&str]| crate::services::run(Path::new("/"), &[&["docker"], args].concat());
        docker(&["load", "--quiet", "--input", &archive]);
        let image = run.report["image"]["references"][0].as_str().unwrap();
        let found = docker(&["run", "--rm", "--network", "none", image, "find", "/src", "-mindepth", "1"]);
        docker(&["image", "rm", "--force", image]);
        let mut found: Vec<&str> = found.lines().map(|path| path.trim_start_matches("/src/")).collect();
        found.sort_unstable();
        let expected = [".dockerignore", ".env.example", "Dockerfile", "config", "public.pem", "run", "slipway.toml"];
        assert_eq!(found, expected, "{backend}");
        for (path, text) in files {
            assert_eq!(std::fs::read_to_string(project.path().join(path)).unwrap(), text, "{backend}: {path}");
        }
    }
}

/// The search finds what a project leaks on purpose: its resources are the directory of the operator's files.
#[tokio::test(flavor = "multi_thread")]
async fn a_leak_is_found() {
    let planted = Planted::new().await;
    let leaking = POM.replace("RESOURCES", "<resources><resource><directory>/slipway</directory><includes><include>settings.xml</include></includes></resource></resources>");
    let project = committed("leaking", &[("pom.xml", &leaking), ("src/main/java/a/Main.java", MAIN)]);
    let built = planted.build(&path(&project), &[]).await;
    built.succeeded();
    let leaks = built.with_image().leaks(&planted.secrets);
    assert!(
        leaks.iter().any(|leak| leak.contains("`settings`") && leak.contains("settings.xml")),
        "what the project puts into its jar is found: {leaks:?}"
    );
    assert!(leaks.iter().all(|leak| leak.contains("`settings`")), "and nothing else is there to leak: {leaks:?}");
}
