//! Layers in, the merged file system out.

use super::*;

fn tree() -> Tree {
    let mut tree = Tree { passwd: "app:x:10001:10002::/:\n".into(), group: "staff:x:50:\n".into(), ..Tree::default() };
    let file = Kind::File(File { size: 0, inode: 1, place: Place::Layer(0, None) });
    let link = |to: &str| Kind::Link(to.into());
    for (path, kind) in [
        ("usr", Kind::Directory),
        ("usr/lib", Kind::Directory),
        ("lib", link("usr/lib")),
        ("var", Kind::Directory),
        ("var/run", link("/run")),
        ("a", link("b")),
        ("b", link("a")),
        ("file", file),
    ] {
        tree.put(path.into(), Node { kind, ..Node::directory(Attributes::USUAL) });
    }
    tree
}

#[test]
fn links_of_the_base_are_followed() {
    for (path, resolved) in
        [("lib/x", "usr/lib/x"), ("var/run/y", "run/y"), ("lib/../../z", "z"), ("new/lib", "new/lib"), ("", "")]
    {
        assert_eq!(tree().resolve(path.as_bytes()), Ok(resolved.into()), "{path}");
    }
    assert!(tree().resolve(b"a/x").is_err());
    assert!(tree().resolve(b"file/x").is_err());
}

#[test]
fn owners_have_numbers() {
    assert_eq!(tree().owner("app"), Ok((10001, 10002)));
    assert_eq!(tree().owner("app:staff"), Ok((10001, 50)));
    assert_eq!(tree().owner("7"), Ok((7, 7)));
    assert_eq!(tree().owner("7:8"), Ok((7, 8)));
    assert!(tree().owner("nobody").is_err() && tree().owner("app:none").is_err());
}

#[test]
fn whiteouts_remove() {
    let mut layer = tar::Builder::new(Vec::new());
    for path in ["usr/.wh.lib", "var/.wh..wh..opq", "etc/passwd"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        layer.append_data(&mut header, path, std::io::empty()).unwrap();
    }
    let mut tree = tree();
    tree.apply(layer.into_inner().unwrap().as_slice(), 1).unwrap();
    assert_eq!(tree.get(&"usr/lib".into()), None);
    assert_eq!(tree.get(&"var/run".into()), None);
    assert!(tree.is_directory(&"var".into()));
    assert!(tree.owner("app").is_err());
}

/// A layer of empty files.
fn files(paths: &[&str]) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    for path in paths {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        // As it is written, which the crate would not do.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        layer.append(&header, std::io::empty()).unwrap();
    }
    layer.into_inner().unwrap()
}

#[test]
fn a_layer_follows_no_link_of_those_below_it() {
    let mut tree = tree();
    tree.apply(files(&["lib/new", "var/../usr/lib/too", "var/run/.wh.gone"]).as_slice(), 4).unwrap();
    assert!(tree.is_directory(&"lib".into()) && tree.is_directory(&"var/run".into()));
    for there in ["lib/new", "usr/lib/too"] {
        assert!(tree.get(&there.into()).is_some(), "{there}");
    }
    for path in ["../x", "usr/../../x"] {
        let error = tree.apply(files(&[path]).as_slice(), 6).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("leads out of the image"), "{error}");
    }
}

#[test]
fn an_opaque_directory_keeps_what_came_before_in_its_layer() {
    let mut tree = tree();
    tree.apply(files(&["usr/lib/below", "usr/own/x"]).as_slice(), 1).unwrap();
    tree.apply(files(&["usr/own/y", "usr/.wh..wh..opq", "usr/z"]).as_slice(), 2).unwrap();
    let left: Vec<String> = tree.below(&"usr".into()).map(|(path, _)| path.shown()).collect();
    assert_eq!(left, ["usr/own/y", "usr/z"]);
}

#[test]
fn directories_that_no_entry_names_are_there() {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    layer.append_data(&mut header, "a/b/c", std::io::empty()).unwrap();
    let mut tree = Tree::default();
    tree.apply(layer.into_inner().unwrap().as_slice(), 1).unwrap();
    assert!(tree.is_directory(&"a/b".into()) && tree.children(&"a".into()).len() == 1);
}

#[test]
fn hard_links_are_names_of_one_file() {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    layer.append_data(&mut header, "one", b"1".as_slice()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    layer.append_link(&mut header, "two", "one").unwrap();
    let mut tree = Tree::default();
    tree.apply(layer.into_inner().unwrap().as_slice(), 3).unwrap();
    let files = ["one", "two"].map(|name| match &tree.get(&name.into()).unwrap().kind {
        Kind::File(file) => file.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(files[0].inode, files[1].inode);
    assert_eq!(files[1].place, Place::Layer(3, Some("one".into())));
}
