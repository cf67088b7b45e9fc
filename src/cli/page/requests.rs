//! Charts of a run's requests over time, against Permit's limits.

use std::time::Duration;

use crate::cli::screen::figure;
use crate::cli::watch::Sample;
use crate::permit::{Counts, Limits};

/// The most points of a line: a phone has no room for more.
const POINTS: usize = 200;
/// The size of the drawing; the page scales it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;

/// One limit: at most this many requests in any window of this length.
struct Limit {
    name: &'static str,
    window: Duration,
    most: u32,
    of: fn(&Counts) -> u64,
}

/// A chart of one limit and how much of it was used.
pub(super) struct Chart {
    pub(super) caption: String,
    pub(super) is_over: bool,
    pub(super) seconds: String,
    /// The y coordinate of the limit.
    pub(super) limit: String,
    pub(super) points: String,
}

/// One chart per limit; empty if there is nothing to draw.
pub(super) fn charts(limits: &Limits, samples: &[Sample]) -> Vec<Chart> {
    let minute = Duration::from_mins(1);
    let all = limits.per_minute().into_iter().filter_map(|(name, most)| match name {
        "all" => Some(Limit {
            name: "all requests in a minute",
            window: minute,
            most,
            of: |counts| counts.read + counts.write + counts.bulk,
        }),
        "write" => Some(Limit {
            name: "writes in a minute",
            window: minute,
            most,
            of: |counts| counts.write + counts.bulk,
        }),
        // Documented as 100 in 10 minutes.
        "bulk" => Some(Limit {
            name: "bulk calls in ten minutes",
            window: minute * 10,
            most: most * 10,
            of: |counts| counts.bulk,
        }),
        // Deletions count as writes.
        _ => None,
    });
    all.filter_map(|limit| chart(&limit, samples)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "figures of a drawing")]
fn chart(limit: &Limit, samples: &[Sample]) -> Option<Chart> {
    let Limit { name, window, most, of } = limit;
    let length = samples.last().map_or(Duration::ZERO, |(time, _)| *time);
    if samples.len() < 2 || length.is_zero() {
        return None;
    }
    let used = in_windows(samples, *window, *of);
    let peak = used.iter().copied().max().unwrap_or(0);
    let top = f64::from(*most).max(peak as f64) * 1.05;
    let y = |value: f64| HEIGHT - value / top * HEIGHT;
    let every = used.len().div_ceil(POINTS);
    let last = used.len() - 1;
    let drawn =
        used.iter().zip(samples).enumerate().filter(|(place, _)| place % every == 0 || *place == last);
    let points = drawn.map(|(_, (value, (time, _)))| {
        let x = time.as_secs_f64() / length.as_secs_f64() * WIDTH;
        format!("{x:.1},{:.1}", y(*value as f64))
    });
    Some(Chart {
        caption: format!("{name}: at most {} of {}", figure(peak), figure(u64::from(*most))),
        is_over: peak > u64::from(*most),
        seconds: format!("{:.0}", length.as_secs_f64()),
        limit: format!("{:.1}", y(f64::from(*most))),
        points: points.collect::<Vec<_>>().join(" "),
    })
}

/// For each sample, the number of requests in the window that ends with it.
fn in_windows(samples: &[Sample], window: Duration, of: fn(&Counts) -> u64) -> Vec<u64> {
    let mut first = 0;
    let mut used = Vec::with_capacity(samples.len());
    for (time, counts) in samples {
        let start = time.saturating_sub(window);
        while samples.get(first + 1).is_some_and(|(next, _)| *next <= start) {
            first += 1;
        }
        // No request was sent before the first sample.
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
        let drawn = charts(&Limits::default(), &[sample(0, 0), sample(10, 320)]);
        let captions: Vec<_> = drawn.iter().map(|chart| (chart.caption.as_str(), chart.is_over)).collect();
        assert!(captions.contains(&("writes in a minute: at most 320 of 300", true)), "{captions:?}");
        assert!(captions.contains(&("bulk calls in ten minutes: at most 0 of 100", false)), "{captions:?}");
        assert!(charts(&Limits::default(), &[]).is_empty());
    }
}
