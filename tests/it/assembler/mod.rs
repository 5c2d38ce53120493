//! Images that Slipway assembles are those that the Engine builds: file by file, setting by setting.

mod automatic;
mod bases;
mod cache;
mod differential;
mod generate;
mod hostile;
pub(crate) mod images;
mod layouts;
mod media_types;
mod pace;
mod random;
mod reproducible;
mod tools;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use slipway::image::assembler::AssemblerBackend;
use slipway::image::credentials::Credentials;
use slipway::image::docker::DockerBackend;
use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend, OwnedPath, RegistryAccess};
use slipway::model::failure::FailureCode;
use slipway::model::image_reference::ImageReference;
use tokio_util::sync::CancellationToken;

use self::images::{Images, configuration, differences, docker, files};
use crate::services::service;
use crate::support::project::Project;
use crate::support::slipway::Slipway;

/// A case: the instructions after `FROM`, and what the context is.
struct Case {
    name: &'static str,
    instructions: &'static str,
    generated: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "a generated image",
        instructions: "COPY layer-libraries/ /\nCOPY layer-application/ /\nENV HOME=\"/app\" A=\"$PATH x\"\nLABEL \"a.b\"=\"c \\\"d\\\"\"\nWORKDIR /app\nEXPOSE 8080/tcp\nVOLUME [\"/app/data\"]\nUSER 10001\nHEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD [\"/p\",\"http://x\"]\nENTRYPOINT [\"/app/x\",\"$HOME\"]",
        generated: true,
    },
    Case {
        name: "links of the base",
        instructions: "COPY plain /lib/plain\nCOPY dir/ /var/run/dir/\nCOPY plain /opt/app/deep/er/",
        generated: false,
    },
    Case {
        name: "owners and modes",
        instructions: "COPY --chown=app:staff dir/ /srv/owned/\nCOPY --chown=7 plain /srv/number\nCOPY --chmod=0750 executable /srv/executable\nCOPY --chown=app plain /opt/app/mine",
        generated: false,
    },
    Case {
        name: "places",
        instructions: "WORKDIR /w\nCOPY plain .\nWORKDIR sub\nCOPY plain executable ./\nCOPY plain renamed\nCOPY . /everything/\nCOPY dir /no-slash",
        generated: false,
    },
    Case {
        name: "over what is there",
        instructions: "COPY plain /etc/passwd\nCOPY dir/ /opt/app/\nCOPY plain /link",
        generated: false,
    },
    Case {
        name: "accounts that are replaced before they are named",
        instructions: "COPY accounts/passwd accounts/group /etc/\nCOPY --chown=later:crew plain /srv/later\nCOPY --chown=later dir/ /srv/own/",
        generated: false,
    },
    Case {
        name: "settings",
        instructions: "ARG V=1\nENV V2=${V:-none} OLD=new\nARG OLD=hidden\nLABEL v=$V o=$OLD\nEXPOSE 53/udp 9000-9002\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/x\",\"-e\"]\nCMD echo \"$V2\"\nENTRYPOINT [\"/e\"]\nUSER app:staff\nHEALTHCHECK NONE",
        generated: false,
    },
    Case {
        name: "an entrypoint ends the base's command",
        instructions: "ENTRYPOINT [\"/e\"]\nVOLUME /a /b",
        generated: false,
    },
];

