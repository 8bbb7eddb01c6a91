//! The picture: for the first measure of a run, the time of every contender relative to pfplane's, by number of flows. It
//! shows what one gains at one's size.

use super::report::Measure;
use std::fmt::Write as _;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 60.0;
/// Distance of two lines of the legend.
const LINE: f64 = 18.0;
/// More than the width of any letter of the legend.
const LETTER: f64 = 7.5;

/// Colours that colour-blind readers can tell apart (Okabe and Ito). Printed in grey, dashes and markers tell lines apart.
const COLOURS: [&str; 7] = ["#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const DASHES: [&str; 3] = ["none", "7 4", "2 3"];
/// Markers around the origin.
const MARKERS: [&str; 4] = ["M-4-4h8v8h-8z", "M0-5l5 9h-10z", "M-5 0l5-5 5 5-5 5z", "M-4-4l8 8M4-4l-8 8"];

/// A contender's ratios, by the number of the size.
struct Curve<'a> {
    name: &'a str,
    style: usize,
    ratios: Vec<Option<f64>>,
}

/// Draws the first measure at all its sizes as SVG.
pub(crate) fn draw(measures: &[Measure]) -> String {
    let Some(first) = measures.first() else { return String::new() };
    let sizes: Vec<&Measure> = measures.iter().filter(|measure| measure.name == first.name).collect();
    let curves = curves(&sizes);
    let longest = curves.iter().map(|curve| curve.name.len()).max().unwrap_or(0);
    let (width, height) = (LEFT + WIDTH + 50.0 + LETTER * longest as f64, TOP + HEIGHT + BOTTOM);
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{}</text>\n\
         <text x=\"{LEFT}\" y=\"44\">time relative to that of {} (more is slower), by number of flows</text>",
        first.name,
        first.timings.first().map_or("pfplane", |timing| timing.name.as_str())
    );
    let all = curves.iter().flat_map(|curve| curve.ratios.iter().flatten().copied());
    let top = all.fold(2.0, f64::max).ceil();
    draw_axes(&mut svg, &sizes, top);
    curves.iter().for_each(|curve| curve.draw(&mut svg, top));
    draw_legend(&mut svg, curves, top);
    svg + "</svg>\n"
}

/// Returns the contenders of all sizes, in the order of the report.
fn curves<'a>(sizes: &[&'a Measure]) -> Vec<Curve<'a>> {
    let mut names: Vec<&str> = Vec::new();
    for timing in sizes.iter().flat_map(|measure| &measure.timings) {
        if !names.contains(&timing.name.as_str()) {
            names.push(&timing.name);
        }
    }
    let ratios = |name: &str| sizes.iter().map(|measure| ratio(measure, name)).collect();
    (0..).zip(names).map(|(style, name)| Curve { name, style, ratios: ratios(name) }).collect()
}

fn x(index: usize, sizes: usize) -> f64 {
    LEFT + WIDTH * (index as f64 + 0.5) / sizes as f64
}

fn y(ratio: f64, top: f64) -> f64 {
    TOP + HEIGHT * (1.0 - ratio / top)
}

fn draw_axes(svg: &mut String, sizes: &[&Measure], top: f64) {
    for ratio in 0..=top as u32 {
        let (at, ink) = (y(f64::from(ratio), top), if ratio == 1 { "#777" } else { "#ddd" });
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at}h{WIDTH}\" stroke=\"{ink}\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{ratio}x</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    for (index, measure) in sizes.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(index, sizes.len()),
            TOP + HEIGHT + 22.0,
            short(measure.size)
        );
    }
}

/// Writes the names in the order in which the curves end, each beside the end of its own where there is space.
fn draw_legend(svg: &mut String, mut curves: Vec<Curve<'_>>, top: f64) {
    curves.sort_by(|one, other| other.last().total_cmp(&one.last()));
    let lowest = TOP + HEIGHT - LINE * (curves.len() as f64 - 1.0);
    let mut free = TOP - LINE;
    for (n, curve) in curves.iter().enumerate() {
        free = y(curve.last(), top).max(free + LINE).min(lowest + LINE * n as f64);
        let from = LEFT + WIDTH + 4.0;
        let _ = writeln!(
            svg,
            "<path d=\"M{from} {free}h28\" {}/>{}<text x=\"{}\" y=\"{}\">{}</text>",
            curve.stroke(),
            curve.marker(from + 14.0, free),
            from + 36.0,
            free + 4.0,
            curve.name
        );
    }
}

impl Curve<'_> {
    fn draw(&self, svg: &mut String, top: f64) {
        let place =
            |(index, ratio): (usize, &Option<f64>)| Some((x(index, self.ratios.len()), y((*ratio)?, top)));
        let points: Vec<(f64, f64)> = self.ratios.iter().enumerate().filter_map(place).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" {}/>", line.join(" "), self.stroke());
        for (x, y) in points {
            svg.push_str(&self.marker(x, y));
        }
        svg.push('\n');
    }

    /// Returns the ratio at the largest size that was measured.
    fn last(&self) -> f64 {
        self.ratios.iter().rev().find_map(|ratio| *ratio).unwrap_or(0.0)
    }

    fn colour(&self) -> &'static str {
        COLOURS[self.style % COLOURS.len()]
    }

    fn stroke(&self) -> String {
        let dashes = DASHES[self.style % DASHES.len()];
        format!("fill=\"none\" stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"", self.colour())
    }

    fn marker(&self, x: f64, y: f64) -> String {
        let (shape, colour) = (MARKERS[self.style % MARKERS.len()], self.colour());
        format!(
            "<path d=\"{shape}\" transform=\"translate({x} {y})\" fill=\"{colour}\" stroke=\"{colour}\"/>"
        )
    }
}

/// Returns a number of flows as one says it.
fn short(size: u32) -> String {
    match size {
        1_000_000.. if size.is_multiple_of(1_000_000) => format!("{}M", size / 1_000_000),
        1000.. if size.is_multiple_of(1000) => format!("{}K", size / 1000),
        _ => size.to_string(),
    }
}

fn ratio(measure: &Measure, name: &str) -> Option<f64> {
    let timing = measure.timings.iter().find(|timing| timing.name == name)?;
    Some(timing.over(&measure.timings[0])).filter(|ratio| ratio.is_finite())
}
