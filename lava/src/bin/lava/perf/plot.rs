//! Time by size as an SVG picture: each group of rows that has several sizes, and its limit, on logarithmic axes.

use std::fmt::Write;

use super::row::Measured;
use crate::units::{format_nanoseconds, format_size};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;
const COLOURS: [&str; 4] = ["#c2410c", "#0369a1", "#15803d", "#7e22ce"];
/// Groups whose rows differ in size only; the first two make one line.
const LINES: [(&str, &[&str]); 4] = [
    ("untouched", &["latency", "zero-copy"]),
    ("in place", &["in-place"]),
    ("copied in and out", &["copy"]),
    ("send_bytes", &["send-bytes"]),
];

/// A logarithmic axis from one power to another.
struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        self.start + (value.log10() - self.low) / (self.high - self.low) * (self.end - self.start)
    }
}

/// The picture; `title` stands above it.
pub fn svg(rows: &[Measured], title: &str) -> String {
    let sizes = rows.iter().map(|row| row.size.max(1) as f64);
    let times = rows.iter().flat_map(|row| [row.lava.p50, row.limit.p50]);
    let (low, high) = range(sizes);
    let x = Axis { low, high, start: LEFT, end: WIDTH - RIGHT };
    let (low, high) = range(times);
    let y = Axis { low, high, start: HEIGHT - BOTTOM, end: TOP };
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
        escape(title)
    );
    grid(&mut text, &x, &y);
    for (index, (name, groups)) in LINES.iter().enumerate() {
        let mut line: Vec<&Measured> =
            rows.iter().filter(|row| groups.contains(&row.group)).collect();
        line.sort_by_key(|row| row.size);
        if line.is_empty() {
            continue;
        }
        let of = |value: fn(&Measured) -> f64| -> Vec<(f64, f64)> {
            line.iter().map(|row| (x.place(row.size.max(1) as f64), y.place(value(row)))).collect()
        };
        let height = TOP + 20.0 + index as f64 * 44.0;
        let colour = COLOURS[index];
        draw(&mut text, &of(|row| row.lava.p50), colour, false);
        draw(&mut text, &of(|row| row.limit.p50), colour, true);
        legend(&mut text, height, colour, &format!("lava, {name}"), false);
        legend(
            &mut text,
            height + 18.0,
            colour,
            &format!("limit: {}", line[line.len() - 1].limit_name),
            true,
        );
    }
    text.push_str("</svg>\n");
    text
}

/// Whole powers of ten around all values.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = (low.max(1e-3).log10().floor(), high.max(1e-3).log10().ceil());
    (low, if high > low { high } else { low + 1.0 })
}

fn grid(text: &mut String, x: &Axis, y: &Axis) {
    for power in y.low as i32..=y.high as i32 {
        let (height, end) = (y.place(10_f64.powi(power)), WIDTH - RIGHT);
        let label = format_nanoseconds(10_f64.powi(power));
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {height:.1}H{end}\" stroke=\"#dddddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            height + 4.0,
        );
    }
    // Powers of two, since that is what sizes are.
    for power in (0..48).step_by(4).filter(|&power| {
        let digits = f64::from(power) * 2_f64.log10();
        (x.low..=x.high).contains(&digits)
    }) {
        let place = x.place(2_f64.powi(power));
        let label = format_size(1 << power);
        let _ = writeln!(
            text,
            "<path d=\"M{place:.1} {TOP}V{}\" stroke=\"#dddddd\"/><text x=\"{place:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{label}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 20.0,
        );
    }
    let (middle, bottom) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 16.0);
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">bytes of a frame</text>"
    );
}

fn draw(text: &mut String, points: &[(f64, f64)], colour: &str, dashed: bool) {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let dash = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
        path.join(" ")
    );
    if !dashed {
        for (x, y) in points {
            let _ =
                writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
    }
}

fn legend(text: &mut String, height: f64, colour: &str, name: &str, dashed: bool) {
    let start = WIDTH - RIGHT + 20.0;
    draw(text, &[(start, height), (start + 24.0, height)], colour, dashed);
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{}\">{}</text>",
        start + 32.0,
        height + 4.0,
        escape(name)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
