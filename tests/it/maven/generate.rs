//! Poms from a seed, each with some of the features that a build may have.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::theirs::PLUGIN_GROUP;

/// Generated poms.
pub(crate) struct Made {
    /// Path and text of every file.
    pub(crate) files: BTreeMap<String, String>,
    /// The poms that are compared.
    pub(crate) poms: Vec<String>,
    /// How often each feature is met.
    pub(crate) features: BTreeMap<&'static str, usize>,
}

/// Numbers that follow from a seed (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// One case: a parent, sometimes a parent between, and a child.
struct Case<'m> {
    random: Random,
    features: &'m mut BTreeMap<&'static str, usize>,
    /// Files that profiles may ask for.
    extra: Vec<String>,
}

/// Makes as many cases, and an aggregator of all their poms.
pub(crate) fn cases(seed: u64, count: usize) -> Made {
    let mut made = Made { files: BTreeMap::new(), poms: Vec::new(), features: BTreeMap::new() };
    for number in 0..count {
        let random = Random(((seed << 20) | (number as u64 + 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut case = Case { random, features: &mut made.features, extra: Vec::new() };
        let poms = case.poms(number);
        for path in std::mem::take(&mut case.extra) {
            made.files.insert(format!("case-{number}/{path}"), String::new());
        }
        for (path, text) in poms {
            let path = format!("case-{number}/{path}");
            made.poms.push(path.clone());
            made.files.insert(path, text);
        }
    }
    let modules: Vec<String> =
        made.poms.iter().map(|path| format!("<module>{}</module>", path.trim_end_matches("/pom.xml"))).collect();
    let modules = modules.concat();
    let all = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>all</groupId><artifactId>all</artifactId><version>1</version><packaging>pom</packaging><modules>{modules}</modules></project>"
    );
    made.files.insert("pom.xml".into(), all);
    made
}

impl Case<'_> {
    /// Whether this case has a feature, in about so many of a hundred.
    fn has(&mut self, feature: &'static str, percent: u64) -> bool {
        let has = self.random.next(100) < percent;
        *self.features.entry(feature).or_default() += usize::from(has);
        has
    }

    fn poms(&mut self, number: usize) -> Vec<(String, String)> {
        let friendly = self.has("CI-friendly version", 35);
        let version = if friendly { "${revision}" } else { "1.0" };
        let between = self.has("grandparent", 40);
        let moved = self.has("relativePath to another directory", 35);
        let root = if moved { "build" } else { "" };
        let group = format!("g.case{number}");
        let place =
            |directory: &str| if directory.is_empty() { "pom.xml".to_owned() } else { format!("{directory}/pom.xml") };
        let mut poms = Vec::new();

        let revision = if friendly { "<revision>3.1</revision>" } else { "" };
        let head = format!(
            "<groupId>{group}</groupId><artifactId>top</artifactId><version>{version}</version><packaging>pom</packaging>"
        );
        let body = self.body("top", root, revision);
        poms.push((place(root), pom(&format!("{head}{body}"))));

        let mut parent = ("top", if moved { "<relativePath>../build</relativePath>" } else { "" });
        if between {
            let relative = parent.1.replace("../build", "../build/pom.xml");
            let head = format!(
                "<parent><groupId>{group}</groupId><artifactId>top</artifactId><version>{version}</version>{relative}</parent><artifactId>middle</artifactId><packaging>pom</packaging>"
            );
            let body = self.body("middle", "middle", "");
            poms.push((place("middle"), pom(&format!("{head}{body}"))));
            parent = ("middle", "<relativePath>../middle/pom.xml</relativePath>");
        }
        let own_version = if self.has("version of its own", 30) { "<version>7.${minor}</version>" } else { "" };
        let own_group =
            if self.has("group of its own", 30) { format!("<groupId>{group}.child</groupId>") } else { String::new() };
        let head = format!(
            "<parent><groupId>{group}</groupId><artifactId>{}</artifactId><version>{version}</version>{}</parent>{own_group}<artifactId>child</artifactId>{own_version}",
            parent.0, parent.1
        );
        let body = self.body("child", "child", if own_version.is_empty() { "" } else { "<minor>5</minor>" });
        poms.push((place("child"), pom(&format!("{head}{body}"))));
        poms
    }

    /// Properties, dependencies, build and profiles of one level.
    fn body(&mut self, level: &'static str, directory: &str, properties: &str) -> String {
        let mut properties = properties.to_owned();
        let _ = write!(properties, "<where>{level}</where><only.{level}>${{where}}</only.{level}>");
        if self.has("chain of properties", 50) {
            let _ = write!(properties, "<a>${{b}}-{level}</a><b>${{c}}</b><c>deep</c>");
        }
        if self.has("references to the project", 50) {
            let _ = write!(
                properties,
                "<self.{level}>${{project.groupId}}:${{project.artifactId}}:${{pom.version}}:${{project.packaging}}</self.{level}>"
            );
        }
        if self.has("reference to the parent", 30) && level != "top" {
            properties.push_str("<up>${project.parent.artifactId}</up>");
        }
        if self.has("unknown reference", 30) {
            properties.push_str("<unknown>x${nobody.says.this}</unknown>");
        }
        let dependencies = self.dependencies(level);
        let final_name = if self.has("finalName", 30) {
            format!("<finalName>${{project.artifactId}}-{level}</finalName>")
        } else {
            String::new()
        };
        let plugins = self.plugins(level);
        let managed = if self.has("pluginManagement", 50) {
            format!("<pluginManagement><plugins>{}</plugins></pluginManagement>", self.plugins(level))
        } else {
            String::new()
        };
        let profiles = self.profiles(level, directory);
        format!(
            "<properties>{properties}</properties>{dependencies}<build>{final_name}{managed}<plugins>{plugins}</plugins></build>{profiles}"
        )
    }

    fn dependencies(&mut self, level: &str) -> String {
        let mut text = String::new();
        if self.has("dependencyManagement", 40) {
            let _ = write!(
                text,
                "<dependencyManagement><dependencies><dependency><groupId>org.example</groupId><artifactId>managed</artifactId><version>{level}-${{where}}</version></dependency></dependencies></dependencyManagement>"
            );
        }
        let managed = if self.has("dependency with a version of its own", 50) { "<version>9</version>" } else { "" };
        // Without a version somewhere Maven refuses the pom.
        if level == "top" && !text.is_empty() || !managed.is_empty() {
            let _ = write!(
                text,
                "<dependencies><dependency><groupId>org.example</groupId><artifactId>managed</artifactId>{managed}<optional>true</optional></dependency></dependencies>"
            );
        }
        text
    }

    fn plugins(&mut self, level: &str) -> String {
        let mut text = String::new();
        for name in ["one", "two"] {
            if self.random.next(100) < 75 {
                let plugin = self.plugin(name, level);
                text.push_str(&plugin);
            }
        }
        text
    }

    fn plugin(&mut self, name: &str, level: &str) -> String {
        let inherited = if self.has("plugin that is not inherited", 12) { "<inherited>false</inherited>" } else { "" };
        let configuration = self.configuration(level);
        let mut executions = String::new();
        if self.has("executions", 60) {
            for id in ["first", "second"] {
                let phase = match self.random.next(4) {
                    0 if self.has("phase none", 60) => "<phase>none</phase>",
                    1 => "<phase>package</phase>",
                    2 => "<phase>${where}</phase>",
                    _ => "",
                };
                let inherited = match self.random.next(5) {
                    0 if self.has("execution that is not inherited", 90) => "<inherited>false</inherited>",
                    1 if self.has("execution that is inherited all the same", 90) => "<inherited>true</inherited>",
                    _ => "",
                };
                let goal = ["run", "check", "build"][usize::try_from(self.random.next(3)).unwrap()];
                let configuration = if self.has("configuration of an execution", 50) {
                    self.configuration(level)
                } else {
                    String::new()
                };
                let _ = write!(
                    executions,
                    "<execution><id>{id}</id>{phase}<goals><goal>{goal}</goal></goals>{inherited}{configuration}</execution>"
                );
            }
            executions = format!("<executions>{executions}</executions>");
        }
        format!(
            "<plugin><groupId>{PLUGIN_GROUP}</groupId><artifactId>{name}</artifactId><version>{level}</version>{executions}{inherited}{configuration}</plugin>"
        )
    }

    fn configuration(&mut self, level: &str) -> String {
        let children = if self.has("combine.children=\"append\"", 25) { " combine.children=\"append\"" } else { "" };
        let own = match self.random.next(8) {
            0 if self.has("combine.self=\"override\"", 90) => " combine.self=\"override\"",
            1 if self.has("combine.self=\"remove\"", 90) => " combine.self=\"remove\"",
            _ => "",
        };
        let list: Vec<String> = (0..self.random.next(4)).map(|index| format!("<item>{level}{index}</item>")).collect();
        let list = list.concat();
        let deep = if self.has("nested configuration", 50) {
            format!("<deep><{level}>${{where}}</{level}><both><x>{level}</x></both></deep>")
        } else {
            String::new()
        };
        let main = if self.random.next(2) == 0 {
            format!("<mainClass>{level}.${{project.artifactId}}</mainClass>")
        } else {
            "<mainClass/>".to_owned()
        };
        format!(
            "<configuration><list{children}>{list}</list><gone{own}><x>{level}</x></gone>{deep}{main}</configuration>"
        )
    }

    fn profiles(&mut self, level: &'static str, directory: &str) -> String {
        let mut text = String::new();
        let activations: [(&'static str, &str, &str); 12] = [
            ("profile by default", "usual", "<activeByDefault>true</activeByDefault>"),
            ("profile of -P", "chosen", ""),
            ("profile that -P switches off", "unwanted", "<activeByDefault>true</activeByDefault>"),
            ("profile by property", "on", "<property><name>switch</name></property>"),
            ("profile by a property's value", "value", "<property><name>switch</name><value>on</value></property>"),
            (
                "profile by a property's other value",
                "other",
                "<property><name>switch</name><value>!off</value></property>",
            ),
            ("profile by a property that is absent", "absent", "<property><name>!nowhere</name></property>"),
            ("profile by JDK", "jdk", "<jdk>[11,18)</jdk>"),
            ("profile by another JDK", "old", "<jdk>!17</jdk>"),
            ("profile by operating system", "os", "<os><family>unix</family></os>"),
            ("profile by file", "file", "<file><exists>${basedir}/there.txt</exists></file>"),
            ("profile by absent file", "missing", "<file><missing>nowhere.txt</missing></file>"),
        ];
        for (feature, id, activation) in activations {
            // Few at once: one that is active switches those by default off.
            if !self.has(feature, 14) {
                continue;
            }
            if id == "file" && self.random.next(2) == 0 {
                self.extra.push(if directory.is_empty() {
                    "there.txt".to_owned()
                } else {
                    format!("{directory}/there.txt")
                });
            }
            let activation =
                if activation.is_empty() { String::new() } else { format!("<activation>{activation}</activation>") };
            let plugins = if self.has("plugin of a profile", 50) {
                format!("<build><plugins>{}</plugins></build>", self.plugin("one", level))
            } else {
                String::new()
            };
            let _ = write!(
                text,
                "<profile><id>{id}</id>{activation}{plugins}<properties><where>{level}-{id}</where><by.{id}>${{where}}</by.{id}></properties></profile>"
            );
        }
        format!("<profiles>{text}</profiles>")
    }
}

fn pom(inside: &str) -> String {
    format!("<project><modelVersion>4.0.0</modelVersion>\n{inside}\n</project>\n")
}
