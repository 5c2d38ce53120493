//! Generated cases: a context and a Dockerfile on one of the bases, by a seed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::bases::{DIRECTORIES, entry, file, link};
use super::random::Random;

/// A Dockerfile with what it uses.
pub(crate) struct Case {
    pub(crate) dockerfile: String,
    pub(crate) features: Vec<&'static str>,
    pub(crate) build_args: BTreeMap<String, String>,
    pub(crate) target: Option<String>,
}

type Maker = fn(&mut Random) -> String;

/// What a case may use; each stands for one instruction.
const FEATURES: &[(&str, Maker)] = &[
    ("a file", |random| format!("COPY plain {}", destination(random))),
    ("an executable to a file", |random| format!("COPY executable /{}/renamed", random.pick(DIRECTORIES))),
    ("a directory", |random| format!("COPY dir {}", destination(random))),
    ("the whole context", |random| format!("COPY . /all-{}/", random.below(3))),
    ("several sources", |random| format!("COPY plain executable dir {}/", destination(random).trim_end_matches('/'))),
    ("a wildcard", |random| {
        let pattern = *random.pick(&["w/*.txt", "w/?.txt", "*/deep", "w/[ab]*", "d*r", "w/*", "nosuch*"]);
        format!("COPY {pattern} {}/", destination(random).trim_end_matches('/'))
    }),
    ("an owner by number", |random| {
        format!("COPY --chown={}:{} dir {}", random.below(9), random.below(9), destination(random))
    }),
    ("an owner by name", |random| {
        let owner = *random.pick(&["app", "app:staff", "root:app", "app:7", "5:staff"]);
        format!("COPY --chown={owner} dir plain {}/", destination(random).trim_end_matches('/'))
    }),
    ("a mode", |random| {
        let mode = *random.pick(&["0750", "600", "4755", "1777", "0"]);
        format!("COPY --chmod={mode} {} {}", random.pick(&["plain", "dir", "executable"]), destination(random))
    }),
    ("a working directory", |random| {
        let path = *random.pick(&["/new/deep", "sub", "/lib/w", "/opt/app", "../up", "/var/run/w"]);
        format!("WORKDIR {path}\nCOPY plain .\nCOPY dir ./x/")
    }),
    ("through a link of the base", |random| {
        let to =
            *random.pick(&["/lib/", "/var/run/x/", "/opt/current/", "/opt/up/", "/opt/dangling", "/lib/new/deep/"]);
        format!("COPY plain {to}")
    }),
    ("a link as a source", |random| {
        format!(
            "COPY {} {}/",
            random.pick(&["to-file", "to-dir", "dir/inner", "to-dir/deep"]),
            destination(random).trim_end_matches('/')
        )
    }),
    ("an archive", |random| {
        let name = *random.pick(&["one.tar", "two.tar.gz", "odd-name", "plain"]);
        format!("ADD {name} {}/", destination(random).trim_end_matches('/'))
    }),
    ("an archive over the root", |random| format!("ADD {} /", random.pick(&["root.tar", "replace.tar"]))),
    ("an archive with an owner", |random| {
        format!("ADD --chown=8:9 one.tar {}/", destination(random).trim_end_matches('/'))
    }),
    ("files of the base image", |random| {
        let from = *random.pick(&[
            "/usr/lib",
            "/usr/lib/capable",
            "/opt/app",
            "/opt/app/old",
            "/lib/one",
            "/usr/lib/*",
            "/srv",
            "/home",
        ]);
        format!("COPY --from=BASE {from} {}/", destination(random).trim_end_matches('/'))
    }),
    ("files of a stage", |random| {
        let from = *random.pick(&["/made", "/made/plain", "/made/x", "/opt/current", "/made/*"]);
        let chown = *random.pick(&["", "--chown=6:7 "]);
        format!("COPY --from=first {chown}{from} {}/", destination(random).trim_end_matches('/'))
    }),
    ("over what is there", |random| {
        let to = *random.pick(&[
            "/opt/app/old",
            "/etc/passwd",
            "/srv/replaced",
            "/usr/lib/two",
            "/opt/app/sub",
            "/opt/current/x",
            "/opt/",
        ]);
        format!("COPY plain {to}")
    }),
    ("a directory over a directory", |random| {
        format!(
            "COPY {}tree/ /{}",
            random.pick(&["", "--chown=2:3 ", "--chmod=711 "]),
            random.pick(&["", "opt/", "opt/current"])
        )
    }),
    ("long names", |_| "COPY long/ /long/".to_owned()),
    ("names that are no text", |_| "COPY odd/ /odd/".to_owned()),
    ("variables", |random| {
        let default = *random.pick(&["${V:-none}", "$V", "${V:+set}", "\"a $V b\"", "\\$V", "'$V'"]);
        format!("ARG V=1\nENV E={default} F=$PATH\nENV G=$E-$OLD\nLABEL l=$E \"m n\"=\"$G\"\nCOPY plain /srv/$V-x")
    }),
    ("an argument of the builder", |_| {
        "ARG GIVEN=unset\nARG GLOBAL\nARG TARGETARCH\nLABEL given=$GIVEN global=$GLOBAL arch=$TARGETARCH".to_owned()
    }),
    ("ports", |random| format!("EXPOSE {}", random.pick(&["80", "53/udp 9000-9002", "80/tcp 80/udp", "1-3/sctp"]))),
    ("volumes", |random| format!("VOLUME {}", random.pick(&["/data", "[\"/a b\", \"/c\"]", "/a /b", "/var/lib/data"]))),
    ("a user", |random| format!("USER {}", random.pick(&["app", "10001", "app:staff", "1:2"]))),
    ("an entrypoint", |random| format!("ENTRYPOINT {}", random.pick(&["[\"/e\", \"$V\"]", "exec /e $HOME", "[]"]))),
    ("a command", |random| format!("CMD {}", random.pick(&["[\"/c\"]", "echo \"hello world\"", "[]"]))),
    ("a command and an entrypoint", |_| "CMD [\"before\"]\nENTRYPOINT [\"/e\"]".to_owned()),
    ("a health check", |random| {
        let flags = *random.pick(&["", "--interval=1m30s --retries=2 ", "--timeout=500ms --start-period=5s "]);
        format!(
            "HEALTHCHECK {}",
            random.pick(&["NONE".to_owned(), format!("{flags}CMD [\"/p\", \"x\"]"), format!("{flags}CMD p | q")])
        )
    }),
    ("a stop signal and a shell", |_| "STOPSIGNAL SIGINT\nSHELL [\"/bin/x\", \"-e\"]\nCMD shell form".to_owned()),
];

