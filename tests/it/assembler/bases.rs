//! Generated base images: two layers of their own tar, with whiteouts, links, owners and attributes, loaded into the
//! Engine by `docker load`.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::images::docker;
use super::random::Random;

/// Where copies may go, and what stands there.
pub(crate) const DIRECTORIES: &[&str] =
    &["opt/app", "srv", "usr/lib", "var/lib/data", "home/app", "lib", "var/run", "tmp"];

/// What a base has of everything that makes copying hard.
pub(crate) fn load(random: &mut Random, directory: &Path, name: &str) {
    let mut lower = tar::Builder::new(Vec::new());
    for (path, mode, uid, gid) in [
        ("etc", 0o755, 0, 0),
        ("home", 0o755, 0, 0),
        ("home/app", 0o700, 10001, 10002),
        ("opt", 0o755, 0, 0),
        ("opt/app", 0o2750, 1000, 1001),
        ("opt/app/sub", 0o700, 1000, 1001),
        ("opt/gone", 0o755, 0, 0),
        ("run", 0o755, 0, 0),
        ("srv", 0o775, 0, 50),
        ("srv/replaced", 0o755, 0, 0),
        ("tmp", 0o1777, 0, 0),
        ("usr", 0o755, 0, 0),
        ("usr/lib", 0o755, 0, 0),
        ("var", 0o755, 0, 0),
        ("var/lib", 0o755, 0, 0),
        ("var/lib/data", 0o755, 7, 7),
    ] {
        entry(&mut lower, path, tar::EntryType::Directory, mode, (uid, gid), "");
    }
    entry(&mut lower, "etc/group", file(), 0o644, (0, 0), "root:x:0:\nstaff:x:50:\napp:x:10002:\n");
    entry(&mut lower, "etc/passwd", file(), 0o644, (0, 0), "root:x:0:0::/:\napp:x:10001:10002::/opt/app:\n");
    for number in 0..random.below(6) {
        let text = format!("base {number} {}", random.below(100));
        let directory = *random.pick(DIRECTORIES);
        let directory = if matches!(directory, "lib" | "var/run") { "usr/lib" } else { directory };
        entry(&mut lower, &format!("{directory}/base-{number}"), file(), 0o640, (number, 5), &text);
    }
    entry(&mut lower, "opt/gone/file", file(), 0o644, (0, 0), "deleted above");
    entry(&mut lower, "opt/app/old", file(), 0o4755, (0, 0), "setuid");
    entry(&mut lower, "opt/app/older", file(), 0o644, (0, 0), "deleted above");
    entry(&mut lower, "srv/replaced/file", file(), 0o644, (0, 0), "hidden");
    entry(&mut lower, "usr/lib/one", file(), 0o644, (3, 4), "two names");
    link(&mut lower, "usr/lib/two", tar::EntryType::Link, "usr/lib/one");
    link(&mut lower, "usr/lib/zwei", tar::EntryType::Link, "usr/lib/one");
    link(&mut lower, "lib", tar::EntryType::Symlink, "usr/lib");
    link(&mut lower, "var/run", tar::EntryType::Symlink, "/run");
    link(&mut lower, "opt/current", tar::EntryType::Symlink, "app");
    link(&mut lower, "opt/up", tar::EntryType::Symlink, "../srv");
    link(&mut lower, "opt/hidden", tar::EntryType::Symlink, "../srv");
    link(&mut lower, "opt/dangling", tar::EntryType::Symlink, "../srv/made-by-copy");
    let long = format!("usr/lib/{}/{}", "d".repeat(90), "f".repeat(120));
    entry(&mut lower, &long, file(), 0o644, (0, 0), "long");
    // A capability, as `setcap cap_net_bind_service=ep` writes it.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    lower.append_pax_extensions([("SCHILY.xattr.security.capability", &capability[..])]).unwrap();
    entry(&mut lower, "usr/lib/capable", file(), 0o755, (0, 0), "binds");

    let mut upper = tar::Builder::new(Vec::new());
    entry(&mut upper, "opt", tar::EntryType::Directory, 0o755, (0, 0), "");
    entry(&mut upper, "opt/.wh.gone", file(), 0o644, (0, 0), "");
    entry(&mut upper, "opt/app", tar::EntryType::Directory, 0o2750, (1000, 1001), "");
    entry(&mut upper, "opt/app/.wh.older", file(), 0o644, (0, 0), "");
    entry(&mut upper, "srv", tar::EntryType::Directory, 0o775, (0, 50), "");
    entry(&mut upper, "srv/replaced", file(), 0o644, (0, 0), "a file now");
    // Above a link, without an entry of its own; and what is hidden only after what the layer itself has.
    entry(&mut upper, "opt/hidden/made", file(), 0o644, (3, 4), "no link any more");
    link(&mut upper, "opt/hidden/too", tar::EntryType::Link, "opt/hidden/made");
    entry(&mut upper, "home", tar::EntryType::Directory, 0o755, (0, 0), "");
    entry(&mut upper, "home/app", tar::EntryType::Directory, 0o700, (10001, 10002), "");
    entry(&mut upper, "home/app/own", file(), 0o644, (0, 0), "stays");
    entry(&mut upper, "home/app/.wh..wh..opq", file(), 0o644, (0, 0), "");
    write(random, directory, name, &[lower.into_inner().unwrap(), upper.into_inner().unwrap()]);
}

