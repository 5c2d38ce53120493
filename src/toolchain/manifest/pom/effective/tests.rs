//! Poms in, their effective model out.

use super::*;
use crate::model::source_tree::SourceTree;
use crate::toolchain::manifest::pom::wrapper::Invocation;

fn model(args: &[&str], files: &[(&str, &str)]) -> Effective {
    let tree = SourceTree::of_texts(files.iter().copied());
    let facts = toml::Table::new();
    let poms = Poms::new(&tree, &facts, Invocation::of(args.iter().copied()), None);
    let pom = poms.load(files[0].0).unwrap().unwrap();
    Effective::of(&poms, &pom, &[]).unwrap()
}

#[test]
fn a_chain_of_properties_names_the_place_that_says_it() {
    let child = "<project><artifactId>m</artifactId><parent><groupId>g</groupId><artifactId>p</artifactId><version>${revision}</version></parent><packaging>jar</packaging></project>";
    let parent = "<project><groupId>g</groupId><artifactId>p</artifactId><version>${revision}</version><properties>\n<revision>1.2</revision>\n<java>11</java>\n<maven.compiler.release>${java}</maven.compiler.release></properties></project>";
    let found = model(&[], &[("m/pom.xml", child), ("pom.xml", parent)]);
    assert_eq!((found.group.as_str(), found.version.as_str()), ("g", "1.2"));
    let release = found.property("maven.compiler.release").unwrap().unwrap();
    assert_eq!((release.value.as_str(), release.origin.line), ("11", Some(3)));
    assert_eq!(found.final_name().unwrap().as_deref(), Some("m-1.2"));
    let found = model(&["-Drevision=9"], &[("m/pom.xml", child), ("pom.xml", parent)]);
    assert_eq!(found.version, "9");
}

#[test]
fn circles_and_doubling_end() {
    let circle = "<project><artifactId>m</artifactId><properties><a>${b}</a><b>${a}</b></properties></project>";
    assert!(model(&[], &[("pom.xml", circle)]).property("a").unwrap_err().message.contains("circle"));
    let doubling: Vec<_> = (0..60).map(|i| format!("<p{i}>${{p{}}}${{p{}}}</p{i}>", i + 1, i + 1)).collect();
    let doubling = doubling.concat();
    let text = format!("<project><artifactId>m</artifactId><properties>{doubling}<p60>x</p60></properties></project>");
    assert!(model(&[], &[("pom.xml", &text)]).property("p0").unwrap().is_none());
}