fn destination(random: &mut Random) -> String {
    match random.below(6) {
        0 => format!("/{}", random.pick(DIRECTORIES)),
        1 => format!("/{}/", random.pick(DIRECTORIES)),
        2 => format!("/{}/new/deep/", random.pick(DIRECTORIES)),
        3 => format!("/new-{}", random.below(3)),
        4 => format!("new-{}/", random.below(3)),
        _ => "./".to_owned(),
    }
}

/// The names of all features.
pub(crate) fn features() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|(name, _)| *name).chain([
        "a stage below",
        "a target",
        "ignored files",
        "arguments of the stage below",
    ])
}

/// Makes the case of a seed, its context in the directory.
pub(crate) fn case(seed: u64, base: &str, directory: &Path) -> Case {
    let random = &mut Random(seed);
    let mut used = Vec::new();
    let mut text = format!(
        "ARG GLOBAL=global\nFROM {base} AS first\nCOPY plain dir /made/\nCOPY --from={base} /usr/lib /made/x/\nENV STAGE=first\n\
        ARG BELOW=below SET=argument\nENV SET=environment\n"
    );
    let target = random.one_in(8).then(|| {
        used.push("a target");
        "wanted".to_owned()
    });
    let below = if random.one_in(4) {
        used.push("a stage below");
        "first"
    } else {
        base
    };
    text = format!("{text}FROM {below} AS wanted\n");
    for _ in 0..2 + random.below(5) {
        let (name, make) = random.pick(FEATURES);
        text += &make(random).replace("BASE", base);
        text.push('\n');
        used.push(*name);
    }
    // Drawn apart, so that the seeds above stay what they were.
    let later = &mut Random(seed + (1 << 32));
    if later.one_in(3) {
        text += match later.below(3) {
            0 => "",
            1 => "ARG BELOW\nARG SET\n",
            _ => "ARG BELOW=own SET=own\n",
        };
        text += "LABEL below=$BELOW set=$SET\nCOPY plain /srv/$BELOW-below\nMAINTAINER of the stage\n";
        used.push("arguments of the stage below");
    }
    if target.is_some() {
        text += "FROM scratch AS not-wanted\nCOPY plain /never\n";
    }
    context(random, directory, &mut used);
    used.sort_unstable();
    used.dedup();
    let build_args = BTreeMap::from([("GIVEN".to_owned(), format!("given {seed}"))]);
    Case { dockerfile: text, features: used, build_args, target }
}

