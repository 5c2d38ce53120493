//! Dockerfiles from the toolchains' templates, and the proof that a rendered one only assembles.
//!
//! A value reaches the text through one of three filters: `exec` (a list of strings as a JSON
//! array), `quote` (a value of `ENV` or `LABEL`), `word` (a path, number or reference). A value
//! without a filter must be a `word`, so forgetting the filter cannot open a hole.

use serde_json::Value;
use tera::{Context, Kwargs, State, Tera, TeraResult};

use super::instruction::{Command, Instruction};
use super::{parse, render as text};

/// The instructions that a generated Dockerfile may hold. `RUN` never is one.
pub const GENERATED: &[&str] = &[
    "FROM",
    "COPY",
    "ENV",
    "WORKDIR",
    "USER",
    "EXPOSE",
    "LABEL",
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
    "VOLUME",
    "STOPSIGNAL",
];

/// Renders a template with a JSON object as its variables.
///
/// # Errors
/// The template's own errors, an undefined variable, a value that a filter refuses, as text for people.
pub fn render(template_text: &str, context: Value) -> Result<String, String> {
    let mut tera = Tera::new();
    tera.set_escape_fn(|value, out| match text::plain(value) {
        Ok(word) => out.write_all(word.as_bytes()),
        Err(error) => Err(std::io::Error::other(format!("{error}; use the filter `exec`, `quote` or `word`"))),
    });
    tera.register_filter("exec", exec);
    tera.register_filter("quote", quote);
    tera.register_filter("word", word);
    let Value::Object(variables) = context else { return Err("a template's variables must be an object".to_owned()) };
    let mut context = Context::new();
    for (name, value) in variables {
        context.insert(name, &value);
    }
    tera.render_str(template_text, &context, true).map_err(|error| whole(&error))
}

/// Reads a generated Dockerfile and refuses everything that does more than assemble: any
/// instruction that is not both in [`GENERATED`] and in `allowed`, shell forms, parser
/// directives, here-documents, and a text that does not begin with `FROM`.
///
/// # Errors
/// What was found, with its line, as text for people.
pub fn verify_generated(text: &str, allowed: &[&str]) -> Result<Vec<Instruction>, String> {
    let file = parse::parse(text).map_err(|error| error.to_string())?;
    if let Some((line, syntax)) = file.syntax {
        return Err(format!("line {line}: a generated Dockerfile asks for the frontend `{syntax}`"));
    }
    match file.instructions.first() {
        Some(first) if first.instruction.name() == "FROM" => {}
        Some(first) => return Err(format!("line {}: a generated Dockerfile does not begin with `FROM`", first.line)),
        None => return Err("a generated Dockerfile is empty".to_owned()),
    }
    let checked = file.instructions.into_iter().map(|located| {
        let (line, instruction) = (located.line, located.instruction);
        let name = instruction.name();
        if !GENERATED.contains(&name) || !allowed.contains(&name) {
            return Err(format!("line {line}: `{name}` may not stand in a generated Dockerfile"));
        }
        if !instruction.heredocs().is_empty() {
            return Err(format!("line {line}: a here-document may not stand in a generated Dockerfile"));
        }
        match &instruction {
            Instruction::Cmd(Command::Shell(_))
            | Instruction::Entrypoint(Command::Shell(_))
            | Instruction::Healthcheck { command: Some(Command::Shell(_)), .. } => {
                Err(format!("line {line}: `{name}` must be a JSON array in a generated Dockerfile"))
            }
            _ => Ok(instruction),
        }
    });
    checked.collect()
}

#[allow(clippy::needless_pass_by_value)] // the filter's signature
fn exec(value: Vec<tera::Value>, _: Kwargs, _: &State) -> TeraResult<tera::Value> {
    let arguments = value.iter().map(|argument| scalar(argument, "exec")).collect::<TeraResult<Vec<_>>>()?;
    safe(text::exec(&arguments))
}

#[allow(clippy::needless_pass_by_value)] // the filter's signature
fn quote(value: tera::Value, _: Kwargs, _: &State) -> TeraResult<tera::Value> {
    safe(text::quoted(&scalar(&value, "quote")?))
}

#[allow(clippy::needless_pass_by_value)] // the filter's signature
fn word(value: tera::Value, _: Kwargs, _: &State) -> TeraResult<tera::Value> {
    safe(text::plain(&scalar(&value, "word")?).map(str::to_owned))
}

