//! Watches a run: shows progress, handles Ctrl-C, and records what is planned and the requests sent.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::task::JoinHandle;

use super::overview::Overview;
use super::screen::Line;
use crate::domain::grant::Grant;
use crate::domain::identity::{Email, Identity};
use crate::permit::{Counts, Permit};
use crate::sync::bulk::problems::Cause;
use crate::sync::bulk::{Observer, Phase, Planned};

/// How often to print a progress line if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often to sample the request counts, and how many samples to keep. Past that, every second one is
/// dropped.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const SAMPLES: usize = 600;

/// The shortest wait for Permit's limits that is shown.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// The time since the start, and the requests sent by then.
pub(super) type Sample = (Duration, Counts);

/// How progress is shown.
pub(super) enum Progress {
    Bar(ProgressBar),
    /// A line every so often.
    Lines,
    Quiet,
}

impl Progress {
    /// A bar for a person at a terminal, nothing for JSON output, otherwise lines.
    pub(super) fn new(is_terminal: bool, json: bool) -> Self {
        match (json, is_terminal) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar(ProgressBar::new_spinner()),
            (false, false) => Self::Lines,
        }
    }

    fn bar(&self) -> Option<ProgressBar> {
        match self {
            Self::Bar(bar) => Some(bar.clone()),
            Self::Lines | Self::Quiet => None,
        }
    }
}

/// The observer of a run.
pub(super) struct Watch {
    progress: Progress,
    /// How many people the directory is expected to have.
    expected: Option<u64>,
    called_off: Arc<AtomicBool>,
    interrupt: JoinHandle<()>,
    waiting: JoinHandle<()>,
    /// Whether the run had to wait for Permit's limits.
    waited: Arc<AtomicBool>,
    permit: Permit,
    started: Instant,
    seen: Mutex<Gathered>,
}

struct Gathered {
    overview: Overview,
    phase: Option<(Phase, Instant)>,
    line_at: Instant,
    every: Duration,
    samples: Vec<Sample>,
}

impl Watch {
    /// Starts counting the requests of `permit` and handling Ctrl-C, until it is dropped or done.
    pub(super) fn new(
        progress: Progress,
        columns: usize,
        expected: Option<u64>,
        permit: Permit,
        overview: Overview,
    ) -> Self {
        let called_off = Arc::new(AtomicBool::new(false));
        let flag = called_off.clone();
        let interrupt = tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if flag.swap(true, Ordering::Relaxed) {
                    // It is safe to stop anywhere: the next run continues.
                    std::process::exit(130);
                }
                let text = "Stopping after what is under way. Ctrl-C again stops at once.";
                Line::plain(text).rendered(columns, false).iter().for_each(|line| say(line));
            }
        });
        let waited = Arc::new(AtomicBool::new(false));
        let waiting = tokio::spawn(tell_waits(permit.clone(), progress.bar(), waited.clone()));
        let now = Instant::now();
        let seen = Gathered { overview, phase: None, line_at: now, every: SAMPLE_EVERY, samples: Vec::new() };
        let seen = Mutex::new(seen);
        Self { progress, expected, called_off, interrupt, waiting, waited, permit, started: now, seen }
    }

    /// The overview, and the requests over time if the run had to wait for Permit's limits.
    pub(super) fn done(self) -> (Overview, Vec<Sample>) {
        self.interrupt.abort();
        self.waiting.abort();
        if let Progress::Bar(bar) = &self.progress {
            bar.finish_and_clear();
        }
        let Gathered { overview, mut samples, .. } =
            self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let counts = self.permit.counts();
        samples.push((self.started.elapsed(), counts));
        let has_waited = counts.throttled > 0 || self.waited.load(Ordering::Relaxed);
        (overview, if has_waited { samples } else { Vec::new() })
    }

    fn seen(&self) -> MutexGuard<'_, Gathered> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, seen: &mut Gathered) {
        let elapsed = self.started.elapsed();
        if seen.samples.last().is_some_and(|(last, _)| elapsed < *last + seen.every) {
            return;
        }
        seen.samples.push((elapsed, self.permit.counts()));
        if seen.samples.len() == SAMPLES {
            let mut keep = false;
            seen.samples.retain(|_| {
                keep = !keep;
                keep
            });
            seen.every *= 2;
        }
    }
}

