//! Commands that a program has to be given, and arguments that give them.

use super::*;

fn read(files: &[(&str, &str)]) -> Findings {
    Ask { facts: &shipped(), ..Ask::default() }.read(&[&[("go.mod", MODULE)], files].concat()).unwrap()
}

fn given(files: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let found = read(files);
    let warning = found.warnings.into_iter().find(|warning| warning.code == "command_needed");
    (found.arguments.map(|found| found.value.join(" ")), warning.map(|warning| warning.message))
}

const COBRA: &str = "import \"github.com/spf13/cobra\"\n\n";

fn root(run: &str, added: &str) -> String {
    format!(
        "package main\n\n{COBRA}var root = &cobra.Command{{Use: \"depot\"{run}}}\n\n\
         func main() {{\n\troot.AddCommand({added})\n\troot.Execute()\n}}\n"
    )
}

fn command(name: &str, usage: &str) -> String {
    format!(
        "package main\n\n{COBRA}func {name}() *cobra.Command {{\n\treturn &cobra.Command{{Use: \"{usage}\", RunE: run}}\n}}\n"
    )
}

#[test]
fn the_only_command_that_serves_is_given_to_a_program_that_does_nothing_without() {
    let (serve, migrate) = (command("newServe", "serve"), command("newMigrate", "migrate [flags]"));
    let with = |run: &str, added: &str, serve: &str| {
        given(&[("main.go", &root(run, added)), ("serve.go", serve), ("migrate.go", &migrate)])
    };
    let both = "newServe(), newMigrate()";
    assert_eq!(with("", both, &serve), (Some("serve".to_owned()), None));
    assert_eq!(
        with(", Run: func(c *cobra.Command, a []string) { c.Help() }", both, &serve).0.as_deref(),
        Some("serve")
    );
    assert_eq!(with(", RunE: run", both, &serve), (None, None));
    // It is no command of the root's, wants an argument, or is a tool's.
    let asks = |added: &str, usage: &str| {
        let (arguments, message) = with("", added, &command("newServe", usage));
        assert_eq!(arguments, None, "{usage}");
        message
    };
    let both_told = "the program does nothing without a command: `serve`, `migrate`";
    assert_eq!(asks("newMigrate()", "serve").as_deref(), Some("the program does nothing without a command: `migrate`"));
    assert_eq!(asks(both, "serve DIRECTORY").as_deref(), Some(both_told));
    assert_eq!(asks(both, "start").as_deref(), Some("the program does nothing without a command: `start`, `migrate`"));
    let listens = command("newServe", "start")
        .replace("package main", "package main\n\nfunc run() { http.ListenAndServe(\":1\", nil) }");
    assert_eq!(with("", both, &listens).0.as_deref(), Some("start"));
}

#[test]
fn what_sets_its_own_arguments_or_says_them_in_a_dockerfile_needs_none() {
    let serve = command("newServe", "serve");
    let sets =
        root("", "newServe()").replace("\troot.Execute()", "\tos.Args = append(os.Args, \"serve\")\n\troot.Execute()");
    assert_eq!(given(&[("main.go", &sets), ("serve.go", &serve)]), (None, None));
    let assigns = root("", "newServe()").replace("\troot.Execute()", "\troot.Run = serve.Run\n\troot.Execute()");
    assert_eq!(given(&[("main.go", &assigns), ("serve.go", &serve)]), (None, None));
    let dockerfile =
        ("Dockerfile", "FROM a\nENTRYPOINT [\"/shop\"]\nCMD [\"serve\", \"${OPTIONS}\", \"--config\", \"$FILE\"]\n");
    let files = [("main.go", &*root("", "newServe()")), ("serve.go", &*serve), dockerfile];
    assert_eq!(given(&files).0.as_deref(), Some("serve"));
}

#[test]
fn commands_of_other_packages_are_told_apart_by_them() {
    let package = |name: &str| {
        format!("package {name}\n\n{COBRA}var Cmd = &cobra.Command{{\n\tUse: \"{name}\",\n\tRun: run,\n}}\n")
    };
    let main = format!(
        "package main\n\nimport (\n\t\"example.com/trade/order/cmd/server\"\n\t\"example.com/trade/order/cmd/version\"\n)\n\n{COBRA}\
         func main() {{\n\troot := cobra.Command{{Use: \"fileserver\"}}\n\troot.AddCommand(\n\t\tversion.Cmd,\n\t\tserver.Cmd,\n\t)\n\troot.Execute()\n}}\n"
    );
    let (server, version) = (package("server"), package("version"));
    let files = [("main.go", &*main), ("cmd/server/cmd.go", &*server), ("cmd/version/cmd.go", &*version)];
    assert_eq!(given(&files), (Some("server".to_owned()), None));
}