fn safe(text: Result<String, text::Unrenderable>) -> TeraResult<tera::Value> {
    text.map(|text| tera::Value::safe_string(&text)).map_err(tera::Error::message)
}

fn scalar(value: &tera::Value, filter: &str) -> TeraResult<String> {
    if value.is_string() || value.is_number() || value.is_bool() {
        Ok(value.to_string())
    } else {
        Err(tera::Error::message(format!(
            "the filter `{filter}` takes texts, numbers and booleans, not {}",
            value.name()
        )))
    }
}

/// The error and what caused it, in one text.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TEMPLATE: &str = "\
FROM {{ base | word }}
{% for layer in layers %}COPY {{ layer | word }}/ /
{% endfor %}ENV PATH=/app/bin {% for key, value in env %}{{ key | word }}={{ value | quote }} {% endfor %}
LABEL {% for key, value in labels %}{{ key | word }}={{ value | quote }} {% endfor %}
WORKDIR {{ workdir | word }}
USER {{ user }}
EXPOSE {% for port in ports %}{{ port }} {% endfor %}
ENTRYPOINT {{ command | exec }}
CMD {{ args | exec }}
";

    fn context(value: &str) -> Value {
        json!({
            "base": "harbor.example.com/base/jre-8@sha256:00", "layers": ["layer-a", "layer-b"], "workdir": "/app",
            "env": {"TZ": value}, "labels": {"team": value}, "user": 10001, "ports": [8080, 9090],
            "command": ["java", value], "args": [value, value],
        })
    }

    fn shape(text: &str) -> Vec<&'static str> {
        verify_generated(text, GENERATED).unwrap().iter().map(Instruction::name).collect()
    }

    #[test]
    fn a_rendered_template_assembles() {
        let text = render(TEMPLATE, context("Asia/Shanghai")).unwrap();
        assert_eq!(
            shape(&text),
            ["FROM", "COPY", "COPY", "ENV", "LABEL", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT", "CMD"]
        );
        assert!(text.contains("ENTRYPOINT [\"java\",\"Asia/Shanghai\"]"), "{text}");
    }

    #[test]
    fn a_forgotten_filter_opens_nothing() {
        let error = render("USER {{ user }}\n", json!({"user": "1\nRUN id"})).unwrap_err();
        assert!(error.contains("filter"), "{error}");
        assert!(render("USER {{ user }}\n", json!({"user": ["1\nRUN id"]})).is_err());
        assert!(render("USER {{ user }}\n", json!({})).is_err());
        assert!(render("USER {{ user | word }}\n", json!({"user": "a b"})).is_err());
        assert!(render("CMD {{ user | exec }}\n", json!({"user": "a b"})).is_err());
    }

    #[test]
    fn what_does_more_than_assemble_is_refused() {
        for text in [
            "",
            "COPY a /\n",
            "FROM a\nRUN id\n",
            "FROM a\nADD http://x /\n",
            "FROM a\nCMD id\n",
            "FROM a\nHEALTHCHECK CMD id\n",
            "FROM a\nONBUILD RUN id\n",
            "# syntax=x\nFROM a\n",
            "FROM a\nCOPY <<A /\nA\n",
        ] {
            assert!(verify_generated(text, GENERATED).is_err(), "{text}");
        }
        assert!(verify_generated("FROM a\nRUN id\n", &["FROM", "RUN"]).is_err());
        assert!(verify_generated("FROM a\nUSER 1\n", &["FROM"]).is_err());
    }

    proptest! {
        #[test]
        fn hostile_values_keep_the_shape(
            value in prop_oneof![any::<String>(), "[a \"'$\\{}\\[\\]\\\\\n\r\t#=,<:-]{0,16}", "\n?RUN .{0,8}"]
        ) {
            match render(TEMPLATE, context(&value)) {
                Err(_) => prop_assert!(value.contains(['\0', '\n'])),
                Ok(text) => {
                    let expected = render(TEMPLATE, context("x")).unwrap();
                    prop_assert_eq!(shape(&text), shape(&expected));
                    let instructions = verify_generated(&text, GENERATED).unwrap();
                    prop_assert_eq!(
                        &instructions[9],
                        &Instruction::Cmd(Command::Exec(vec![value.clone(), value.clone()]))
                    );
                    let Instruction::Env(pairs) = &instructions[3] else { panic!() };
                    prop_assert_eq!(pairs[1].1.as_literal(), Some(value.as_str()));
                }
            }
        }
    }
}
