//! Charts of a report as inline SVG: CPU, memory, and what threads waited for, by time.

use std::fmt::Write as _;

use super::super::form::{Amount, Report, ReportSeries};
use super::super::print::state_text;
use super::super::words::{bytes, day, ns, number, second};
use super::escape::escaped;

/// Size of a chart in its own units.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 170.0;
/// Place of the figures beside and below it.
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 20.0;
const TOP: f64 = 8.0;
/// Times below a chart.
const TIMES: usize = 5;
/// A limit above this multiple of the highest value is not drawn: it would flatten the chart.
const MAX_LIMIT: f64 = 3.0;

/// The states in which somebody runs or waits for something that was asked for, with their colours. They
/// are those of the page (server/ui, budget.ts).
const STATES: [(&str, &str); 7] = [
    ("running", "#009e73"),
    ("core", "#d55e00"),
    ("disk", "#e69f00"),
    ("network", "#56b4e9"),
    ("lock", "#cc79a7"),
    ("pipe", "#7b68c8"),
    ("other", "#88705a"),
];

/// One area of a stack.
struct Layer<'a> {
    /// Attributes that give it its colour.
    paint: String,
    values: &'a [Option<f64>],
}

struct Chart<'a> {
    title: &'static str,
    layers: Vec<Layer<'a>>,
    limit: Option<f64>,
    text: fn(f64) -> String,
    /// The scale is divided into parts of a power of this.
    base: f64,
    /// Names of the layers, if there are several.
    legend: Vec<(&'static str, &'static str)>,
}

/// All charts for which there are figures.
pub(super) fn charts(report: &Report) -> String {
    let series = &report.series;
    let memory: Vec<Option<f64>> = series
        .memory_bytes
        .iter()
        .map(|bytes| bytes.map(|bytes| bytes as f64))
        .collect();
    let limit = |amount: &Option<Amount>| amount.as_ref().map(|amount| amount.value);
    let states: Vec<(&str, &str, &[Option<f64>])> = STATES
        .into_iter()
        .filter_map(|(state, colour)| {
            let found = series.states.iter().find(|it| it.state == state)?;
            Some((state, colour, found.threads.as_slice()))
        })
        .collect();
    let charts = [
        Chart {
            title: "Cores used",
            layers: vec![Layer {
                paint: "class=\"cpu\"".to_owned(),
                values: &series.cores,
            }],
            limit: limit(&report.cpu.cores_had),
            text: number,
            base: 10.0,
            legend: Vec::new(),
        },
        Chart {
            title: "Memory",
            layers: vec![Layer {
                paint: "class=\"memory\"".to_owned(),
                values: &memory,
            }],
            limit: limit(&report.memory.had),
            text: |value| bytes(value as u64),
            base: 2.0,
            legend: Vec::new(),
        },
        Chart {
            title: "What threads did and waited for (number of threads on average)",
            layers: states
                .iter()
                .map(|(_, colour, values)| Layer {
                    paint: format!("fill=\"{colour}\""),
                    values,
                })
                .collect(),
            limit: None,
            text: number,
            base: 10.0,
            legend: states
                .iter()
                .map(|(state, colour, _)| (*state, *colour))
                .collect(),
        },
    ];
    charts.iter().map(|chart| figure(chart, series)).collect()
}

fn figure(chart: &Chart<'_>, series: &ReportSeries) -> String {
    let steps = series.cores.len();
    let top = (0..steps).map(|step| sum(&chart.layers, step).unwrap_or(0.0));
    let top = top.fold(0.0, f64::max);
    if top <= 0.0 || !top.is_finite() {
        return String::new();
    }
    let limit = chart
        .limit
        .filter(|limit| *limit > 0.0 && *limit <= MAX_LIMIT * top);
    let part = part(top.max(limit.unwrap_or(0.0)), chart.base);
    let scale = part * (top.max(limit.unwrap_or(0.0)) / part).ceil();
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / scale);
    let x = |step: usize| LEFT + (WIDTH - LEFT) * step as f64 / steps as f64;
    let mut out = format!(
        "<figure>\n<figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{}: highest mean of {} s: {}\">\n",
        chart.title,
        chart.title,
        series.step_seconds,
        (chart.text)(top)
    );
    for index in 0..=(scale / part).round() as u32 {
        let value = part * f64::from(index);
        let text = escaped(&(chart.text)(value));
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>\
             <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{text}</text>",
            y(value),
            LEFT - 6.0,
            y(value) + 4.0
        );
    }
    let mut base = vec![0.0; steps];
    for layer in &chart.layers {
        let path = area(layer.values, &mut base, &x, &y);
        let _ = writeln!(out, "<path {} d=\"{path}\"/>", layer.paint);
    }
    if let Some(limit) = limit {
        let _ = writeln!(
            out,
            "<line class=\"limit\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>",
            y(limit)
        );
    }
    out.push_str(&times(series, steps, &x));
    out.push_str("</svg>\n");
    out.push_str(&legend(&chart.legend));
    out.push_str("</figure>\n");
    out
}

