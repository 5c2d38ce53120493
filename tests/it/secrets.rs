//! A distinct secret in every setting of the operator's, real builds of three toolchains with all of them, and a search
//! for each secret, in every form, through everything that comes out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::services::service;
use crate::support::private::{PrivatePackages, USER};
use crate::support::project::Project;
use crate::support::slipway::{PRODUCT_LINE, Slipway};

/// Where secrets are planted. Git and the registry share the account of the test services.
const PLACES: &[&str] = &["simple", "go", "maven", "settings", "proxy", "ca-key"];

/// The operator's configuration with a secret in each place, and the server that asks for them.
struct Planted {
    directory: tempfile::TempDir,
    secrets: BTreeMap<String, String>,
    server: PrivatePackages,
    cache: String,
}

impl Planted {
    async fn new() -> Self {
        let mut secrets = BTreeMap::new();
        for place in PLACES {
            // With characters that every encoding changes.
            let unique = uuid::Uuid::now_v7().simple().to_string();
            secrets.insert((*place).to_owned(), format!("{place}+{unique}/a&b=?"));
        }
        secrets.insert("services".to_owned(), service("SLIPWAY_TEST_PASSWORD").to_owned());
        let simple = secrets["simple"].clone();
        let passwords =
            [("simple", &*simple), ("extra", &*simple), ("go", &*secrets["go"]), ("maven", &*secrets["maven"])];
        let server = PrivatePackages::start(&passwords).await;
        let directory = tempfile::tempdir().unwrap();
        let cache = format!("{}/slipway-cache", env!("CARGO_TARGET_TMPDIR"));
        let planted = Self { directory, secrets, server, cache };
        planted.write("settings.xml", &format!(
            "<settings><servers><server><id>nexus</id><username>{USER}</username><password>{}</password></server></servers></settings>",
            planted.secrets["settings"].replace('&', "&amp;")
        ));
        let bundle = std::fs::read_to_string(planted.server.ca_bundle()).unwrap();
        let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", planted.secrets["ca-key"]);
        planted.write("bundle.pem", &format!("{key}{bundle}"));
        for (place, secret) in &planted.secrets {
            planted.write(place, secret);
        }
        planted
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn config(&self) -> String {
        let (server, registry) = (&self.server, service("SLIPWAY_TEST_REGISTRY"));
        let git = service("SLIPWAY_TEST_GIT_PRIVATE").split('/').nth(2).unwrap();
        let at = |name: &str| self.directory.path().join(name).display().to_string();
        let mut text = format!(
            "[registry]\nhost = {registry:?}\ncredentials = \"services\"\n\
             [cache]\ndirectory = {cache:?}\n\
             [network]\nca_bundle = {bundle:?}\nhttp_proxy = \"http://{USER}:{proxy}@127.0.0.1:9\"\n\
             no_proxy = \"127.0.0.1,{address}\"\n\
             [mirrors]\nmaven_settings = {settings:?}\n\
             maven_deploy = {{ url = {maven:?}, credentials = \"maven\" }}\n\
             python_index = {{ url = {simple:?}, credentials = \"simple\" }}\n\
             python_extra_indexes = [{{ url = {extra:?}, credentials = \"simple\" }}]\n\
             go_proxy = {{ url = {go:?}, credentials = \"go\" }}\ngo_no_sumdb = [\"example.com/*\"]\n",
            cache = self.cache,
            bundle = at("bundle.pem"),
            settings = at("settings.xml"),
            proxy = percent(&self.secrets["proxy"]),
            address = service("SLIPWAY_TEST_BRIDGE"),
            maven = server.url("maven"),
            simple = server.url("simple"),
            extra = server.url("extra"),
            go = server.url("go"),
        );
        for name in ["simple", "go", "maven", "services"] {
            let user = if name == "services" { service("SLIPWAY_TEST_USER") } else { USER };
            let _ = write!(
                text,
                "[credentials.{name}]\nusername = {user:?}\npassword = {{ file = {:?} }}\n\
                 hosts = [{:?}, {registry:?}, {git:?}]\nproduct_lines = [{PRODUCT_LINE:?}]\n",
                at(name),
                server.host(),
            );
        }
        text
    }

    /// Builds and pushes; gives everything that came out, by where.
    async fn build(&self, source: &str, args: &[&str]) -> Outcome {
        let mut all = ["build", "-vv", "--format", "jsonl", "--product-line", PRODUCT_LINE].map(str::to_owned).to_vec();
        all.extend((!args.contains(&"--untrusted")).then(|| "--push".to_owned()));
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        all.push(source.to_owned());
        let slipway = Slipway::new();
        let mut command = slipway.command(&all);
        slipway.replace_config(&self.config());
        let output = command.output().await.unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let report: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap_or("null")).unwrap();
        let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        found.insert("standard error".to_owned(), output.stderr);
        found.insert("events and report".to_owned(), stdout.into_bytes());
        Outcome { report, found }
    }
}

