//! Modules in, what they say out.

use super::super::module::{Argument, Reference};
use super::*;

#[test]
fn names_follow_imports() {
    let module = parse(
        "import flask\nimport a.b as ab\nfrom fastapi import FastAPI as F\nfrom .x import make\nfrom . import y\n\
         # app = Nothing()\napp = flask.Flask(__name__)\nb: F = F()\ntry:\n    c = d = make()\nexcept E:\n    pass\n\
         e = ab.C\nif __name__ == '__main__':\n    z = F()\n",
    )
    .unwrap();
    let said: Vec<_> = module
        .assignments
        .iter()
        .map(|a| match &a.value {
            Value::Call(r) => format!("{}:{}={}()", a.line, a.target, r.dotted),
            Value::Name(r) => format!("{}:{}={}", a.line, a.target, r.dotted),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        said,
        ["7:app=flask.Flask()", "8:b=fastapi.FastAPI()", "10:c=.x.make()", "10:d=.x.make()", "13:e=a.b.C"]
    );
    assert_eq!(module.main_guard, Some(14));
    assert_eq!(module.imports.names["y"], ".y");
}

#[test]
fn functions_and_their_parameters() {
    let module = parse(
        "from flask import Flask\ndef a(x=None, *args, y: int = 1, **kw):\n    app = Flask(__name__)\n    return app\n\
         def b(x): return Flask(x)\nasync def c(): return 1\ndef d(x: str): pass\ndef e(*, k): pass\ndef f(*a: int): pass\n",
    )
    .unwrap();
    let callable: Vec<_> = module.functions.iter().map(|f| (f.name.as_str(), f.callable)).collect();
    assert_eq!(callable, [("a", true), ("b", false), ("c", false), ("d", false), ("e", false), ("f", true)]);
    assert_eq!(module.functions[0].returns, [Value::Name(Reference { dotted: "app".into(), imported: false })]);
}

#[test]
fn calls_with_their_arguments() {
    let module = parse(
        "from tornado.ioloop import IOLoop\nos.environ.setdefault('A', \"x.settings\")\ns.listen(8_888, address='::')\n\
         IOLoop.current().start()\n",
    )
    .unwrap();
    assert_eq!(module.calls[0].arguments, [Argument::Text("A".into()), Argument::Text("x.settings".into())]);
    assert_eq!(module.calls[1].arguments, [Argument::Integer(8888)]);
    assert_eq!(module.calls[2].callee.dotted, "tornado.ioloop.IOLoop.current.start");
}

#[test]
fn syntax_errors_hide_only_themselves() {
    let module = parse("from flask import Flask\nprint 'python 2'\nx = = 3\napp = Flask(__name__)\n").unwrap();
    assert!(module.assignments.iter().any(|a| a.target == "app"));
}

#[test]
fn deep_nesting_is_no_harm() {
    assert!(parse(&"(".repeat(20_000)).is_some());
    assert!(parse(&format!("x = {}", "a.".repeat(20_000))).is_some());
    assert!(parse(&"if x:\n ".repeat(2_000)).is_some());
}
