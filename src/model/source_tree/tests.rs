//! Listings in, what planning sees of them out.

use super::*;

#[test]
fn join_stays_inside() {
    assert_eq!(join("a/b", "../c").as_deref(), Some("a/c"));
    assert_eq!(join("", "./x//y").as_deref(), Some("x/y"));
    assert_eq!(join("a", "../../c"), None);
    assert_eq!(join("a", "/etc/passwd"), None);
}

#[test]
fn a_missing_text_is_wanted_once_it_exists() {
    let mut tree =
        SourceTree::new([("a/pom.xml".to_owned(), Entry { kind: EntryKind::File, executable: false, size: 3 })]);
    assert_eq!(tree.text("nothing"), None);
    assert!(tree.take_wanted().is_empty());
    assert_eq!(tree.text("a/pom.xml"), None);
    assert_eq!(tree.take_wanted().texts.into_iter().collect::<Vec<_>>(), ["a/pom.xml"]);
    assert_eq!(tree.changed("a/pom.xml"), None);
    assert_eq!(tree.take_wanted().changes.into_iter().collect::<Vec<_>>(), ["a/pom.xml"]);
    tree.set_changed("a/pom.xml", None);
    assert_eq!(tree.changed("a/pom.xml"), None);
    assert!(tree.take_wanted().is_empty());
    assert!(tree.has_directory("a") && !tree.has_directory("b"));
}

#[test]
fn what_is_made_of_a_text_is_made_once() {
    let mut tree = SourceTree::of_texts([("a.py", "abc")]);
    assert_eq!(tree.derived("a.py", str::len).as_deref(), Some(&3));
    assert_eq!(tree.derived("a.py", |_| 0_usize).as_deref(), Some(&3));
    assert_eq!(tree.derived("a.py", str::to_owned).as_deref(), Some(&"abc".to_owned()));
    tree.set_text("a.py", Text::Utf8("abcd".into()));
    assert_eq!(tree.derived("a.py", str::len).as_deref(), Some(&4));
    assert!(tree.derived("b.py", str::len).is_none());
}

#[test]
fn many_are_made_several_at_a_time_and_each_once() {
    let names: Vec<String> = (0..40).map(|n| format!("{n}.py")).collect();
    let texts: Vec<String> = (0..40).map(|n| n.to_string().repeat(LITTLE / 20)).collect();
    let files = names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str()));
    let tree = SourceTree::of_texts(files);
    tree.derived("7.py", |_| (String::new(), 0_usize));
    let paths = || names.iter().map(String::as_str).chain(["gone.py"]);
    let length = |path: &str, text: &str| (path.to_owned(), text.len());
    let found = tree.derived_each(paths(), length);
    let expected = names.iter().zip(&texts).map(|(name, text)| (name.clone(), text.len()));
    let expected = expected.map(|one| if one.0 == "7.py" { (String::new(), 0) } else { one });
    assert!(found.iter().map(|(_, made)| (**made).clone()).eq(expected));
    assert!(found.iter().map(|(path, _)| *path).eq(names.iter().map(String::as_str)));
    let again = tree.derived_each(paths(), |_, _| (String::new(), 1_usize));
    assert_eq!(again, found);
    assert!(tree.take_wanted().is_empty(), "`gone.py` is not there");
}

#[test]
fn below_takes_no_sibling_with_the_same_prefix() {
    let tree = SourceTree::of_texts([("a/x", ""), ("a-b/y", ""), ("a/b/z", "")]);
    assert_eq!(tree.below("a").map(|(path, _)| path).collect::<Vec<_>>(), ["a/b/z", "a/x"]);
    assert_eq!(tree.files_in("a").collect::<Vec<_>>(), ["a/x"]);
}

#[test]
fn files_in_leaves_out_what_lies_deeper() {
    let paths = ["a", "b/1/x", "b/1/y/z", "b/10", "b/1a/x", "b/2", "b/3/x", "b0", "c"];
    let tree = SourceTree::of_texts(paths.map(|path| (path, "")));
    assert_eq!(tree.files_in("b").collect::<Vec<_>>(), ["b/10", "b/2"]);
    assert_eq!(tree.files_in("").collect::<Vec<_>>(), ["a", "b0", "c"]);
    assert_eq!(tree.files_in("b/1/y").collect::<Vec<_>>(), ["b/1/y/z"]);
    assert_eq!(tree.files_in("d").count(), 0);
}
