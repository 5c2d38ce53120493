//! Ports, arguments and files of small programs, by the shipped facts.

use super::*;

fn read(files: &[(&str, &str)]) -> Findings {
    Ask { facts: &shipped(), ..Ask::default() }.read(&[&[("go.mod", MODULE)], files].concat()).unwrap()
}

fn ports(files: &[(&str, &str)]) -> Vec<u16> {
    read(files).ports.iter().map(|port| port.value).collect()
}

fn main(body: &str) -> String {
    format!("package main\n\nfunc main() {{\n\t{body}\n}}\n")
}

#[test]
fn a_function_that_is_given_a_variable_and_an_address_is_given_its_default() {
    for (body, expected) in [
        ("flag.StringVar(&addr, \"addr\", option(\"SHOP_ADDR\", \"127.0.0.1:7070\"), \"address\")", vec![7070]),
        ("port := number(\"SHOP_PORT\", 7071)", vec![7071]),
        ("x := number(\"SHOP_HTTP\", 100)", vec![]),
        ("x := option(\"REDIS_ADDR\", \"localhost:7000\")", vec![]),
        ("log.Printf(\"listen\", 7000)", vec![]),
    ] {
        assert_eq!(ports(&[("main.go", &main(body))]), expected, "{body}");
    }
    let local = main("flag.StringVar(&addr, \"addr\", option(\"SHOP_ADDR\", \"127.0.0.1:7070\"), \"address\")");
    let codes: Vec<_> = read(&[("main.go", &local)]).warnings.iter().map(|warning| warning.code.clone()).collect();
    assert_eq!(codes, ["listens_on_loopback"]);
}

#[test]
fn an_address_that_is_assigned_where_its_field_has_a_default_is_none() {
    let source = "package main\n\ntype config struct {\n\tPort string `envconfig:\"SHOP_PORT\" default:\":8080\"`\n}\n\n\
                  func main() {\n\tif c.TLS {\n\t\tc.Port = \":443\"\n\t}\n}\n";
    assert_eq!(ports(&[("main.go", source), ("Dockerfile", "FROM a\nEXPOSE 80 443\n")]), [8080]);
    let kind = "package main\n\ntype ports struct {\n\tDNS ListenConfig `default:\"5353\"`\n\tMetrics ListenConfig `default:\"9000\"`\n}\n\nfunc main() {}\n";
    assert_eq!(ports(&[("main.go", kind)]), [5353]);
}

#[test]
fn a_dockerfile_says_more_ports_than_settings_do() {
    let source = main("os.Open(\"shop.yaml\")");
    let settings = ("shop.yaml", "server:\n  port: 8001\n");
    let exposes =
        |line: &str| ports(&[("main.go", &source), settings, ("Dockerfile", &format!("FROM a\nEXPOSE {line}\n"))]);
    assert_eq!(exposes("22 9001 8001"), [8001, 9001]);
    assert_eq!(exposes("9001"), [9001]);
}

#[test]
fn what_a_client_begins_with_is_not_where_the_program_listens() {
    let loopback =
        |body: &str| read(&[("main.go", &main(body))]).warnings.iter().any(|one| one.code == "listens_on_loopback");
    let client = "f(cli.StringFlag{Name: \"addr\", Value: \"localhost:2222\"})";
    assert!(loopback(client));
    assert!(!loopback(&format!("ssh.ListenAndServe(\":2222\", nil)\n\t{client}")));
    assert!(!loopback("c := config{GRPCListenAddress: \"127.0.0.1:50051\"}"));
    let setting = main("os.Open(\"conf.json\")");
    let found = read(&[("main.go", &setting), ("conf.json", "{\n\"bind_address\": \"localhost:9090\"\n}\n")]);
    let places: Vec<_> = found.warnings.iter().map(|one| (one.code.as_str(), one.path.as_deref())).collect();
    assert_eq!(places, [("listens_on_loopback", Some("conf.json"))]);
}

#[test]
fn a_directory_of_settings_that_a_flag_names_is_beside_the_program() {
    let with = |body: &str| {
        let source = main(body);
        let files = [
            ("main.go", source.as_str()),
            ("configs/dev/shop.yaml", "Server:\n  HttpPort: 8001\n"),
            ("docs/a.md", "x"),
        ];
        let found = read(&files);
        (found.variables["assets"]["paths"].clone(), found.ports.first().map(|port| port.value))
    };
    assert_eq!(with("flag.StringVar(&config, \"config\", \"configs/\", \"where\")"), (json!(["configs"]), Some(8001)));
    assert_eq!(with("f(cli.StringFlag{Name: \"workdir\", Value: \"configs\"})"), (json!(["configs"]), Some(8001)));
    assert_eq!(with("dir := option(\"SHOP_CONFIG_DIR\", \"configs\")"), (json!(["configs"]), Some(8001)));
    assert_eq!(with("flag.StringVar(&x, \"name\", \"configs\", \"x\")"), (json!([]), None));
    assert_eq!(with("flag.StringVar(&x, \"dir\", \"docs\", \"x\")"), (json!([]), None));
}