/// Everything that came out of a build.
struct Outcome {
    report: serde_json::Value,
    found: BTreeMap<String, Vec<u8>>,
}

impl Outcome {
    #[track_caller]
    fn succeeded(&self) {
        let said = String::from_utf8_lossy(&self.found["standard error"]);
        assert_eq!(self.report["outcome"], "succeeded", "{:#}\n{said}", self.report);
    }

    /// Adds the image: its configuration, its history, and every file of the layers above its base.
    fn with_image(mut self) -> Self {
        let reference = self.report["image"]["references"][0].as_str().expect("there is an image").to_owned();
        let docker = |args: &[&str]| {
            let output = Command::new("docker").args(args).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        self.found.insert("image configuration".to_owned(), docker(&["image", "inspect", &reference]));
        self.found.insert("history".to_owned(), docker(&["image", "history", "--no-trunc", &reference]));
        let dockerfile = self.report["dockerfile"].as_str().unwrap_or_default();
        self.found.insert("Dockerfile".to_owned(), dockerfile.as_bytes().to_vec());
        let base = self.report["image"]["base"].as_str().unwrap();
        let layers = |image: &str| -> Vec<String> {
            serde_json::from_slice(&docker(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", image]))
                .unwrap()
        };
        let below = if base == "scratch" { 0 } else { layers(base).len() };
        assert!(layers(&reference).len() > below, "the image has layers of its own");
        for (name, bytes) in layer_files(&docker(&["image", "save", &reference]), below) {
            self.found.insert(name, bytes);
        }
        docker(&["image", "rm", "--force", &reference]);
        self
    }

    /// Where secrets are, and in which form.
    fn leaks(&self, secrets: &BTreeMap<String, String>) -> Vec<String> {
        let mut leaks = Vec::new();
        for (place, bytes) in &self.found {
            let text = String::from_utf8_lossy(bytes);
            for (name, secret) in secrets {
                let forms = forms(secret).into_iter().filter(|(_, form)| text.contains(form.as_str()));
                leaks.extend(forms.map(|(form, _)| format!("the secret of `{name}` is in {place}, {form}")));
            }
        }
        leaks
    }
}

/// Files of the layers over the lowest ones of a `docker save`; archives in them are opened.
fn layer_files(saved: &[u8], below: usize) -> Vec<(String, Vec<u8>)> {
    let mut entries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in tar::Archive::new(saved).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        entries.insert(path, bytes);
    }
    let manifest: serde_json::Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    let mut files = Vec::new();
    for layer in manifest[0]["Layers"].as_array().unwrap().iter().skip(below) {
        for entry in tar::Archive::new(&*entries[layer.as_str().unwrap()]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
            entry.read_to_end(&mut bytes).unwrap();
            if let Ok(mut archive) = zip::ZipArchive::new(std::io::Cursor::new(&bytes)) {
                for index in 0..archive.len() {
                    let mut inner = Vec::new();
                    let mut file = archive.by_index(index).unwrap();
                    file.read_to_end(&mut inner).unwrap();
                    let name = file.name().map(std::borrow::Cow::into_owned).unwrap_or_default();
                    files.push((format!("the layer's {path}!{name}"), inner));
                }
            }
            files.push((format!("the layer's {path}"), bytes));
        }
    }
    files
}

/// The forms of a secret that tools write.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![
        ("as it is", secret.to_owned()),
        ("percent-encoded", percent(secret)),
        ("as XML", secret.replace('&', "&amp;")),
        ("as JSON", secret.replace('/', "\\/")),
        ("as JSON of Go's", secret.replace('&', "\\u0026")),
    ];
    // Inside longer data a value stands at one of three offsets; of each, what depends on the value alone.
    for offset in 0..3_usize {
        let bytes = [vec![0; offset], secret.as_bytes().to_vec()].concat();
        let (from, to) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(("as base64", text[from..to].to_owned()));
        }
    }
    forms
}

