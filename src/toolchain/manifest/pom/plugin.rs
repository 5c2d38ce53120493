//! Plugins, and how the configuration of a child and its parents are merged (Maven's reference,
//! "Plugins": `combine.children`, `combine.self`, executions by id).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::xml::Element;

/// The group id of a plugin that names none.
const DEFAULT_GROUP: &str = "org.apache.maven.plugins";

/// A plugin with everything that was merged into it.
#[derive(Debug, Clone)]
pub(super) struct Plugin {
    pub(super) group: String,
    pub(super) artifact: String,
    /// The declaration that dominates.
    pub(super) element: Element,
    pub(super) configuration: Option<Element>,
    pub(super) executions: Vec<Execution>,
    /// `<inherited>` of its own or of what was merged into it.
    inherited: Option<bool>,
}

/// One execution.
#[derive(Debug, Clone)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) phase: Option<String>,
    pub(super) goals: Vec<String>,
    pub(super) configuration: Option<Element>,
    /// `<inherited>` of its own, if it says one.
    inherited: Option<bool>,
}

impl Plugin {
    /// Reads a `<plugin>`; `resolve` interpolates its ids.
    pub(super) fn of(element: &Element, resolve: &dyn Fn(&str) -> String) -> Self {
        let executions = element.all("executions/execution").into_iter().map(|execution| Execution {
            id: execution.text_of("id").unwrap_or("default").to_owned(),
            phase: execution.text_of("phase").map(str::to_owned),
            goals: execution.all("goals/goal").into_iter().map(|goal| goal.text.clone()).collect(),
            configuration: execution.child("configuration").cloned(),
            inherited: execution.text_of("inherited").map(|text| text != "false"),
        });
        Self {
            group: element.text_of("groupId").map_or_else(|| DEFAULT_GROUP.to_owned(), resolve),
            artifact: element.text_of("artifactId").map_or_else(String::new, resolve),
            executions: executions.collect(),
            configuration: element.child("configuration").cloned(),
            inherited: element.text_of("inherited").map(|text| text != "false"),
            element: element.clone(),
        }
    }

    /// What a child inherits of a parent's declaration; `None` for nothing (Maven's reference: `inherited`
    /// of the plugin, which an execution may override).
    pub(super) fn for_children(mut self) -> Option<Self> {
        let all = self.inherited != Some(false);
        // A plugin with executions is named in the child even where it keeps none of them.
        let named = all || !self.executions.is_empty();
        self.executions.retain(|execution| execution.inherited.unwrap_or(all));
        if !all {
            (self.configuration, self.inherited) = (None, None);
        }
        named.then_some(self)
    }

    /// Adds what a parent, or `pluginManagement`, says; what is there already dominates.
    pub(super) fn inherit(&mut self, weaker: &Self) {
        if self.element.child("version").is_none()
            && let Some(version) = weaker.element.child("version")
        {
            self.element.children.push(version.clone());
        }
        self.inherited = self.inherited.or(weaker.inherited);
        merge_optional(&mut self.configuration, weaker.configuration.as_ref());
        for execution in &weaker.executions {
            match self.executions.iter_mut().find(|own| own.id == execution.id) {
                Some(own) => {
                    own.inherited = own.inherited.or(execution.inherited);
                    own.phase = own.phase.take().or_else(|| execution.phase.clone());
                    let new =
                        execution.goals.iter().filter(|goal| !own.goals.contains(goal)).cloned().collect::<Vec<_>>();
                    own.goals.extend(new);
                    merge_optional(&mut own.configuration, execution.configuration.as_ref());
                }
                None => self.executions.push(execution.clone()),
            }
        }
    }

    /// Whether an execution that is bound to a phase has one of the goals.
    pub(super) fn runs(&self, goals: &[String]) -> bool {
        self.executions
            .iter()
            .any(|execution| execution.is_bound() && execution.goals.iter().any(|g| goals.contains(g)))
    }

    /// Every configuration: those of bound executions, each with the plugin's own merged in, and
    /// the plugin's own.
    pub(super) fn configurations(&self) -> Vec<Element> {
        let bound = self.executions.iter().filter(|execution| execution.is_bound());
        let own = bound.filter(|execution| execution.configuration.is_some());
        let mut found: Vec<Element> = own.filter_map(|execution| self.configuration_of(execution)).collect();
        found.extend(self.configuration.clone());
        found
    }

    /// The configuration of an execution, with the plugin's own merged in.
    pub(super) fn configuration_of(&self, execution: &Execution) -> Option<Element> {
        let mut merged = execution.configuration.clone();
        merge_optional(&mut merged, self.configuration.as_ref());
        merged
    }
}

impl Execution {
    fn is_bound(&self) -> bool {
        self.phase.as_deref() != Some("none")
    }
}

/// Merges a list of declarations into those that are stronger.
pub(super) fn inherit_all(stronger: &mut Vec<Plugin>, weaker: Vec<Plugin>) {
    for plugin in weaker {
        match stronger.iter_mut().find(|own| own.group == plugin.group && own.artifact == plugin.artifact) {
            Some(own) => own.inherit(&plugin),
            None => stronger.push(plugin),
        }
    }
}

fn merge_optional(stronger: &mut Option<Element>, weaker: Option<&Element>) {
    match (stronger.as_mut(), weaker) {
        (Some(stronger), Some(weaker)) => merge(stronger, weaker),
        (None, Some(weaker)) => *stronger = Some(weaker.clone()),
        _ => {}
    }
}