#[test]
fn a_loader_of_settings_hands_its_directory_on() {
    let loader =
        |given: &str| format!("package conf\n\nfunc LoadConfig(path string) {{\n\tviper.AddConfigPath({given})\n}}\n");
    let assets = |given: &str| {
        let source =
            "package main\n\nimport \"example.com/trade/order/conf\"\n\nfunc main() {\n\tconf.LoadConfig(\".\")\n}\n";
        let settings = "MIGRATION_URL=file://db/migration\nSERVER_ADDRESS=0.0.0.0:8003\n";
        let loader = loader(given);
        let files = [
            ("main.go", source),
            ("conf/conf.go", &*loader),
            ("app.env", settings),
            ("db/migration/1.sql", "x"),
            ("sqlc.yaml", "x"),
        ];
        read(&files).variables["assets"]["paths"].clone()
    };
    assert_eq!(assets("path"), json!(["app.env", "db/migration"]));
    assert_eq!(assets("\"/etc/shop\""), json!([]));
    let source = main("viper.AddConfigPath(path)\n\tviper.SetConfigName(\"shop\")");
    let chart = [("main.go", &*source), ("shop/Chart.yaml", "name: shop")];
    assert_eq!(read(&chart).variables["assets"]["paths"], json!([]));
    let migrations = main("migrate.New(\"file://db/migration\", url)");
    let found = read(&[("main.go", &migrations), ("db/migration/1.sql", "x")]);
    assert_eq!(found.variables["assets"]["paths"], json!(["db/migration"]));
    let hidden = main("if repo.Config == \"\" {\n\t\trepo.Config = \".drone.yml\"\n\t}");
    assert_eq!(read(&[("main.go", &hidden), (".drone.yml", "a: b/c")]).variables["assets"]["paths"], json!([]));
}

#[test]
fn what_is_read_above_the_package_stands_above_the_working_directory() {
    let above = |path: &str| {
        let source = main(&format!("flag.StringVar(&conf, \"conf\", \"{path}\", \"x\")"));
        let files = [
            ("cmd/shop/main.go", source.as_str()),
            ("configs/config.yaml", "server:\n  http:\n    addr: 0.0.0.0:8004\n"),
            ("etc/a.yaml", "x"),
        ];
        let found = read(&files);
        (found.variables["above"]["paths"].clone(), found.ports.first().map(|port| port.value))
    };
    assert_eq!(above("../../configs"), (json!(["configs"]), Some(8004)));
    assert_eq!(above("../../etc"), (json!([]), None));
    assert_eq!(above("../configs"), (json!([]), None));
    assert_eq!(above("../../../configs"), (json!([]), None));
}

#[test]
fn arguments_of_a_dockerfile_say_where_it_listens_and_not_what_is_in_its_image() {
    let arguments = |dockerfile: &str| {
        let found = read(&[("main.go", MAIN), ("Dockerfile", dockerfile)]);
        found.arguments.map(|found| found.value.join(" "))
    };
    let built = "FROM a AS b\nARG APP=shopadmin\nRUN go build -o ./${APP} .\nFROM c\n";
    for (starts, expected) in [
        ("ENTRYPOINT [\"shopadmin\", \"start\", \"-d\", \"/usr/bin/configs\", \"-c\", \"prod\"]", Some("start")),
        ("ENTRYPOINT [\"other\", \"start\"]", None),
    ] {
        assert_eq!(arguments(&format!("{built}{starts}\n")).as_deref(), expected, "{starts}");
    }
    for (starts, expected) in [
        ("[\"-addr\", \"0.0.0.0:7070\", \"-db\", \"/data/shop.db\"]", Some("-addr 0.0.0.0:7070")),
        ("[\"--level=debug\", \"--db=/data/shop.db\"]", None),
        ("[\"serve\", \"--port=80\", \"--db=/data/shop.db\"]", Some("serve --port=80")),
    ] {
        assert_eq!(
            arguments(&format!("FROM a\nENTRYPOINT [\"/shop\"]\nCMD {starts}\n")).as_deref(),
            expected,
            "{starts}"
        );
    }
}