fn percent(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

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

/// What a mirror refuses is the operator's to mend, and the failure says so by the setting's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_refuses_the_account_is_named_with_its_credentials() {
    let planted = Planted::new().await;
    planted.write("settings.xml", &format!(
        "<settings><servers><server><id>nexus</id><username>{USER}</username><password>another-password</password></server></servers>\
         <mirrors><mirror><id>nexus</id><mirrorOf>*</mirrorOf><url>{}</url></mirror></mirrors></settings>",
        planted.server.url("maven")
    ));
    let unique = format!("refused-{}", uuid::Uuid::now_v7().simple());
    // A plugin of a version that no cache has.
    let pom = POM.replace("RESOURCES", "").replace(
        "<artifactId>maven-jar-plugin</artifactId>",
        "<artifactId>maven-jar-plugin</artifactId><version>0.0.1-slipway</version>",
    );
    let maven = committed(&unique, &[("pom.xml", &pom), ("src/main/java/a/Main.java", MAIN)]);
    let built = planted.build(&path(&maven), &[]).await;
    let failure = &built.report["failure"];
    let hint = failure["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("`mirrors.maven_settings`") && hint.contains("refuses the account"), "{failure:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_and_a_proxy_that_refuse_the_account_are_named_likewise() {
    let mut planted = Planted::new().await;
    // What other builds have brought would be there without asking.
    let cache = tempfile::tempdir().unwrap();
    planted.cache = cache.path().display().to_string();
    for place in ["simple", "go"] {
        planted.write(place, "another-password");
    }
    let python = committed("refused-python", PYTHON);
    let go = committed("refused-go", GO);
    for (project, args, setting) in
        [(python, [].as_slice(), "`mirrors.python_index`"), (go, GO_ARGS, "`mirrors.go_proxy`")]
    {
        let built = planted.build(&path(&project), args).await;
        let failure = &built.report["failure"];
        let hint = failure["hint"].as_str().unwrap_or_default();
        assert!(hint.contains(setting) && hint.contains("refuse"), "{failure:#}");
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

/// The same project as above and worse, without anybody who vouches for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_vouches_for_sees_no_secret_and_leaves_nothing() {
    let mut planted = Planted::new().await;
    let cache = tempfile::tempdir().unwrap();
    planted.cache = cache.path().display().to_string();
    let curious = "<resources><resource><directory>/slipway</directory></resource>\
        <resource><directory>/home</directory></resource>\
        <resource><directory>seen</directory><filtering>true</filtering></resource></resources>";
    let project = committed(
        "curious",
        &[
            ("pom.xml", &POM.replace("RESOURCES", curious)),
            ("src/main/java/a/Main.java", MAIN),
            ("seen/proxies", "${env.http_proxy} ${env.HTTP_PROXY}\n"),
            (".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib.git\n"),
        ],
    );
    let deploy = ["--untrusted", "--set", "toolchain.deploy=true"];
    let built = planted.build(&path(&project), &deploy).await;
    built.succeeded();
    assert_eq!(built.report["image"]["pushed"], false, "{:#}", built.report);
    let steps: Vec<&str> =
        built.report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["checkout", "plan", "checkout", "compile", "dockerfile", "image"]);
    assert!(!planted.server.file("maven/com/example/planted/1/planted-1.jar").is_file(), "nothing is deployed");
    let built = built.with_image();
    let seen = |name: &str| {
        let (_, bytes) = built.found.iter().find(|(place, _)| place.ends_with(name)).expect("the project looked");
        String::from_utf8_lossy(bytes).into_owned()
    };
    assert!(seen("settings.xml").contains("<id>nexus</id>"), "{}", seen("settings.xml"));
    assert!(seen("proxies").contains("http://127.0.0.1:9/"), "{}", seen("proxies"));
    assert_eq!(built.leaks(&planted.secrets), [""; 0]);
    assert!(!cache.path().join("toolchains").exists(), "no cache is there for the next build");
    assert_eq!(std::fs::read_dir(cache.path().join("workspaces")).unwrap().count(), 0);
}

/// Commands on the machine itself read what the account may read.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_vouches_for_runs_in_containers_alone() {
    let project = committed(
        "curious",
        &[("go.mod", "module example.com/curious\n\ngo 1.24\n"), ("main.go", "package main\n\nfunc main() {}\n")],
    );
    let refused = Slipway::new().build(&project.path(), &["--untrusted", "--runner", "host"].map(str::to_owned)).await;
    assert_eq!(
        (refused.code, &refused.report["failure"]["code"]),
        (1, &"source_forbidden".into()),
        "{}",
        refused.text()
    );
    let own = committed("curious", &[("Dockerfile", "FROM slipway/debian\nRUN id\nCMD [\"sleep\", \"60\"]\n")]);
    let refused = Slipway::new().build(&own.path(), &["--untrusted".to_owned()]).await;
    assert_eq!(
        (refused.code, &refused.report["failure"]["code"]),
        (1, &"toolchain_forbidden".into()),
        "{}",
        refused.text()
    );
}

#[test]
fn every_form_of_a_secret_is_searched() {
    let secret = "p+1/a&b=?";
    let secrets = BTreeMap::from([("x".to_owned(), secret.to_owned())]);
    let base64 = base64::engine::general_purpose::STANDARD;
    for text in [
        format!("password={secret}"),
        format!("https://ada:{}@host/", percent(secret)),
        base64.encode(format!("ada:{secret}")),
        base64.encode(format!("{{\"password\":\"{secret}\"}}")),
        URL_SAFE_NO_PAD.encode(format!("a{secret}z")),
        "p+1/a&amp;b=?".to_owned(),
    ] {
        let found = BTreeMap::from([("text".to_owned(), text.clone().into_bytes())]);
        let outcome = Outcome { report: serde_json::Value::Null, found };
        assert!(!outcome.leaks(&secrets).is_empty(), "{text}");
    }
}
