//! Looks on while a run goes on: progress, Ctrl-C, what is planned, and the requests that it takes.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::task::JoinHandle;

use super::overview::Overview;
use crate::domain::identity::Email;
use crate::permit::{Counts, Permit};
use crate::sync::bulk::problems::Cause;
use crate::sync::bulk::{Observer, Phase, Planned};

/// How often a line says how far it is, where there is no terminal to draw on.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often the requests are counted, and how many of these counts are kept: then every second one goes.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const SAMPLES: usize = 600;

/// Requests that had been sent after so long.
pub(super) type Sample = (Duration, Counts);

/// How progress is shown.
pub(super) enum Progress {
    /// A bar on a terminal.
    Bar(ProgressBar),
    /// A line now and then.
    Lines,
    /// Not at all.
    Quiet,
}

impl Progress {
    /// A bar where a person looks on. None for scripts that want JSON.
    pub(super) fn new(is_terminal: bool, json: bool) -> Self {
        match (json, is_terminal) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar(ProgressBar::new_spinner()),
            (false, false) => Self::Lines,
        }
    }
}

/// Somebody who looks on.
pub(super) struct Watch {
    progress: Progress,
    /// How many people the directory is said to have.
    expected: Option<u64>,
    called_off: Arc<AtomicBool>,
    interrupt: JoinHandle<()>,
    permit: Permit,
    started: Instant,
    seen: Mutex<Seen>,
}

struct Seen {
    overview: Overview,
    phase: Option<(Phase, Instant)>,
    line_at: Instant,
    every: Duration,
    samples: Vec<Sample>,
}

/// What was seen.
pub(super) struct Sight {
    pub(super) overview: Overview,
    pub(super) samples: Vec<Sample>,
}

impl Watch {
    /// Counts the requests of `permit`, and listens to Ctrl-C until it is dropped or done.
    pub(super) fn new(progress: Progress, expected: Option<u64>, permit: Permit, overview: Overview) -> Self {
        let called_off = Arc::new(AtomicBool::new(false));
        let flag = called_off.clone();
        let interrupt = tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if flag.swap(true, Ordering::Relaxed) {
                    // Cut off anywhere, the next run goes on.
                    std::process::exit(130);
                }
                say("stopping after what is under way; Ctrl-C again stops at once");
            }
        });
        let now = Instant::now();
        let seen = Seen { overview, phase: None, line_at: now, every: SAMPLE_EVERY, samples: Vec::new() };
        Self { progress, expected, called_off, interrupt, permit, started: now, seen: Mutex::new(seen) }
    }

    pub(super) fn done(self) -> Sight {
        self.interrupt.abort();
        if let Progress::Bar(bar) = &self.progress {
            bar.finish_and_clear();
        }
        let Seen { overview, mut samples, .. } =
            self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        samples.push((self.started.elapsed(), self.permit.counts()));
        Sight { overview, samples }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, seen: &mut Seen) {
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

    fn planned(&self, planned: Planned<'_>) {
        self.seen().overview.add(planned);
    }

    fn rejected(&self, user: &str, email: Option<&Email>, cause: &Cause) {
        self.seen().overview.rejected(user, email, cause);
    }
}

fn named(phase: Phase) -> &'static str {
    match phase {
        Phase::Reading => "reading Permit",
        Phase::Syncing => "syncing",
        Phase::Departing => "departures",
        Phase::Verifying => "reading back",
    }
}

/// Narrow enough for a terminal of 40 columns.
fn begin(bar: &ProgressBar, phase: Phase, has_total: bool) {
    let template = if has_total { "{msg} {wide_bar} {pos}/{len} {rate} {eta}" } else { "{msg} {pos} {rate}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // What cannot be drawn is left out.
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

/// Beside the output, which scripts read. Where nobody reads it, there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_rate_and_the_time_left() {
        let text = line(Phase::Syncing, 1_000, Some(4_000), Duration::from_secs(10));
        assert_eq!(text, "syncing: 1000 of 4000, 100/s, 30 s left");
        assert_eq!(line(Phase::Reading, 0, None, Duration::ZERO), "reading Permit: 0, 0/s");
    }
}