#[test]
fn an_application_of_urfave_needs_a_command_unless_it_acts() {
    let program = |acts: &str| {
        format!(
            "package main\n\nimport \"github.com/urfave/cli\"\n\nfunc main() {{\n\tapp := cli.NewApp()\n\t{acts}\n\t\
             app.Commands = []cli.Command{{\n\t\t{{\n\t\t\tName: \"migrate\",\n\t\t\tAction: func(c *cli.Context) error {{ return nil }},\n\t\t}},\n\t\t\
             {{Name: \"runserver\", Action: serve}},\n\t}}\n\tapp.Run(os.Args)\n}}\n"
        )
    };
    assert_eq!(given(&[("main.go", &program(""))]), (Some("runserver".to_owned()), None));
    assert_eq!(given(&[("main.go", &program("app.Action = serve"))]), (None, None));
    let literal = |acts: &str| {
        format!(
            "package main\n\nimport \"github.com/urfave/cli/v2\"\n\nvar serve = &cli.Command{{Name: \"serve\", Action: f}}\n\nfunc main() {{\n\t\
             app := &cli.App{{\n\t\tName: \"shop\",{acts}\n\t\tCommands: []*cli.Command{{serve, {{Name: \"sync\", Action: g}}}},\n\t}}\n\tapp.Run(os.Args)\n}}\n"
        )
    };
    assert_eq!(given(&[("main.go", &literal(""))]), (Some("serve".to_owned()), None));
    assert_eq!(given(&[("main.go", &literal("\n\t\tAction: f,"))]), (None, None));
    let wants = |more: &str| {
        let flag =
            format!("Flags: []cli.Flag{{&cli.StringFlag{{Name: \"config\", Required: true{more}}}}}, Action: f}}");
        let text = literal("").replacen("Action: f}", &flag, 1);
        let (arguments, warning) = given(&[("main.go", &text)]);
        (arguments, warning.is_some())
    };
    assert_eq!(wants(""), (None, true));
    assert_eq!(wants(", EnvVars: []string{\"CONFIG\"}"), (Some("serve".to_owned()), false));
}

#[test]
fn a_daemon_may_share_the_package_that_listens_with_its_client() {
    let program =
        |body: &str| format!("package main\n\nimport \"example.com/trade/order/http\"\n\nfunc main() {{ {body} }}\n");
    let shared = "package http\n\nfunc Open() { http.ListenAndServe(\":4001\", nil) }\n";
    let (client, server) = (program("http.Call()"), program("http.Open()"));
    let files =
        [("go.mod", MODULE), ("cmd/shop/main.go", &*client), ("cmd/shopd/main.go", &*server), ("http/http.go", shared)];
    let found = Ask { facts: &shipped(), ..Ask::default() }.read(&files).unwrap();
    assert_eq!(chosen(&found), "./cmd/shopd");
}

