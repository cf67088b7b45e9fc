//! The requests of a run, held against Permit's limits over its time.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::watch::Sample;
use crate::permit::{Counts, Limits};

/// Points of a line: more than a phone has room for are not drawn.
const POINTS: usize = 200;
/// The drawing's own measures; the page scales it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;

/// One limit: so many requests in any window of this length.
struct Limit {
    name: &'static str,
    window: Duration,
    most: u32,
    of: fn(&Counts) -> u64,
}

/// A figure for each limit: the most that fell into one window, and a line of it over the run.
pub(super) fn charts(html: &mut String, limits: &Limits, samples: &[Sample]) {
    let minute = Duration::from_mins(1);
    for (name, most) in limits.per_minute() {
        let limit = match name {
            "all" => Limit {
                name: "all requests in a minute",
                window: minute,
                most,
                of: |counts| counts.read + counts.write + counts.bulk,
            },
            "write" => Limit {
                name: "writes in a minute",
                window: minute,
                most,
                of: |counts| counts.write + counts.bulk,
            },
            // Documented as 100 in 10 minutes.
            "bulk" => Limit {
                name: "bulk calls in ten minutes",
                window: minute * 10,
                most: most * 10,
                of: |counts| counts.bulk,
            },
            // Deletions are counted among the writes.
            _ => continue,
        };
        chart(html, &limit, samples);
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures of a drawing")]
fn chart(html: &mut String, limit: &Limit, samples: &[Sample]) {
    let Limit { name, window, most, of } = limit;
    let used = in_windows(samples, *window, *of);
    let peak = used.iter().copied().max().unwrap_or(0);
    let class = if peak > u64::from(*most) { " class=\"bad\"" } else { "" };
    let length = samples.last().map_or(Duration::ZERO, |(time, _)| *time);
    let _ = write!(html, "<figure><figcaption{class}>{name}: at most {peak} of {most}</figcaption>");
    if samples.len() > 1 && !length.is_zero() {
        let top = f64::from(*most).max(peak as f64) * 1.05;
        let y = |value: f64| HEIGHT - value / top * HEIGHT;
        let every = used.len().div_ceil(POINTS);
        let mut line = String::new();
        for (place, (value, (time, _))) in used.iter().zip(samples).enumerate() {
            if place % every == 0 || place + 1 == used.len() {
                let x = time.as_secs_f64() / length.as_secs_f64() * WIDTH;
                let _ = write!(line, "{x:.1},{:.1} ", y(*value as f64));
            }
        }
        let limit = y(f64::from(*most));
        let _ = write!(
            html,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{name}, at most {peak} of {most}, over {:.0} seconds\">\
             <line class=\"limit\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{limit:.1}\" y2=\"{limit:.1}\"/>\
             <polyline points=\"{}\"/></svg>",
            length.as_secs_f64(),
            line.trim_end()
        );
    }
    html.push_str("</figure>\n");
}

/// For each sample, the requests in the window that ends with it.
fn in_windows(samples: &[Sample], window: Duration, of: fn(&Counts) -> u64) -> Vec<u64> {
    let mut first = 0;
    let mut used = Vec::with_capacity(samples.len());
    for (time, counts) in samples {
        let start = time.saturating_sub(window);
        while samples.get(first + 1).is_some_and(|(next, _)| *next <= start) {
            first += 1;
        }
        // Before the first sample nothing had been sent.
        let before = samples.get(first).filter(|(at, _)| *at <= start && !start.is_zero());
        used.push(of(counts) - before.map_or(0, |(_, counts)| of(counts)));
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64, write: u64) -> Sample {
        (Duration::from_secs(seconds), Counts { write, ..Counts::default() })
    }

    #[test]
    fn a_window_holds_what_was_sent_in_it_and_nothing_before() {
        let samples = [sample(0, 5), sample(30, 100), sample(60, 200), sample(90, 250), sample(400, 251)];
        let used = in_windows(&samples, Duration::from_mins(1), |counts| counts.write);
        assert_eq!(used, [5, 100, 200, 150, 1]);
    }

    #[test]
    fn a_chart_names_the_peak_and_the_limit() {
        let mut html = String::new();
        charts(&mut html, &Limits::default(), &[sample(0, 0), sample(10, 320)]);
        assert!(html.contains("class=\"bad\">writes in a minute: at most 320 of 300"), "{html}");
        assert!(html.contains("bulk calls in ten minutes: at most 0 of 100") && html.contains("<polyline"));
        html.clear();
        charts(&mut html, &Limits::default(), &[]);
        assert!(html.contains("at most 0 of 300") && !html.contains("<svg"));
    }
}