/// The rule of Maven's `Xpp3Dom.mergeXpp3Dom`: children of the same name merge in their order, others are
/// added; `combine.children="append"` keeps both, `combine.self="override"` only the stronger, and
/// `combine.self="remove"` neither. The attributes of the weaker count where the stronger has none.
fn merge(stronger: &mut Element, weaker: &Element) {
    if stronger.attribute("combine.self") == Some("override") {
        return;
    }
    if stronger.text.is_empty() && !weaker.text.is_empty() {
        stronger.text.clone_from(&weaker.text);
        stronger.line = weaker.line;
        stronger.document = weaker.document.clone();
    }
    for (name, value) in &weaker.attributes {
        if stronger.attribute(name).is_none_or(str::is_empty) {
            stronger.attributes.push((name.clone(), value.clone()));
        }
    }
    if stronger.attribute("combine.children") == Some("append") {
        let mut both = weaker.children.clone();
        both.append(&mut stronger.children);
        stronger.children = both;
        return;
    }
    // Indices by name, so that long lists stay linear; nothing is taken out before the end.
    let mut own: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
    for (index, child) in stronger.children.iter().enumerate() {
        own.entry(child.name.clone()).or_default().push_back(index);
    }
    let mut removed = BTreeSet::new();
    for child in &weaker.children {
        match own.get_mut(&child.name).map(VecDeque::pop_front) {
            None => stronger.children.push(child.clone()),
            Some(None) => {}
            Some(Some(index)) if stronger.children[index].attribute("combine.self") == Some("remove") => {
                removed.insert(index);
            }
            Some(Some(index)) => merge(&mut stronger.children[index], child),
        }
    }
    let mut index = 0..;
    stronger.children.retain(|_| index.next().is_none_or(|index| !removed.contains(&index)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::manifest::pom::xml::parse;

    fn merged(stronger: &str, weaker: &str) -> String {
        let mut element = parse("a", &format!("<c>{stronger}</c>"), true).unwrap();
        merge(&mut element, &parse("b", &format!("<c>{weaker}</c>"), true).unwrap());
        show(&element)
    }

    fn show(element: &Element) -> String {
        let inside: Vec<_> = element.children.iter().map(show).collect();
        format!("{}({}{})", element.name, element.text, inside.join(" "))
    }

    #[test]
    fn configuration_merges_as_maven_does() {
        let table = [
            ("<a>1</a>", "<a>2</a><b>3</b>", "c(a(1) b(3))"),
            ("<l><i>1</i></l>", "<l><i>2</i><i>3</i></l>", "c(l(i(1)))"),
            ("<l combine.children='append'><i>1</i></l>", "<l><i>2</i></l>", "c(l(i(2) i(1)))"),
            ("<l combine.self='override'/>", "<l><i>2</i></l>", "c(l())"),
            ("<l combine.self='remove'/><b>1</b>", "<l><i>2</i></l>", "c(b(1))"),
            ("<l><i>1</i></l>", "<l combine.children='append'><i>2</i></l>", "c(l(i(2) i(1)))"),
            ("<o><x>1</x></o>", "<o><y>2</y></o>", "c(o(x(1) y(2)))"),
            // What Maven 3.9 itself answers for the rest: a weaker `combine.self` says nothing, a stronger `merge` wins over
            // a weaker `append`, what matches nothing is not removed, and Maven 4's `combine.id` and `combine.keys` mean nothing.
            ("<l>x</l>", "<l combine.self='override'><i>2</i></l>", "c(l(xi(2)))"),
            ("<l combine.self='override'>x</l>", "<l combine.self='remove'><i>2</i></l>", "c(l(x))"),
            ("<l combine.children='merge'><i>1</i></l>", "<l combine.children='append'><i>2</i></l>", "c(l(i(1)))"),
            ("<l combine.self='append'><i>1</i></l>", "<l><i>2</i></l>", "c(l(i(1)))"),
            ("<l><i combine.self='remove'/></l>", "<l><j>2</j></l>", "c(l(i() j(2)))"),
            ("<i combine.id='a'><x>1</x></i>", "<i combine.id='b'/><i combine.id='a'><y>3</y></i>", "c(i(x(1)))"),
            ("<i combine.keys='k'><k>1</k></i>", "<i><k>2</k><y>2</y></i><i><k>1</k></i>", "c(i(k(1) y(2)))"),
        ];
        for (stronger, weaker, expected) in table {
            assert_eq!(merged(stronger, weaker), expected, "{stronger} over {weaker}");
        }
    }

    #[test]
    fn executions_merge_by_id() {
        let plugin = |text: &str| Plugin::of(&parse("p", text, true).unwrap(), &str::to_owned);
        let mut own = plugin(
            "<plugin><artifactId>x</artifactId><executions><execution><id>e</id><phase>none</phase></execution></executions></plugin>",
        );
        own.inherit(&plugin("<plugin><artifactId>x</artifactId><executions><execution><id>e</id><goals><goal>g</goal></goals></execution></executions></plugin>"));
        assert_eq!(own.group, DEFAULT_GROUP);
        assert_eq!((own.executions.len(), own.executions[0].goals.len()), (1, 1));
        assert!(!own.runs(&["g".to_owned()]), "phase `none` switches an execution off");
    }
}
