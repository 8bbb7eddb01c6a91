//! The chart: the time of every contender relative to pfplane's, by number of flows.

use super::report::Measure;
use std::fmt::Write as _;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 40.0;
const LEGEND: f64 = 260.0;
const COLOURS: [&str; 9] =
    ["#111111", "#888888", "#c0392b", "#e67e22", "#8e44ad", "#2980b9", "#16a085", "#7f8c1f", "#95a5a6"];

/// One panel: a measure at all its sizes, in ascending order.
struct Panel<'a> {
    name: &'a str,
    measures: Vec<&'a Measure>,
}

/// Draws all measures as SVG, one panel per name.
pub(crate) fn draw(measures: &[Measure]) -> String {
    let mut panels: Vec<Panel<'_>> = Vec::new();
    for measure in measures {
        match panels.iter_mut().find(|panel| panel.name == measure.name) {
            Some(panel) => panel.measures.push(measure),
            None => panels.push(Panel { name: &measure.name, measures: vec![measure] }),
        }
    }
    let (width, row) = (LEFT + WIDTH + LEGEND, TOP + HEIGHT + 50.0);
    let height = row * panels.len() as f64;
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (n, panel) in panels.iter().enumerate() {
        let _ = writeln!(svg, "<g transform=\"translate(0 {})\">", row * n as f64);
        panel.draw(&mut svg);
        svg.push_str("</g>\n");
    }
    svg + "</svg>\n"
}

impl Panel<'_> {
    fn draw(&self, svg: &mut String) {
        let top = self.largest_ratio().ceil().max(2.0);
        let y = |ratio: f64| TOP + HEIGHT * (1.0 - ratio / top);
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}: time relative to pfplane's</text>",
            self.name
        );
        for ratio in 0..=top as u32 {
            let at = y(f64::from(ratio));
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at}h{WIDTH}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{ratio}x</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        for (n, measure) in self.measures.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                self.x(n),
                TOP + HEIGHT + 18.0,
                measure.size
            );
        }
        for (n, name) in self.names().into_iter().enumerate() {
            self.draw_line(svg, n, name, y);
        }
    }

    fn draw_line(&self, svg: &mut String, n: usize, name: &str, y: impl Fn(f64) -> f64) {
        let colour = COLOURS[n % COLOURS.len()];
        let points: Vec<String> = self
            .measures
            .iter()
            .enumerate()
            .filter_map(|(n, measure)| Some(format!("{},{}", self.x(n), y(ratio(measure, name)?))))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>",
            points.join(" "),
            LEFT + WIDTH + 8.0,
            TOP + 16.0 * (n as f64 + 1.0)
        );
    }

    fn x(&self, n: usize) -> f64 {
        LEFT + WIDTH * (n as f64 + 0.5) / self.measures.len() as f64
    }

    /// The contenders, in the order of the first measure that has most of them.
    fn names(&self) -> Vec<&str> {
        let fullest = self.measures.iter().max_by_key(|measure| measure.timings.len());
        fullest.map_or_else(Vec::new, |measure| {
            measure.timings.iter().map(|timing| timing.name.as_str()).collect()
        })
    }

    fn largest_ratio(&self) -> f64 {
        let ratios = self
            .measures
            .iter()
            .flat_map(|measure| measure.timings.iter().filter_map(|timing| ratio(measure, &timing.name)));
        ratios.fold(0.0, f64::max)
    }
}

fn ratio(measure: &Measure, name: &str) -> Option<f64> {
    let timing = measure.timings.iter().find(|timing| timing.name == name)?;
    Some(timing.over(&measure.timings[0])).filter(|ratio| ratio.is_finite())
}