impl Observer for Watch {
    fn progress(&self, phase: Phase, done: u64, total: Option<u64>) {
        let mut seen = self.seen();
        self.count(&mut seen);
        let expected = self.expected.filter(|_| phase == Phase::Syncing);
        let total = total.or(expected).map(|total| total.max(done));
        let since = match seen.phase {
            Some((known, since)) if known == phase => since,
            _ => {
                let now = Instant::now();
                seen.phase = Some((phase, now));
                if let Progress::Bar(bar) = &self.progress {
                    begin(bar, phase, total.is_some());
                }
                now
            }
        };
        match &self.progress {
            Progress::Bar(bar) => {
                total.map_or_else(|| bar.unset_length(), |total| bar.set_length(total));
                bar.set_position(done);
            }
            Progress::Lines if seen.line_at.elapsed() >= LINE_EVERY => {
                seen.line_at = Instant::now();
                say(&line(phase, done, total, since.elapsed()));
            }
            Progress::Lines | Progress::Quiet => {}
        }
    }

    fn calls_off(&self) -> bool {
        self.count(&mut self.seen());
        self.called_off.load(Ordering::Relaxed)
    }

    fn met(&self, identity: &Identity) {
        self.seen().overview.met(identity);
    }

    fn planned(&self, planned: Planned<'_>) {
        self.seen().overview.add(planned);
    }

    fn left_out(&self, user: &str, grant: &Grant) {
        self.seen().overview.left_out(user, grant);
    }

    fn rejected(&self, user: &str, email: Option<&Email>, cause: &Cause) {
        self.seen().overview.rejected(user, email, cause);
    }
}

/// Shows on the bar which of Permit's limits the run waits for, and until when.
async fn tell_waits(permit: Permit, bar: Option<ProgressBar>, waited: Arc<AtomicBool>) {
    let mut told: Option<ProgressStyle> = None;
    loop {
        tokio::time::sleep(SAMPLE_EVERY / 2).await;
        let wait = permit.waits().and_then(|(limit, until)| {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            (left >= WORTH_TELLING).then_some((limit, left))
        });
        waited.fetch_or(wait.is_some(), Ordering::Relaxed);
        let Some(bar) = &bar else { continue };
        match (wait, &told) {
            (Some((limit, left)), known) => {
                if known.is_none() {
                    told = Some(bar.style());
                }
                if let Ok(style) =
                    ProgressStyle::with_template(&waits_text(limit, left, jiff::Timestamp::now()))
                {
                    bar.set_style(style);
                }
            }
            (None, Some(before)) => {
                bar.set_style(before.clone());
                told = None;
            }
            (None, None) => {}
        }
    }
}

/// Fits a terminal of 40 columns.
fn waits_text(limit: &str, left: Duration, now: jiff::Timestamp) -> String {
    let until = now.checked_add(left).unwrap_or(now).to_string();
    let time = until.split_once('T').map_or("", |(_, time)| time.get(..8).unwrap_or(time));
    format!("waits for {limit} until {time} UTC")
}

fn named(phase: Phase) -> &'static str {
    match phase {
        Phase::Reading => "reading Permit",
        Phase::Syncing => "syncing",
        Phase::Departing => "departures",
        Phase::Verifying => "reading back",
    }
}

/// Fits a terminal of 40 columns.
fn begin(bar: &ProgressBar, phase: Phase, has_total: bool) {
    let template = if has_total { "{msg} {wide_bar} {pos}/{len} {rate} {eta}" } else { "{msg} {pos} {rate}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // If the rate cannot be written, the bar leaves it out.
            let _ = write!(text, "{:.0}/s", state.per_sec());
        }));
    }
    bar.reset();
    bar.set_message(named(phase));
    bar.enable_steady_tick(Duration::from_millis(200));
}

fn line(phase: Phase, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let name = named(phase);
    match total {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Some(total) if rate > 0.0 => {
            let left = (total - done) as f64 / rate;
            format!("{name}: {done} of {total}, {rate:.0}/s, {left:.0} s left")
        }
        _ => format!("{name}: {done}, {rate:.0}/s"),
    }
}

/// Writes to the error output, because scripts read the output. If it is closed, nobody reads the text.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_within_forty_columns() {
        let now = "2026-11-24T13:59:59.5Z".parse().unwrap();
        let text = waits_text("bulk calls", Duration::from_secs(240), now);
        assert_eq!(text, "waits for bulk calls until 14:03:59 UTC");
        assert!(text.len() <= 40);
    }

    #[test]
    fn a_line_tells_the_rate_and_the_time_left() {
        let text = line(Phase::Syncing, 1_000, Some(4_000), Duration::from_secs(10));
        assert_eq!(text, "syncing: 1000 of 4000, 100/s, 30 s left");
        assert_eq!(line(Phase::Reading, 0, None, Duration::ZERO), "reading Permit: 0, 0/s");
    }
}