/// The top of the stack in a step; `None` where nothing is known.
fn sum(layers: &[Layer<'_>], step: usize) -> Option<f64> {
    let values = layers.iter().filter_map(|layer| *layer.values.get(step)?);
    values.reduce(|sum, value| sum + value)
}

/// Length of the parts of a scale up to `top`: a power of `base`, or 2 or 5 times one of 10, so that there
/// are at most four.
fn part(top: f64, base: f64) -> f64 {
    let power = base.powf((top / 4.0).log(base).floor());
    let steps: &[f64] = if base == 10.0 {
        &[1.0, 2.0, 5.0, 10.0]
    } else {
        &[1.0, 2.0]
    };
    let enough = steps
        .iter()
        .map(|step| step * power)
        .find(|part| part * 4.0 >= top);
    enough.unwrap_or(power * base)
}

/// An area above `base`, which it raises. Each step has its own height, and gaps have none.
fn area(
    values: &[Option<f64>],
    base: &mut [f64],
    x: &dyn Fn(usize) -> f64,
    y: &dyn Fn(f64) -> f64,
) -> String {
    let mut path = String::new();
    for (step, (value, base)) in values.iter().zip(base).enumerate() {
        let Some(value) = value.filter(|value| *value > 0.0) else {
            continue;
        };
        let (low, high) = (y(*base), y(*base + value));
        // Writing to a string does not fail.
        let _ = write!(
            path,
            "M{:.1} {low:.1}V{high:.1}H{:.1}V{low:.1}Z",
            x(step),
            x(step + 1)
        );
        *base += value;
    }
    path
}

/// The times below a chart.
fn times(series: &ReportSeries, steps: usize, x: &dyn Fn(usize) -> f64) -> String {
    let mut out = String::new();
    let count = TIMES.min(steps);
    // The time of day says nothing over several days.
    let is_long = steps as u64 * series.step_seconds >= 86_400;
    let time = |at: f64| match is_long {
        true => day(ns(at)),
        false => second(ns(at)),
    };
    for index in 0..count {
        let step = index * steps / count;
        let at = series.from + (step as u64 * series.step_seconds) as f64;
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\">{}</text>",
            x(step),
            HEIGHT - 5.0,
            escaped(&time(at))
        );
    }
    out
}

fn legend(names: &[(&'static str, &'static str)]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let items = names.iter().map(|(state, colour)| {
        let text = escaped(state_text(state));
        format!(
            "<li><svg viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect width=\"1\" height=\"1\" \
             fill=\"{colour}\"/></svg>{text}</li>\n"
        )
    });
    format!(
        "<ul class=\"legend\">\n{}</ul>\n",
        items.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::{area, part};

    #[test]
    fn a_scale_has_few_round_parts() {
        let tens = [0.3, 1.0, 2.0, 3.7, 8.0, 64.0].map(|top| part(top, 10.0));
        assert_eq!(tens, [0.1, 0.5, 0.5, 1.0, 2.0, 20.0]);
        let twos = [1024.0, 1.5 * 1024.0, 5.0 * 1024.0].map(|top| part(top, 2.0));
        assert_eq!(twos, [256.0, 512.0, 2048.0]);
    }

    #[test]
    fn areas_are_stacked_and_have_gaps() {
        let mut base = vec![1.0, 0.0, 2.0];
        let values = [Some(1.0), None, Some(3.0)];
        let path = area(&values, &mut base, &|step| step as f64, &|value| -value);
        assert_eq!(path, "M0.0 -1.0V-2.0H1.0V-1.0ZM2.0 -2.0V-5.0H3.0V-2.0Z");
        assert_eq!(base, [2.0, 0.0, 5.0]);
    }
}