fn write(root: &Path, path: &str, text: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A base with links where one copies to, a directory that is not root's, and accounts.
async fn base(directory: &Path, reference: &str) {
    let root = directory.join("layer-base");
    for (path, text) in [
        ("usr/lib/libc", "libc"),
        ("run/keep", ""),
        ("opt/app/old", "old"),
        ("etc/passwd", "root:x:0:0::/:\napp:x:10001:10002::/opt/app:\n"),
        ("etc/group", "root:x:0:\nstaff:x:50:\n"),
    ] {
        write(&root, path, text, 0o644);
    }
    symlink("usr/lib", root.join("lib")).unwrap();
    symlink("opt/app/old", root.join("link")).unwrap();
    fs::create_dir(root.join("var")).unwrap();
    symlink("/run", root.join("var/run")).unwrap();
    let owned = vec![OwnedPath { path: "/opt/app".into(), uid: 1000, gid: 1001 }];
    let context = BuildContext { root: directory.to_owned(), kind: ContextKind::Generated { owned } };
    let text = "FROM scratch\nCOPY layer-base/ /\nENV PATH=/usr/bin OLD=old\nLABEL from=base\nWORKDIR /opt/app\nCMD [\"base\"]\n";
    let mut spec = BuildSpec::new(context, text);
    spec.references = vec![format!("localhost/{reference}").parse().unwrap()];
    DockerBackend::default().build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap();
    docker(&["tag", &format!("localhost/{reference}"), reference]);
}

fn context(directory: &Path, generated: bool) -> BuildContext {
    if generated {
        write(directory, "layer-libraries/app/lib/a.jar", "library", 0o644);
        write(directory, "layer-application/app/x", "application", 0o755);
        write(directory, "layer-application/app/data/.keep", "", 0o644);
        let long = format!("layer-application/app/{}/{}", "d".repeat(120), "f".repeat(150));
        write(directory, &long, "long", 0o644);
        let owned = vec![OwnedPath { path: "/app/data".into(), uid: 10001, gid: 10001 }];
        return BuildContext { root: directory.to_owned(), kind: ContextKind::Generated { owned } };
    }
    write(directory, "Dockerfile", "", 0o644);
    write(directory, "plain", "plain", 0o644);
    write(directory, "executable", "executable", 0o755);
    write(directory, "dir/a/b", "b", 0o644);
    write(directory, "dir/ünïcode and space", "u", 0o644);
    write(directory, "dir/new\nline", "n", 0o644);
    symlink("a/b", directory.join("dir/link")).unwrap();
    write(directory, "secret.pem", "ignored", 0o644);
    write(directory, "accounts/passwd", "root:x:0:0::/:\nlater:x:3001:3002::/:\n", 0o644);
    write(directory, "accounts/group", "root:x:0:\ncrew:x:3003:\n", 0o644);
    write(directory, ".dockerignore", "*.pem\n", 0o644);
    BuildContext { root: directory.to_owned(), kind: ContextKind::Repository { dockerfile: "Dockerfile".into() } }
}

fn unique() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_assembled_is_what_the_engine_builds() {
    let directory = tempfile::tempdir().unwrap();
    let run = unique();
    let base_name = format!("slipway/test-base-{run}:1");
    let mut images = Images(vec![base_name.clone(), format!("localhost/{base_name}")]);
    base(&directory.path().join("base"), &base_name).await;
    let assembler = AssemblerBackend::new(directory.path().join("images"), None);
    let cancel = CancellationToken::new();
    let mut different = Vec::new();
    for (index, case) in CASES.iter().enumerate() {
        let context = context(&directory.path().join(format!("context-{index}")), case.generated);
        let mut spec = BuildSpec::new(context, format!("FROM {base_name}\n{}\n", case.instructions));
        spec.labels.insert("beside".into(), "the Dockerfile".into());
        let by = |who: &str| format!("localhost/slipway-test/{who}-{run}:{index}");
        let (engine, own) = (by("engine"), by("own"));
        images.0.extend([engine.clone(), own.clone()]);
        spec.references = vec![engine.parse().unwrap()];
        DockerBackend::default()
            .build(&spec, &|_| {}, &cancel)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let reference: ImageReference = own.parse().unwrap();
        let built =
            assembler.build(&spec, &|_| {}, &cancel).await.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let archive = directory.path().join("image.tar");
        assembler.save(&built, &[reference], &archive, &cancel).await.unwrap();
        docker(&["load", "--quiet", "--input", archive.to_str().unwrap()]);
        assert_eq!(
            docker(&["image", "inspect", "--format", "{{.Id}}", &own]).trim(),
            built.id.as_str(),
            "{}",
            case.name
        );
        different.extend(differences(&engine, &own).iter().map(|difference| format!("{}: {difference}", case.name)));
    }
    different.dedup();
    assert!(different.is_empty(), "{} differences:\n{}", different.len(), different.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_gives_the_same_digest_and_is_pushed_once() {
    let directory = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let account = Credentials::password(service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD"));
    let access = RegistryAccess { credentials: Some(account), ..RegistryAccess::default() };
    let run = unique();
    let repository = format!("{}/slipway-test/assembled-{run}", service("SLIPWAY_TEST_REGISTRY"));
    let mut digests = Vec::new();
    for place in ["one", "two"] {
        let context = context(&directory.path().join(place), true);
        write(&directory.path().join(place), "layer-libraries/app/lib/b.jar", &run, 0o644);
        let text = "FROM scratch\nCOPY layer-libraries/ /\nCOPY layer-application/ /\nCMD [\"/app/x\"]\n";
        // Each with a store of its own: nothing is known from before.
        let assembler = AssemblerBackend::new(directory.path().join(format!("images-{place}")), None);
        let built = assembler.build(&BuildSpec::new(context, text), &|_| {}, &cancel).await.unwrap();
        let tags: Vec<ImageReference> =
            ["1", "2"].iter().map(|tag| format!("{repository}:{tag}").parse().unwrap()).collect();
        let published = assembler.push(&built, &tags, &access, &|_| {}, &cancel).await.unwrap();
        assert_eq!(published.references, tags);
        assert!(published.layers.iter().all(|layer| layer.reused == (place == "two")), "{published:?}");
        digests.push(published.digest);
    }
    assert_eq!(digests[0], digests[1]);

    // As a base from the registry, by its digest, and mounted from there.
    let base = format!("{repository}@{}", digests[0]);
    let text = format!("FROM {base}\nCOPY layer-application/app/x /y\n");
    let mut spec = BuildSpec::new(context(&directory.path().join("one"), true), text);
    let registry = service("SLIPWAY_TEST_REGISTRY").to_owned();
    spec.credentials.insert(registry.clone(), access.credentials.clone().unwrap());
    let assembler = AssemblerBackend::new(directory.path().join("images-three"), None);
    let built = assembler.build(&spec, &|_| {}, &cancel).await.unwrap();
    let tag: ImageReference = format!("{registry}/slipway-test/derived-{run}:1").parse().unwrap();
    let published = assembler.push(&built, &[tag], &access, &|_| {}, &cancel).await.unwrap();
    let reused: Vec<bool> = published.layers.iter().map(|layer| layer.reused).collect();
    assert_eq!(reused, [true, true, false]);

    let wrong =
        RegistryAccess { credentials: Some(Credentials::password("slipway", "wrong")), ..RegistryAccess::default() };
    let tag: ImageReference = format!("{registry}/slipway-test/refused-{run}:1").parse().unwrap();
    let denied = assembler.push(&built, &[tag], &wrong, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(denied.code, FailureCode::RegistryUnauthorized, "{denied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_example_is_the_same_by_both() {
    let project = Project::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prebuilt"));
    project.commit();
    let directory = tempfile::tempdir().unwrap();
    let mut images = Images(Vec::new());
    let mut made = Vec::new();
    for backend in ["docker", "assembler"] {
        let archive = directory.path().join(format!("{backend}.tar"));
        let output = format!("type=docker,dest={}", archive.display());
        let args = ["--image-backend", backend, "--output", &output, "--tag", backend].map(str::to_owned);
        let run = Slipway::new().build(&project.path(), &args).await;
        assert_eq!(run.code, 0, "{}", run.text());
        docker(&["load", "--quiet", "--input", archive.to_str().unwrap()]);
        let reference = run.report["image"]["references"][0].as_str().unwrap().to_owned();
        made.push((files(&reference), configuration(&reference)));
        images.0.push(reference);
    }
    assert_eq!(made[0], made[1]);
}

/// The Engine that tests have knows no `--link`: the rule is the Dockerfile reference's.
#[tokio::test(flavor = "multi_thread")]
async fn a_linked_copy_follows_no_link_of_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let assembler = AssemblerBackend::new(directory.path().join("images"), None);
    let (cancel, run) = (CancellationToken::new(), unique());
    let mut images = Images(Vec::new());
    let mut found = Vec::new();
    for link in ["", "--link", "--link=false"] {
        let context = context(&directory.path().join(format!("context{link}")), false);
        symlink("usr/lib", context.root.join("dir/lib")).unwrap();
        let text = format!(
            "FROM scratch\nCOPY dir/ /\nCOPY --chown=7 dir/a /opt/\nCOPY {link} plain /lib/\nCOPY {link} executable /opt/\nCOPY plain /lib/later\n"
        );
        let built = assembler.build(&BuildSpec::new(context, text), &|_| {}, &cancel).await.unwrap();
        let reference = format!("localhost/slipway-test/linked-{run}:{}", found.len());
        images.0.push(reference.clone());
        let archive = directory.path().join("image.tar");
        assembler.save(&built, &[reference.parse().unwrap()], &archive, &cancel).await.unwrap();
        docker(&["load", "--quiet", "--input", archive.to_str().unwrap()]);
        let files = files(&reference);
        let is_there = |path: &str| files.keys().any(|name| name.trim_matches('/') == path);
        found.push(["lib/plain", "usr/lib/plain", "lib/later", "usr/lib/later"].map(is_there));
    }
    assert_eq!(found, [[false, true, false, true], [true, false, true, false], [false, true, false, true]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_assembled_names_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let assembler = AssemblerBackend::new(directory.path().join("images"), None);
    for (instructions, code) in [
        ("RUN true", FailureCode::DockerfileUnsupported),
        ("COPY --parents plain /x", FailureCode::DockerfileUnsupported),
        ("COPY [ab /x/", FailureCode::ImageFailed),
        ("COPY plain executable /x", FailureCode::ImageFailed),
        ("ONBUILD USER 1", FailureCode::DockerfileUnsupported),
        ("ADD https://example.com/x /", FailureCode::DockerfileUnsupported),
        ("COPY nosuch /", FailureCode::ImageFailed),
        ("COPY ../plain /", FailureCode::ImageFailed),
        ("COPY --chown=nobody plain /", FailureCode::ImageFailed),
        ("COPY secret.pem /", FailureCode::ImageFailed),
        ("COPY round /x", FailureCode::ImageFailed),
        ("COPY plain/x /x", FailureCode::ImageFailed),
    ] {
        let context = context(&directory.path().join("context"), false);
        symlink("round", context.root.join("round")).unwrap();
        let spec = BuildSpec::new(context, format!("FROM scratch\n{instructions}\n"));
        let failure = assembler.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap_err();
        assert_eq!((failure.code, failure.places[0].line), (code, Some(2)), "{instructions}: {failure}");
        let _ = fs::remove_dir_all(directory.path().join("context"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_refused_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let assembler = AssemblerBackend::new(directory.path().join("images"), None);
    for (program, kind) in [("mkfifo", &["pipe"][..]), ("mknod", &["pipe", "c", "1", "3"])] {
        let context = context(&directory.path().join(program), false);
        let made = std::process::Command::new(program).args(kind).current_dir(&context.root).status().unwrap();
        assert!(made.success(), "{program}");
        let spec = BuildSpec::new(context, "FROM scratch\nCOPY . /x/\n");
        let failure = assembler.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::SourceUnusable, "{failure}");
        assert_eq!(failure.places[0].path, "pipe", "{failure}");
    }
}
