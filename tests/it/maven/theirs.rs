//! Maven's answer as flat lines, in the form of `slipway::toolchain::manifest::pom::effective`.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

/// The plugins that generated poms declare; Maven adds those of the life cycle.
pub(crate) const PLUGIN_GROUP: &str = "org.example.plugins";

/// The lines of every project of a `help:effective-pom` over a reactor, by group and artifact.
pub(crate) fn read(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let document = Document::parse(text).unwrap();
    let projects = document.descendants().filter(|node| node.has_tag_name_like("project"));
    let lines = projects.map(|project| {
        let lines = project_lines(project);
        (format!("{}:{}", lines["groupId"], lines["artifactId"]), lines)
    });
    lines.collect()
}

/// Names without their name space, which the reactor's document does not repeat.
trait Named<'a> {
    fn has_tag_name_like(&self, name: &str) -> bool;
    fn child(&self, name: &str) -> Option<Node<'a, 'a>>;
    fn at(&self, path: &str) -> Vec<Node<'a, 'a>>;
    fn words(&self) -> String;
}

impl<'a> Named<'a> for Node<'a, 'a> {
    fn has_tag_name_like(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }

    fn child(&self, name: &str) -> Option<Node<'a, 'a>> {
        self.children().find(|child| child.has_tag_name_like(name))
    }

    fn at(&self, path: &str) -> Vec<Node<'a, 'a>> {
        path.split('/').fold(vec![*self], |found, name| {
            found.iter().flat_map(Node::children).filter(|child| child.has_tag_name_like(name)).collect()
        })
    }

    fn words(&self) -> String {
        self.children().filter(Node::is_text).filter_map(|text| text.text()).collect::<String>().trim().to_owned()
    }
}

fn project_lines(project: Node<'_, '_>) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for key in ["groupId", "artifactId", "version", "packaging"] {
        lines.insert(key.to_owned(), project.child(key).map_or("jar".to_owned(), |child| child.words()));
    }
    lines.insert("finalName".into(), project.at("build/finalName")[0].words());
    for property in project.child("properties").into_iter().flat_map(|all| all.children()).filter(Node::is_element) {
        lines.insert(format!("property {}", property.tag_name().name()), property.words());
    }
    for dependency in project.at("dependencies/dependency") {
        let text = |key: &str| dependency.child(key).map_or_else(String::new, |child| child.words());
        lines.insert(
            format!("dependency {}:{}:{}", text("groupId"), text("artifactId"), text("classifier")),
            text("version"),
        );
    }
    for plugin in project.at("build/plugins/plugin") {
        let text = |key: &str| plugin.child(key).map(|child| child.words());
        if text("groupId").as_deref() != Some(PLUGIN_GROUP) {
            continue;
        }
        let name = format!("plugin {PLUGIN_GROUP}:{}", text("artifactId").unwrap_or_default());
        lines.extend(text("version").map(|version| (name.clone(), version)));
        if let Some(configuration) = plugin.child("configuration") {
            flatten(configuration, &format!("{name} configuration"), &mut lines);
        }
        for execution in plugin.at("executions/execution") {
            let id = execution.child("id").map_or("default".to_owned(), |id| id.words());
            let name = format!("{name} execution {id}");
            let mut goals: Vec<String> = execution.at("goals/goal").iter().map(Named::words).collect();
            goals.sort();
            lines.insert(format!("{name} goals"), goals.join(" "));
            if let Some(phase) = execution.child("phase") {
                lines.insert(format!("{name} phase"), phase.words());
            }
            if let Some(configuration) = execution.child("configuration") {
                flatten(configuration, &format!("{name} configuration"), &mut lines);
            }
        }
    }
    lines
}

fn flatten(node: Node<'_, '_>, path: &str, lines: &mut BTreeMap<String, String>) {
    lines.insert(path.to_owned(), node.words());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for child in node.children().filter(Node::is_element) {
        let index = seen.entry(child.tag_name().name()).or_default();
        flatten(child, &format!("{path}/{}[{index}]", child.tag_name().name()), lines);
        *index += 1;
    }
}
