//! `timeline.svg`: the run as one picture for a browser.
//!
//! ```text
//!   bytes per second, one line per family
//!   one row per connection, coloured by the length of its gaps
//!   one row per UDP flow and ping
//! ```
//!
//! All share one time axis whose zero is the first fault.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use pfplane_testbed::clock::{MILLISECOND, Nanos, SECOND, milliseconds, seconds_since};
use pfplane_testbed::failure::{Context, Fallible};
use pfplane_testbed::traffic::activity::Activity;
use pfplane_testbed::traffic::plan::Family;
use pfplane_testbed::traffic::probe::PROBE_INTERVAL;
use pfplane_testbed::traffic::report::{ConnectionReport, TrafficReport};

use crate::fault::Fault;
use crate::results::outcomes::{EventTimes, Group};
use crate::results::report::Report;

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 24.0;
const CHART_TOP: f64 = 96.0;
const CHART_HEIGHT: f64 = 170.0;
const ROWS_TOP: f64 = CHART_TOP + CHART_HEIGHT + 54.0;
const ROWS_HEIGHT: f64 = 400.0;
const PROBE_ROW: f64 = 6.0;
const MAX_ROWS: usize = 200;
/// The faults whose labels have room.
const MAX_EVENTS: usize = 4;
/// The chart's lines are averages of this many buckets.
const SMOOTHING: usize = 2;

const COLOUR_V4: &str = "#2b6cb0";
const COLOUR_V6: &str = "#c05621";
const KILL: &str = "#c8102e";
const TAKEOVER: &str = "#22543d";
const REJOIN: &str = "#555";

/// The maximum gap beyond the sending interval, its colour and its legend.
const GAPS: [(Nanos, &str, &str); 5] = [
    (0, "#9fd8b4", "data flows"),
    (250 * MILLISECOND, "#f6d860", "gap up to 0.25 s"),
    (SECOND, "#ee9a3a", "up to 1 s"),
    (3 * SECOND, "#d64532", "up to 3 s"),
    (Nanos::MAX, "#5b1a18", "longer"),
];

/// The data of the picture.
pub(crate) struct Timeline<'a> {
    pub report: &'a Report<'a>,
    pub client: &'a TrafficReport,
    pub server: &'a TrafficReport,
}

/// A row of the lower part.
struct Row<'a> {
    /// Arrivals in each direction; the direction with the longer gap determines the colour.
    directions: Vec<&'a Activity>,
    /// The sending interval.
    interval: Nanos,
}