fn write(random: &mut Random, directory: &Path, name: &str, layers: &[Vec<u8>; 2]) {
    let diff_ids: Vec<String> =
        layers.iter().map(|layer| format!("sha256:{}", hex::encode(Sha256::digest(layer)))).collect();
    let mut config = json!({ "Labels": { "from": "base" }, "Cmd": ["base"] });
    if random.one_in(2) {
        config["Env"] = json!(["PATH=/usr/bin", "OLD=old"]);
        config["WorkingDir"] = json!("/opt/app");
    }
    if random.one_in(3) {
        config["Entrypoint"] = json!(["/base"]);
        config["User"] = json!("app");
        config["Volumes"] = json!({ "/var/lib/data": {} });
    }
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": [{ "created_by": "lower" }, { "created_by": "nothing", "empty_layer": true }, { "created_by": "upper" }],
    });
    let mut archive = tar::Builder::new(Vec::new());
    let config = config.to_string();
    let config_name = format!("{}.json", hex::encode(Sha256::digest(&config)));
    entry(&mut archive, &config_name, file(), 0o644, (0, 0), &config);
    for (index, layer) in layers.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(layer.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{index}/layer.tar"), layer.as_slice()).unwrap();
    }
    let manifest = json!([{ "Config": config_name, "RepoTags": [name], "Layers": ["0/layer.tar", "1/layer.tar"] }]);
    entry(&mut archive, "manifest.json", file(), 0o644, (0, 0), &manifest.to_string());
    let path = directory.join("base.tar");
    std::fs::File::create(&path).unwrap().write_all(&archive.into_inner().unwrap()).unwrap();
    docker(&["load", "--quiet", "--input", path.to_str().unwrap()]);
}

pub(crate) fn file() -> tar::EntryType {
    tar::EntryType::Regular
}

pub(crate) fn entry(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    owner: (u64, u64),
    text: &str,
) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    header.set_mtime(1_000_000_000);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, path, text.as_bytes()).unwrap();
}

pub(crate) fn link(archive: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, to: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    // A hard link's header says the same as its file's, in archives that tools write.
    let (mode, uid, gid) = match (kind, to) {
        (tar::EntryType::Link, "d/setuid") => (0o4711, 55, 66),
        (tar::EntryType::Link, _) => (0o644, 3, 4),
        _ => (0o777, 0, 0),
    };
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_size(0);
    header.set_mtime(1_000_000_000);
    archive.append_link(&mut header, path, to).unwrap();
}