#[test]
fn boxes_that_nothing_has_made_are_told() {
    let codes = |files: &[(&str, &str)]| read(files).warnings.iter().filter(|one| one.code == "made_elsewhere").count();
    let source = main("rice.FindBox(\"dist\")\n\tpackr.New(\"pages\", \"./pages\")");
    assert_eq!(codes(&[("main.go", &source), ("pages/a.html", "x")]), 1);
    assert_eq!(codes(&[("main.go", &source), ("pages/a.html", "x"), ("rice-box.go", "package main\n")]), 0);
    assert_eq!(codes(&[("main.go", &source), ("pages/a.html", "x"), ("dist/a.html", "x")]), 0);
}

#[test]
fn where_it_listens_for_nothing_else_metrics_and_grpc_have_its_port() {
    let flag = |name: &str, value: &str| main(&format!("flag.String(\"{name}\", \"{value}\", \"x\")"));
    assert_eq!(ports(&[("main.go", &flag("metrics-address", ":9102"))]), [9102]);
    assert_eq!(ports(&[("main.go", &flag("grpc-port", "50051"))]), [50051]);
    assert_eq!(ports(&[("main.go", &flag("redis-address", ":7000"))]), [0; 0]);
    assert_eq!(ports(&[("main.go", &flag("grpc-address", "localhost:50051"))]), [0; 0]);
    let both = main("flag.String(\"metrics-address\", \":9102\", \"x\")\n\tflag.String(\"address\", \":8005\", \"x\")");
    assert_eq!(ports(&[("main.go", &both)]), [8005]);
    let settings = [("main.go", &*main("os.Open(\"shop.yaml\")")), ("shop.yaml", "grpc:\n  port: 50052\n")];
    assert_eq!(ports(&settings), [50052]);
}

#[test]
fn flags_of_a_chain_of_calls_have_their_name() {
    let chain = |name: &str| {
        main(&format!("x := kingpin.Flag(\"{name}\", \"y\").Envar(env(\"A\")).Default(\":9427\").String()"))
    };
    assert_eq!(ports(&[("main.go", &chain("web.listen-address"))]), [9427]);
    assert_eq!(ports(&[("main.go", &chain("redis.address"))]), [0; 0]);
}

#[test]
fn several_addresses_may_stand_in_one_text() {
    let flag = |value: &str| main(&format!("flag.String(\"listen\", \"{value}\", \"x\")"));
    let found = read(&[("main.go", &flag("127.0.0.1:25 [::1]:25"))]);
    let codes: Vec<_> = found.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!((found.ports[0].value, codes), (25, vec!["listens_on_loopback"]));
    assert_eq!(ports(&[("main.go", &flag("127.0.0.1:7001,:7002"))]), [7002]);
    assert_eq!(ports(&[("main.go", &flag("at 7001"))]), [0; 0]);
}

#[test]
fn what_source_and_dockerfile_both_name_are_its_ports() {
    let source = "package main\n\ntype smtp struct {\n\tAddr string `default:\"0.0.0.0:2500\"`\n}\n\ntype web struct {\n\t\
                  Addr string `default:\"0.0.0.0:9000\"`\n}\n\nfunc main() {}\n";
    let exposes =
        |ports_of: &str| ports(&[("main.go", source), ("Dockerfile", &format!("FROM a\nEXPOSE {ports_of}\n"))]);
    assert_eq!(exposes("2500 9000 1100"), [2500, 9000]);
    assert_eq!(exposes("9000"), [9000]);
}

#[test]
fn what_a_tool_wrote_says_nothing_of_ports() {
    let docs = |head: &str| {
        let docs = format!("{head}\npackage docs\n\nvar Info = &swag.Spec{{\n\tHost: \"localhost:8123\",\n}}\n");
        let source = "package main\n\nimport _ \"example.com/trade/order/docs\"\n\nfunc main() {}\n";
        ports(&[("main.go", source), ("docs/docs.go", &docs)])
    };
    assert_eq!(docs("// Package docs Code generated by swaggo/swag. DO NOT EDIT"), [0; 0]);
    assert_eq!(docs("// Package docs says where it is."), [8123]);
}

