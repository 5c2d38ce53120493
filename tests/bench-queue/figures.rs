//! A figure beside what is wanted of it, as a row of a table.

use std::fmt;

/// A figure.
#[derive(Clone)]
pub(crate) struct Figure {
    name: &'static str,
    value: f64,
    wanted: f64,
    unit: &'static str,
    at_least: bool,
}

impl Figure {
    /// One that should be no more than that.
    pub(crate) fn most(name: &'static str, value: f64, wanted: f64, unit: &'static str) -> Self {
        Self { name, value, wanted, unit, at_least: false }
    }

    /// One that should be no less than that.
    #[allow(dead_code, reason = "each of the programs that print figures uses what it needs")]
    pub(crate) fn least(name: &'static str, value: f64, wanted: f64, unit: &'static str) -> Self {
        Self { name, value, wanted, unit, at_least: true }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, wanted, unit, at_least } = self;
        let sign = if *at_least { '≥' } else { '≤' };
        let missed = if (*at_least && value >= wanted) || (!at_least && value <= wanted) { "" } else { " (missed)" };
        write!(f, "| {name} | {value:.1} {unit}{missed} | {sign} {wanted} {unit} |")
    }
}

/// The value below which that part of all values lies.
pub(crate) fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
    let index = (part * last as f64).round() as usize;
    values[index]
}