fn context(random: &mut Random, root: &Path, used: &mut Vec<&'static str>) {
    write(root, "plain", &format!("plain {}", random.below(1000)), 0o644);
    write(root, "executable", "#!/bin/x", 0o755);
    write(root, "dir/deep", "deep", 0o600);
    write(root, "dir/sub/ünïcode and space", "u", 0o640);
    write(root, "dir/new\nline", "n", 0o755);
    for name in ["a.txt", "b.txt", "ab.txt", "c.dat", "b/inside.txt"] {
        write(root, &format!("w/{name}"), name, 0o644);
    }
    // Over the base's `opt/app/sub` and `srv`.
    write(root, "tree/app/sub/file", "t", 0o644);
    write(root, "tree/srv-file", "t", 0o644);
    let long = format!("long/{}/{}", "l".repeat(100), "ö".repeat(60));
    write(root, &long, "long", 0o644);
    write(root, &format!("long/{}", "m".repeat(99)), "99", 0o644);
    symlink(format!("../{}", "t".repeat(150)), root.join("long/link")).unwrap();
    let odd = root.join("odd").join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir_all(odd.parent().unwrap()).unwrap();
    fs::write(odd, "latin 1").unwrap();
    symlink("plain", root.join("to-file")).unwrap();
    symlink("dir", root.join("to-dir")).unwrap();
    symlink("../plain", root.join("dir/inner")).unwrap();
    symlink("nowhere", root.join("dir/dangling")).unwrap();
    archives(root);
    if random.one_in(3) {
        used.push("ignored files");
        let rules = *random.pick(&["**/*.dat\n", "w/b*\n!w/b/inside.txt\n", "*.tmp\ndir/sub\n"]);
        write(root, ".dockerignore", rules, 0o644);
        write(root, "x.tmp", "ignored", 0o644);
    }
    write(root, "Dockerfile", "", 0o644);
}

fn archives(root: &Path) {
    let directory = tar::EntryType::Directory;
    let mut one = tar::Builder::new(Vec::new());
    entry(&mut one, "d", directory, 0o750, (55, 66), "");
    entry(&mut one, "d/setuid", file(), 0o4711, (55, 66), "setuid");
    link(&mut one, "d/hard", tar::EntryType::Link, "d/setuid");
    link(&mut one, "d/soft", tar::EntryType::Symlink, "setuid");
    entry(&mut one, "parents/are/missing", file(), 0o600, (1, 2), "m");
    entry(&mut one, &format!("d/{}", "n".repeat(130)), file(), 0o644, (1, 2), "long");
    let one = one.into_inner().unwrap();
    fs::write(root.join("one.tar"), &one).unwrap();
    fs::write(root.join("odd-name"), &one).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &one).unwrap();
    fs::write(root.join("two.tar.gz"), gzip.finish().unwrap()).unwrap();
    let mut over = tar::Builder::new(Vec::new());
    entry(&mut over, "lib/through", file(), 0o644, (0, 0), "through the link");
    entry(&mut over, "opt", directory, 0o711, (3, 3), "");
    entry(&mut over, "opt/app/old", file(), 0o644, (4, 4), "replaced");
    fs::write(root.join("root.tar"), over.into_inner().unwrap()).unwrap();
    let mut replace = tar::Builder::new(Vec::new());
    entry(&mut replace, "opt/app", file(), 0o644, (0, 0), "was a directory");
    entry(&mut replace, "srv", file(), 0o644, (0, 0), "in between");
    entry(&mut replace, "srv", directory, 0o755, (0, 0), "");
    entry(&mut replace, "srv/new", file(), 0o644, (0, 0), "the old ones are gone");
    entry(&mut replace, "lib", directory, 0o755, (0, 0), "");
    entry(&mut replace, "lib/own", file(), 0o644, (0, 0), "no link any more");
    fs::write(root.join("replace.tar"), replace.into_inner().unwrap()).unwrap();
}

fn write(root: &Path, path: &str, text: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}