#[test]
fn settings_are_named_without_their_ending_and_behind_a_directory() {
    let assets = |body: &str| {
        let source = main(body);
        let files = [
            ("main.go", source.as_str()),
            ("config/config.go", "package config\n"),
            ("config/shop-local.yml", "a: b"),
            ("config/other.yml", "mail: \"./pages/mail.html\"\n"),
            ("pages/mail.html", "x"),
            ("docker-compose.local.yml", "services:\n  a:\n    build:\n      context: ./\n"),
        ];
        read(&files).variables["assets"]["paths"].clone()
    };
    assert_eq!(assets("load(\"./config/shop-local\")"), json!(["config/shop-local.yml"]));
    assert_eq!(assets("viper.AddConfigPath(\".\")"), json!([]));
    assert_eq!(assets("path := fmt.Sprintf(\"%s/config/shop-local.yml\", wd)"), json!(["config/shop-local.yml"]));
    assert_eq!(assets("path := wd + \"/config/shop-local.yml\""), json!(["config/shop-local.yml"]));
    assert_eq!(assets("path := \"/config/shop-local.yml\""), json!([]));
    assert_eq!(assets("os.ReadFile(fmt.Sprintf(\"./pages/%s\", name))"), json!(["pages"]));
    assert_eq!(assets("os.ReadFile(fmt.Sprintf(\"./config/%s.go\", name))"), json!(["config", "pages/mail.html"]));
    assert_eq!(assets("os.ReadFile(fmt.Sprintf(\"./letters/%s\", name))"), json!([]));
    assert_eq!(assets("flag.String(\"config-dir\", \"config\", \"x\")"), json!(["config", "pages/mail.html"]));
}

#[test]
fn what_go_run_and_an_entry_points_script_start_is_the_program() {
    let arguments = |starts: &str| {
        let dockerfile = format!("FROM a\nRUN go mod download\n{starts}\n");
        let found = read(&[("main.go", MAIN), ("Dockerfile", &dockerfile)]);
        found.arguments.map(|found| found.value.join(" "))
    };
    for (starts, expected) in [
        ("CMD [\"go\", \"run\", \"main.go\"]", None),
        ("CMD go run -race main.go serve --port=80", Some("serve --port=80")),
        ("CMD [\"go\", \"run\", \".\", \"serve\"]", Some("serve")),
        ("CMD [\"go\", \"run\", \"./cmd/other\", \"serve\"]", None),
        ("CMD [\"go\", \"test\", \"serve\"]", None),
        ("ENTRYPOINT [\"/docker-entrypoint.sh\"]\nCMD [\"shop\", \"-addr=:7070\"]", Some("-addr=:7070")),
        ("ENTRYPOINT [\"/docker-entrypoint.sh\"]\nCMD [\"serve\"]", None),
    ] {
        assert_eq!(arguments(starts).as_deref(), expected, "{starts}");
    }
}

#[test]
fn who_listens_on_loopback_is_told_whatever_says_so() {
    let with = |source: &str, more: &[(&str, &str)]| {
        let found = read(&[&[("main.go", source)], more].concat());
        (found.ports[0].value, found.warnings.iter().any(|one| one.code == "listens_on_loopback"))
    };
    let tag = "package main\n\ntype config struct {\n\tListen string `env:\"LISTEN\" envDefault:\"127.0.0.1:3000\"`\n}\n\nfunc main() {}\n";
    assert_eq!(with(tag, &[]), (3000, true));
    let constants = |host: &str| {
        format!("package main\n\nconst (\n\tdefaultHost = \"{host}\"\n\tdefaultPort = 3000\n)\n\nfunc main() {{}}\n")
    };
    assert_eq!(with(&constants("localhost"), &[]), (3000, true));
    assert_eq!(with(&constants("0.0.0.0"), &[]), (3000, false));
    assert_eq!(with(&constants("localhost").replace("defaultHost", "defaultDBHost"), &[]), (3000, false));
    let address = "package main\n\nconst defaultAddr = \"localhost:8080\"\n\nfunc main() {}\n";
    assert_eq!(with(address, &[]), (8080, true));
    let told = ("Dockerfile", "FROM a\nENTRYPOINT [\"/shop\"]\nCMD [\"-addr=:8080\"]\n");
    assert_eq!(with(address, &[told]), (8080, false));
    let framework = "package main\n\nimport \"github.com/gobuffalo/buffalo\"\n\nfunc main() {}\n";
    assert_eq!(read(&[("main.go", framework)]).image_env["ADDR"].value, "0.0.0.0");
}

