//! Templates of a toolchain's data, over the plan's context. Each argument is rendered alone, so no
//! value can become two arguments.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;
use tera::Tera;

use crate::model::failure::{Failure, FailureCode};
use crate::toolchain::definition::Argument;

/// The values that templates may use, in the form that they want, which takes longer to make than most of them to render.
pub(super) struct Context {
    pub(super) values: Value,
    names: tera::Context,
}

impl Context {
    /// Of the values of a map.
    ///
    /// # Errors
    /// `internal` for what is no map.
    pub(super) fn of(values: Value) -> Result<Self, Failure> {
        let names = tera::Context::from_serialize(&values);
        let names = names.map_err(|error| Failure::new(FailureCode::Internal, format!("{error:#}")))?;
        Ok(Self { values, names })
    }
}

/// Renders one template.
///
/// # Errors
/// `configuration_invalid`: the template is the operator's.
pub(super) fn text(template: &str, context: &Context) -> Result<String, Failure> {
    static TERA: LazyLock<Tera> = LazyLock::new(Tera::default);
    if !template.contains('{') {
        return Ok(template.to_owned());
    }
    TERA.render_str(template, &context.names, false).map_err(|error| {
        let message = format!("the template `{template}` of the toolchain cannot be rendered: {error:#}");
        Failure::new(FailureCode::ConfigurationInvalid, message)
    })
}

/// Whether an expression holds.
pub(super) fn holds(condition: Option<&str>, context: &Context) -> Result<bool, Failure> {
    let Some(condition) = condition else { return Ok(true) };
    Ok(text(&format!("{{% if {condition} %}}yes{{% endif %}}"), context)? == "yes")
}

/// Renders the elements of a command.
pub(super) fn arguments(arguments: &[Argument], context: &Context) -> Result<Vec<String>, Failure> {
    let mut rendered = Vec::new();
    for argument in arguments {
        match argument {
            Argument::One(template) => rendered.push(text(template, context)?),
            Argument::Each(each) if !holds(each.condition.as_deref(), context)? => {}
            Argument::Each(each) => {
                for element in list(&each.each, &context.values) {
                    rendered.extend(each.before.clone());
                    rendered.push(element);
                }
            }
            Argument::When(when) => {
                if holds(Some(&when.condition), context)? {
                    for template in &when.args {
                        rendered.push(text(template, context)?);
                    }
                }
            }
        }
    }
    Ok(rendered)
}

/// Renders the values of a map.
pub(super) fn map(
    templates: &BTreeMap<String, String>,
    context: &Context,
) -> Result<BTreeMap<String, String>, Failure> {
    templates.iter().map(|(key, template)| Ok((key.clone(), text(template, context)?))).collect()
}

/// The strings of a list among the values; absent or null is empty.
fn list(path: &str, values: &Value) -> Vec<String> {
    let value = path.split('.').try_fold(values, |value, key| value.get(key));
    let elements = value.and_then(Value::as_array);
    elements
        .into_iter()
        .flatten()
        .map(|element| element.as_str().map_or_else(|| element.to_string(), str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::definition::{Each, When};
    use serde_json::json;

    #[test]
    fn a_value_stays_one_argument() {
        let values = json!({"settings": {"args": ["-Pa b", "{{ x }}"]}, "name": "a b", "on": true});
        let context = Context::of(values).unwrap();
        let arguments = arguments(
            &[
                Argument::One("mvn".into()),
                Argument::One("-Dname={{ name }}".into()),
                Argument::Each(Each { each: "settings.args".into(), before: None, condition: None }),
                Argument::When(When { condition: "on".into(), args: vec!["-on".into()] }),
                Argument::When(When { condition: "not on".into(), args: vec!["-off".into()] }),
            ],
            &context,
        );
        assert_eq!(arguments.unwrap(), ["mvn", "-Dname=a b", "-Pa b", "{{ x }}", "-on"]);
    }

    #[test]
    fn an_unknown_value_is_the_operators_fault() {
        let failure = text("{{ nothing }}", &Context::of(json!({})).unwrap()).unwrap_err();
        assert_eq!(failure.code, FailureCode::ConfigurationInvalid);
    }
}