#[test]
fn a_root_command_may_have_another_name_and_be_made_elsewhere() {
    let renamed = "package main\n\nimport cli \"github.com/spf13/cobra\"\n\nfunc init() {}\n\nvar (\n\troot = &cli.Command{Use: name}\n)\n\n\
                   var api = &cli.Command{Use: \"api\", Run: run}\n\nfunc run() { http.ListenAndServe(\":1\", nil) }\n\n\
                   func main() {\n\troot.AddCommand(api)\n\troot.Execute()\n}\n";
    assert_eq!(given(&[("main.go", renamed)]).0.as_deref(), Some("api"));
    let made = format!(
        "package main\n\n{COBRA}func main() {{\n\troot := newRoot()\n\tserve := newServe()\n\troot.AddCommand(serve)\n\troot.Execute()\n}}\n\n\
         func newRoot() *cobra.Command {{\n\treturn &cobra.Command{{Use: \"depot\"}}\n}}\n"
    );
    let serve = command("newServe", "serve");
    assert_eq!(given(&[("main.go", &made), ("serve.go", &serve)]).0.as_deref(), Some("serve"));
    // A function that shows the help does nothing; where it may do something else, it is let be.
    let by = |body: &str| {
        let root = root(", Run: show", "newServe()")
            + &format!("\nfunc show(c *cobra.Command, a []string) {{\n\t{body}\n}}\n");
        given(&[("main.go", &root), ("serve.go", &serve)]).0
    };
    assert_eq!(by("greet()\n\tc.Help()").as_deref(), Some("serve"));
    assert_eq!(by("if len(a) > 0 {\n\t\tc.Help()\n\t}\n\twork()"), None);
    let inline = |body: &str| {
        let root = root(&format!(", Run: func(c *cobra.Command, a []string) {{\n\t{body}\n}}"), "newServe()");
        given(&[("main.go", &root), ("serve.go", &serve)])
    };
    assert_eq!(inline("if len(a) > 0 {\n\t\tif err := c.Help(); err != nil {\n\t\t}\n\t}\n\twork()"), (None, None));
    assert_eq!(inline("if len(a) == 0 {\n\t\tc.Help()\n\t}").0.as_deref(), Some("serve"));
    assert_eq!(
        given(&[("main.go", &root(", Run: nil", "newServe()")), ("serve.go", &serve)]).0.as_deref(),
        Some("serve")
    );
}

#[test]
fn commands_of_kingpin_and_of_kong_are_read() {
    let kingpin = |serve: &str| {
        let source = format!(
            "package main\n\nimport \"github.com/alecthomas/kingpin/v2\"\n\nvar (\n\tapp = kingpin.New(\"shop\", \"x\")\n\t\
             serve = app.Command(\"serve\", \"x\"){serve}\n\tsync = app.Command(\"sync\", \"x\")\n\tall = sync.Command(\"all\", \"x\")\n)\n\n\
             func main() {{ kingpin.MustParse(app.Parse(os.Args[1:])) }}\n"
        );
        given(&[("main.go", &source)])
    };
    assert_eq!(kingpin(""), (Some("serve".to_owned()), None));
    assert_eq!(kingpin(".Alias(\"s\").Default()"), (None, None));
    let told = Some("the program does nothing without a command: `serve`, `sync`".to_owned());
    assert_eq!(kingpin("\n\tto = serve.Flag(\"to\", \"x\").Required().String()"), (None, told));
    let kong = |fields: &str| {
        let source = format!(
            "package main\n\nimport \"github.com/alecthomas/kong\"\n\nvar cli struct {{\n\tDebug bool `help:\"x\"`\n\n{fields}}}\n\n\
             func main() {{ kong.Parse(&cli) }}\n"
        );
        given(&[("main.go", &source)])
    };
    let serve = "\tServe struct {\n\t\tPort int `default:\"8080\"`\n\t} `cmd:\"\" help:\"x\"`\n";
    assert_eq!(kong(&format!("{serve}\tSyncAll SyncCmd `cmd help:\"x\"`\n")), (Some("serve".to_owned()), None));
    let told = Some("the program does nothing without a command: `sync-all`, `go`".to_owned());
    assert_eq!(kong("\tSyncAll SyncCmd `cmd:\"\"`\n\tRun RunCmd `cmd:\"\" name:\"go\"`\n"), (None, told));
    assert_eq!(kong("\tServe ServeCmd `cmd:\"\" default:\"1\"`\n"), (None, None));
    assert_eq!(kong(""), (None, None));
}

#[test]
fn a_root_command_may_be_a_value_of_another_package() {
    let main = "package main\n\nimport \"example.com/trade/order/cmd\"\n\nfunc main() {\n\tif err := cmd.Root.Execute(); err != nil {\n\t}\n}\n";
    let held = format!("package cmd\n\n{COBRA}var Root = cobra.Command{{Use: \"rates\"}}\n");
    let serve = format!(
        "package cmd\n\n{COBRA}func init() {{\n\tRoot.AddCommand(&cobra.Command{{\n\t\tUse: \"serve\",\n\t\tRun: func(c *cobra.Command, a []string) {{ http.Run() }},\n\t}})\n}}\n"
    );
    let files = [("main.go", main), ("cmd/main.go", &*held), ("cmd/serve.go", &*serve)];
    assert_eq!(given(&files), (Some("serve".to_owned()), None));
}