impl Timeline<'_> {
    /// Writes `timeline.svg`.
    pub(crate) fn write(&self, out: &Path) -> Fallible<()> {
        let path = out.join("timeline.svg");
        std::fs::write(&path, self.draw()).context(|| format!("write {}", path.display()))
    }

    fn draw(&self) -> String {
        let rows = self.connection_rows();
        let row_height = (ROWS_HEIGHT / rows.len().max(1) as f64).clamp(2.0, 12.0);
        let rows_bottom = ROWS_TOP + rows.len() as f64 * row_height;
        let probes_top = rows_bottom + 26.0;
        let probes_bottom = probes_top + self.client.probes.len() as f64 * PROBE_ROW;
        let height = probes_bottom + 70.0;
        let mut svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0}' width='{WIDTH}' \
             height='{height:.0}' font-family='sans-serif' font-size='12'>\n\
             <rect width='{WIDTH}' height='{height:.0}' fill='white'/>\n"
        );
        self.draw_title(&mut svg);
        self.draw_gaps(&mut svg, probes_bottom);
        self.draw_chart(&mut svg);
        let (shown, all) = (rows.len(), self.report.evidence.outcomes.len());
        let sampled = if shown < all { format!("{shown} of ") } else { String::new() };
        let interval = self.report.plan.interval_ms;
        let title =
            format!("{sampled}{all} connections, each with a record every {interval} ms in each direction");
        self.draw_rows(&mut svg, &title, ROWS_TOP, row_height, &rows);
        let probes: Vec<Row<'_>> = self
            .client
            .probes
            .iter()
            .map(|probe| Row { directions: vec![&probe.activity], interval: PROBE_INTERVAL })
            .collect();
        self.draw_rows(&mut svg, "pings and UDP flows", probes_top, PROBE_ROW, &probes);
        self.draw_axis(&mut svg, probes_bottom);
        self.draw_marks(&mut svg, probes_bottom);
        draw_legend(&mut svg, probes_bottom + 50.0);
        svg + "</svg>\n"
    }

    /// Returns at most [`MAX_ROWS`] connections, evenly chosen, in the order they were opened.
    fn connection_rows(&self) -> Vec<Row<'_>> {
        let far: HashMap<u32, &ConnectionReport> =
            self.server.connections.iter().map(|report| (report.number, report)).collect();
        let all = &self.client.connections;
        let count = all.len().min(MAX_ROWS);
        let selected = (0..count).map(|row| &all[row * all.len() / count]);
        let interval = self.report.plan.interval();
        selected
            .map(|near| {
                let far = far.get(&near.number).map(|far| &far.activity);
                Row { directions: std::iter::once(&near.activity).chain(far).collect(), interval }
            })
            .collect()
    }

    fn x(&self, time: Nanos) -> f64 {
        let base = self.report.plan.base;
        let span = self.report.evidence.times.stop.saturating_sub(base).max(1) as f64;
        LEFT + (WIDTH - LEFT - RIGHT) * (time.saturating_sub(base) as f64 / span).min(1.0)
    }

    fn draw_title(&self, svg: &mut String) {
        let (survived, opened) = self.report.survived(Group::Established, None);
        let gaps: Vec<String> = (1..=self.report.events.len().min(MAX_EVENTS))
            .filter_map(|event| self.report.gaps(None, event))
            .map(|gap| format!("median {:.0} ms, p99 {:.0} ms, max {:.0} ms", gap.median, gap.p99, gap.max))
            .collect();
        let gap =
            if gaps.is_empty() { String::new() } else { format!("; longest gap: {}", gaps.join(", then ")) };
        let headline = format!("{survived} of {opened} connections survived {}", self.report.evidence.event);
        text(svg, LEFT, 30.0, "start", "font-size='20' font-weight='bold'", &headline);
        let subtitle = format!("{}{gap}", self.report.arguments.mode.description());
        text(svg, LEFT, 50.0, "start", "fill='#444'", &subtitle);
        let families = [(COLOUR_V4, "IPv4"), (COLOUR_V6, "IPv6")];
        for (index, (colour, name)) in families.into_iter().enumerate() {
            let x = WIDTH - RIGHT - 110.0 + 60.0 * index as f64;
            let _ = writeln!(
                svg,
                "<line x1='{x}' x2='{}' y1='46' y2='46' stroke='{colour}' stroke-width='3'/>",
                x + 18.0
            );
            text(svg, x + 22.0, 50.0, "start", "", name);
        }
    }

    /// Shades the time from each fault until half of the surviving connections had data again.
    fn draw_gaps(&self, svg: &mut String, bottom: f64) {
        for (index, event) in self.report.evidence.times.events.iter().enumerate() {
            let Some(end) = self.report.median_resumption(index) else { continue };
            let (left, right) = (self.x(event.begin), self.x(end));
            let (width, height) = ((right - left).max(1.0), bottom - CHART_TOP);
            let _ = writeln!(
                svg,
                "<rect x='{left:.1}' y='{CHART_TOP}' width='{width:.1}' height='{height:.1}' fill='#fbd5d5'/>"
            );
        }
    }

    fn draw_chart(&self, svg: &mut String) {
        let v4 = self.rates(Family::V4);
        let v6 = self.rates(Family::V6);
        let highest = v4.iter().chain(&v6).copied().fold(1.0, f64::max);
        let step = nice_step(highest / 4.0);
        let top = (highest / step).ceil() * step;
        let y = |rate: f64| CHART_TOP + CHART_HEIGHT * (1.0 - rate / top);
        let mut rate = 0.0;
        while rate <= top {
            let height = y(rate);
            let _ = writeln!(
                svg,
                "<line x1='{LEFT}' x2='{}' y1='{height:.1}' y2='{height:.1}' stroke='#ddd'/>",
                WIDTH - RIGHT
            );
            text(svg, LEFT - 6.0, height + 4.0, "end", "fill='#444'", &format!("{:.0}", rate / 1000.0));
            rate += step;
        }
        text(svg, LEFT - 6.0, CHART_TOP - 12.0, "end", "fill='#444'", "kB/s");
        for (rates, colour) in [(v4, COLOUR_V4), (v6, COLOUR_V6)] {
            let points: String = rates
                .iter()
                .enumerate()
                .map(|(bucket, &rate)| format!("{:.1},{:.1} ", self.x(self.bucket_end(bucket)), y(rate)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='1.6'/>"
            );
        }
        self.draw_axis(svg, CHART_TOP + CHART_HEIGHT);
    }

    /// Returns the smoothed bytes per second of all connections of a family, both directions.
    fn rates(&self, family: Family) -> Vec<f64> {
        let buckets = self.buckets();
        let mut bytes = vec![0u64; buckets];
        let ends = self.client.connections.iter().chain(&self.server.connections);
        for report in ends.filter(|report| report.family == family) {
            for (sum, &count) in bytes.iter_mut().zip(&report.activity.buckets) {
                *sum += u64::from(count);
            }
        }
        let width = self.report.plan.bucket_ms as f64 / 1000.0;
        (0..buckets)
            .map(|bucket| {
                let window = &bytes[(bucket + 1).saturating_sub(SMOOTHING)..=bucket];
                window.iter().sum::<u64>() as f64 / (window.len() as f64 * width)
            })
            .collect()
    }

    fn draw_rows(&self, svg: &mut String, title: &str, top: f64, height: f64, rows: &[Row<'_>]) {
        text(svg, LEFT, top - 8.0, "start", "fill='#444'", title);
        for (index, row) in rows.iter().enumerate() {
            let y = top + index as f64 * height;
            for (first, last, colour) in runs(&self.colours(row)) {
                let (left, right) = (self.x(self.bucket_end(first)), self.x(self.bucket_end(last + 1)));
                let _ = writeln!(
                    svg,
                    "<rect x='{left:.1}' y='{y:.1}' width='{:.1}' height='{:.1}' fill='{colour}'/>",
                    right - left,
                    height * 0.9
                );
            }
        }
    }

    /// Returns the colour of each bucket; `None` before data has arrived in both directions.
    fn colours(&self, row: &Row<'_>) -> Vec<Option<&'static str>> {
        let bucket = self.report.plan.bucket_ms * MILLISECOND;
        let mut ages: Vec<Option<Nanos>> = vec![None; row.directions.len()];
        (0..self.buckets())
            .map(|index| {
                for (age, activity) in ages.iter_mut().zip(&row.directions) {
                    let active = activity.buckets.get(index).is_some_and(|&bytes| bytes > 0);
                    *age = if active { Some(0) } else { age.map(|age| age + bucket) };
                }
                let oldest = ages.iter().copied().collect::<Option<Vec<Nanos>>>()?.into_iter().max()?;
                // Two records may be an interval and a bucket apart without a gap.
                Some(colour_of(oldest.saturating_sub(row.interval + bucket)))
            })
            .collect()
    }

    fn draw_axis(&self, svg: &mut String, y: f64) {
        let (plan, times) = (self.report.plan, &self.report.evidence.times);
        let _ =
            writeln!(svg, "<line x1='{LEFT}' x2='{}' y1='{y:.1}' y2='{y:.1}' stroke='#444'/>", WIDTH - RIGHT);
        let span = seconds_since(plan.base, times.stop);
        let step = nice_step(span / 12.0).max(1.0);
        let mut second = (seconds_since(times.first().begin, plan.base) / step).ceil() * step;
        while second <= seconds_since(times.first().begin, times.stop) {
            let x = self.x((times.first().begin as f64 + second * SECOND as f64) as Nanos);
            let _ = writeln!(
                svg,
                "<line x1='{x:.1}' x2='{x:.1}' y1='{y:.1}' y2='{:.1}' stroke='#444'/>",
                y + 4.0
            );
            text(svg, x, y + 17.0, "middle", "fill='#444'", &tick(second));
            second += step;
        }
    }

    fn draw_marks(&self, svg: &mut String, bottom: f64) {
        for (index, event) in self.report.events.iter().enumerate() {
            let EventTimes { begin, takeover, .. } = event.times;
            let labelled = index < MAX_EVENTS;
            let label = if labelled { event.fault.label(event.victim) } else { String::new() };
            self.draw_mark(svg, bottom, begin, (KILL, "end", -5.0, 2.0), &label);
            if !labelled || matches!(event.fault, Fault::Partition(_)) {
                continue;
            }
            let successor = event.victim.other().name();
            let label = format!("{successor} takes over, +{:.0} ms", milliseconds(takeover - begin));
            self.draw_mark(svg, bottom, takeover, (TAKEOVER, "start", 5.0, 2.0), &label);
        }
        if let (Some(rejoin), Some(first)) = (self.report.evidence.times.rejoin, self.report.events.first()) {
            let label = format!("{} is ready again", first.victim.name());
            // Above the other labels: the second fault follows shortly.
            self.draw_mark(svg, bottom, rejoin, (REJOIN, "end", -5.0, -12.0), &label);
        }
    }

    /// Draws a line over the whole height with a label; the style is colour, anchor and the label's offset.
    fn draw_mark(
        &self,
        svg: &mut String,
        bottom: f64,
        time: Nanos,
        (colour, anchor, aside, down): (&str, &str, f64, f64),
        label: &str,
    ) {
        let (x, top) = (self.x(time), CHART_TOP - 16.0 + down.min(0.0));
        let _ = writeln!(
            svg,
            "<line x1='{x:.1}' x2='{x:.1}' y1='{top}' y2='{bottom:.1}' stroke='{colour}' stroke-width='1.2' \
             stroke-dasharray='5 3'/>"
        );
        let style = format!("fill='{colour}' font-weight='bold'");
        text(svg, x + aside, CHART_TOP - 16.0 + down, anchor, &style, label);
    }

    fn buckets(&self) -> usize {
        let span = self.report.evidence.times.stop.saturating_sub(self.report.plan.base);
        (span / (self.report.plan.bucket_ms * MILLISECOND)) as usize
    }

    fn bucket_end(&self, bucket: usize) -> Nanos {
        self.report.plan.base + bucket as u64 * self.report.plan.bucket_ms * MILLISECOND
    }
}

fn draw_legend(svg: &mut String, y: f64) {
    let mut x = LEFT;
    for (_, colour, label) in GAPS {
        let _ = writeln!(svg, "<rect x='{x}' y='{:.1}' width='14' height='12' fill='{colour}'/>", y - 10.0);
        text(svg, x + 19.0, y, "start", "fill='#444'", label);
        x += 45.0 + 6.6 * label.len() as f64;
    }
    let _ = writeln!(svg, "<rect x='{x}' y='{:.1}' width='14' height='12' fill='#fbd5d5'/>", y - 10.0);
    text(svg, x + 19.0, y, "start", "fill='#444'", "until half had data again");
}

fn tick(second: f64) -> String {
    if second.abs() < 0.5 { "0".into() } else { format!("{second:+.0} s") }
}

fn colour_of(gap: Nanos) -> &'static str {
    let (_, colour, _) = GAPS.iter().find(|(max, _, _)| gap <= *max).expect("the last has no maximum");
    colour
}

/// Merges adjacent buckets of one colour: first bucket, last bucket, colour.
fn runs(colours: &[Option<&'static str>]) -> Vec<(usize, usize, &'static str)> {
    let mut runs: Vec<(usize, usize, &'static str)> = Vec::new();
    for (index, colour) in colours.iter().enumerate().filter_map(|(index, colour)| Some((index, (*colour)?)))
    {
        match runs.last_mut() {
            Some((_, last, previous)) if *previous == colour && *last + 1 == index => *last = index,
            _ => runs.push((index, index, colour)),
        }
    }
    runs
}

/// Returns the smallest of 1, 2, 5, 10, 20, ... that is at least `min`.
fn nice_step(min: f64) -> f64 {
    let mut step = 1.0;
    while step < min {
        let leading = step / 10f64.powf(step.log10().floor());
        step *= if (1.5..3.0).contains(&leading) { 2.5 } else { 2.0 };
    }
    step
}

/// Adds text. It is never user input, so nothing is escaped.
fn text(svg: &mut String, x: f64, y: f64, anchor: &str, style: &str, label: &str) {
    let _ = writeln!(svg, "<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}' {style}>{label}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_buckets_of_one_colour_are_merged() {
        let colours = [None, Some("a"), Some("a"), Some("b"), None, Some("b")];
        assert_eq!(runs(&colours), [(1, 2, "a"), (3, 3, "b"), (5, 5, "b")]);
    }

    #[test]
    fn steps_are_one_two_or_five_times_a_power_of_ten() {
        for (min, step) in [(0.3, 1.0), (1.0, 1.0), (1.1, 2.0), (2.5, 5.0), (7.0, 10.0), (130.0, 200.0)] {
            assert_eq!(nice_step(min), step, "{min}");
        }
    }

    #[test]
    fn a_longer_gap_has_a_later_colour() {
        assert_eq!(colour_of(0), GAPS[0].1);
        assert_eq!(colour_of(1), GAPS[1].1);
        assert_eq!(colour_of(2 * SECOND), GAPS[3].1);
        assert_eq!(colour_of(99 * SECOND), GAPS[4].1);
    }
}
