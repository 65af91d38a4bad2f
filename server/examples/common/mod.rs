//! Output of the benchmarks.

/// Prints a figure as a line of JSON.
pub(crate) fn print(bench: &str, case: &str, variant: &str, value: f64, unit: &str) {
    println!(
        r#"{{"bench":"{bench}","case":"{case}","variant":"{variant}","value":{value:.2},"unit":"{unit}"}}"#
    );
}