#[test]
fn words_that_only_touch_say_nothing_of_another_address() {
    // `core.port` is no report, and what completes a host with its scheme's port listens nowhere.
    let source = main(
        "v.SetDefault(\"core.port\", \"8088\")\n\tv.SetDefault(\"back_end_port\", \"8089\")\n\tu := host + \":80\"",
    );
    assert_eq!(ports(&[("main.go", &source)]), [8088]);
    assert_eq!(ports(&[("main.go", &main("u := host + \":80\""))]), Vec::<u16>::new());
    let table = main("m := map[string]any{\"server.port\": \"8090\", \"metrics.port\": \"6061\", \"http\": \"80\"}");
    assert_eq!(ports(&[("main.go", &table)]), [8090]);
    let flags = main(
        "f.Int32P(name, \"p\", 8013, \"Port to listen on\")\n\tf.Int32P(other, \"m\", 8014, \"Port for management\")",
    );
    assert_eq!(ports(&[("main.go", &flags)]), [8013]);
    let chained = "package main\n\nvar a = kingpin.Flag(\"graphite.listen-address\", \"x\").Default(\":9109\").String()\n\
                   var b = kingpin.Flag(\"x.listen-address\", \"x\").Default(\":9110\").String()\n\n\
                   func main() { flags.AddFlags(kingpin.CommandLine, \":9108\") }\n";
    assert_eq!(ports(&[("main.go", chained), ("Dockerfile", "FROM a\nEXPOSE 9108 9109 9109/udp\n")]), [9108, 9109]);
    // Where chains of calls say all of them, the Dockerfile says more.
    let all = "package main\n\nvar a = kingpin.Flag(\"listen\", \"x\").Default(\":9102\").String()\n\nfunc main() {}\n";
    assert_eq!(ports(&[("main.go", all), ("Dockerfile", "FROM a\nEXPOSE 9102 9125\n")]), [9102, 9125]);
    let framework = "package main\n\nimport \"github.com/astaxie/beego\"\n\nfunc main() { beego.Run() }\n";
    let settings = ("conf/app.conf", "appname = shop\nHTTPPort = 8080\ndb.port = 3306\n");
    assert_eq!(ports(&[("main.go", framework), settings, ("Dockerfile", "FROM a\nEXPOSE 8080 443\n")]), [8080]);
}

#[test]
fn a_directory_that_a_function_of_the_program_is_given_is_beside_it() {
    let source = "package main\n\nfunc main() { r.Get(\"/*\", Pages(\"public\")) }\n\nfunc Pages(publicDir string) http.Handler { return nil }\n";
    let found = read(&[("main.go", source), ("public/index.html", "x")]);
    assert_eq!(found.variables["assets"], json!({ "directory": "", "paths": ["public"] }));
}

#[test]
fn what_is_said_of_a_flag_may_be_a_phrase() {
    let of = |usage: &str| main(&format!("flag.StringVar(&c.Where, \"a\", \"localhost:7080\", \"{usage}\")"));
    for (usage, expected) in
        [("HTTP server address", vec![7080]), ("database server address", vec![]), ("address of the ledger", vec![])]
    {
        assert_eq!(ports(&[("main.go", &of(usage))]), expected, "{usage}");
    }
    let codes: Vec<_> = read(&[("main.go", &of("Server address"))]).warnings.into_iter().map(|one| one.code).collect();
    assert_eq!(codes, ["listens_on_loopback"]);
}

#[test]
fn what_the_machine_alone_reaches_is_no_second_port() {
    let tag = |name: &str, address: &str| format!("\t{name} string `default:\"{address}\"`\n");
    let source = |rest: &str| {
        format!("package main\n\ntype c struct {{\n{}{rest}}}\n\nfunc main() {{}}\n", tag("ListenAddr", "0.0.0.0:7080"))
    };
    let both = |address: &str| ports(&[("main.go", &source(&tag("HTTPAddr", address)))]);
    assert_eq!(both("localhost:7112"), [7080]);
    assert_eq!(both(":7112"), [7080, 7112]);
}

#[test]
fn a_variable_of_a_group_is_not_the_programs_port() {
    let source = "package main\n\ntype options struct {\n\tListen string `long:\"listen\" env:\"LISTEN\" default:\":7080\"`\n\tEmail struct {\n\t\t\
                  Port int `long:\"port\" env:\"PORT\" default:\"587\"`\n\t} `group:\"email\" env-namespace:\"EMAIL\"`\n}\n\nfunc main() {}\n";
    let found = read(&[("main.go", source)]);
    assert_eq!((found.ports.first().map(|port| port.value), found.image_env.len()), (Some(7080), 0));
    let asked = read(&[("main.go", &main("listen(getPort(\"PORT\"))"))]);
    assert_eq!(asked.image_env.get("PORT").map(|port| port.value.as_str()), Some("8080"));
}
