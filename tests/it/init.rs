//! `slipway init` writes what was found, states nothing, and replaces nothing unasked.

use crate::support::project::Project;
use crate::support::slipway::Slipway;

const MAIN: &str = "package main\n\nimport \"net/http\"\n\nfunc main() { http.ListenAndServe(\":8123\", nil) }\n";

#[tokio::test]
async fn the_file_shows_what_was_found_and_changes_nothing() {
    let slipway = Slipway::new();
    let project =
        Project::new("order", &[("go.mod", "module example.com/order\n\ngo 1.26\n"), ("cmd/api/main.go", MAIN)]);
    let directory = project.path().display().to_string();
    let run = slipway.run(&["init".into(), directory.clone()]).await;
    assert_eq!(run.code, 0, "{}", run.text());
    let written = std::fs::read_to_string(project.path().join("slipway.toml")).unwrap();
    for line in
        ["# module = \"./cmd/api\"", "# cmd/api/main.go:5: func main", "# ports = [8123]", "# version = \"1.27\""]
    {
        assert!(written.lines().any(|found| found == line), "no `{line}` in\n{written}");
    }
    // Every line of a table is a comment, so the plan stays what it was.
    let tables: toml::Table = toml::from_str(&written).unwrap();
    assert!(tables.values().all(|table| table.as_table().is_some_and(toml::Table::is_empty)), "{written}");
    let again = slipway.run(&["init".into(), directory.clone()]).await;
    assert_eq!(again.code, 1, "{}", again.text());
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
    assert_eq!(slipway.run(&["init".into(), "--force".into(), directory]).await.code, 0);
}

#[tokio::test]
async fn where_planning_stops_the_choices_are_written() {
    let files = [("go.mod", "module example.com/order\n\ngo 1.26\n"), ("cmd/a/main.go", MAIN), ("cmd/b/main.go", MAIN)];
    let project = Project::new("order", &files);
    let run = Slipway::new().run(&["init".into(), project.path().display().to_string()]).await;
    assert_eq!(run.code, 0, "{}", run.text());
    let written = std::fs::read_to_string(project.path().join("slipway.toml")).unwrap();
    assert!(written.contains("[application]\n# module = \"./cmd/a\"\n# module = \"./cmd/b\"\n"), "{written}");
    assert!(run.stderr.contains("application_ambiguous"), "{}", run.stderr);
}
