//! Logs and metrics, without personal data.
//!
//! Logs are lines of JSON on standard output, where Lambda takes them from; for a person at a terminal they
//! are readable lines on standard error. Metrics go into the same log in CloudWatch's embedded format, and
//! cost no request. A user is a [`UserHash`] in both.

pub mod metrics;
mod user_hash;

use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};

use metrics_cloudwatch_embedded::{Builder, Collector};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use self::user_hash::{UserHash, UserHasher};
use crate::config::{InvalidSettings, SettingFault};

/// The namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "PermitHandoff";

/// The crates of this project, as the log's `target` names them.
const OURS: [&str; 5] = ["permit_handoff", "post_authentication", "handoff", "bulk_sync", "reconcile"];

/// How logs are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Lines of JSON on standard output, for a Lambda.
    Json,
    /// Lines for people on standard error, for the command line.
    Human,
}

/// Why logs and metrics could not begin.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// `RUST_LOG` is not a log filter.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// There is one recorder in a process.
    #[error("the metrics were set up before: call `telemetry::init` once in a process")]
    Twice,
}

/// The metrics of this process; see [`metrics`] for what is recorded.
pub struct Metrics {
    collector: &'static Collector,
}

impl Metrics {
    /// Writes what was recorded since the last time to standard output: to be called at the end of each
    /// invocation, before the answer, since Lambda may freeze the process behind it.
    pub fn flush(&self) {
        self.flush_to(io::stdout().lock());
    }

    /// Writes what was recorded since the last time, a line of JSON for each set of dimensions.
    pub fn flush_to(&self, writer: impl io::Write) {
        if let Err(error) = self.collector.flush(writer) {
            tracing::warn!(%error, "the metrics of this invocation are lost");
        }
    }
}

/// Begins to log and to count, once in a process. `lookup` gives `RUST_LOG` (`info` where it is not set) and
/// `AWS_LAMBDA_FUNCTION_NAME`, the metrics' dimension `function` (`program` where it is not set).
///
/// A panic is logged by its place. Its message is not: it may hold what a person typed.
///
/// # Errors
/// Where `RUST_LOG` is not a log filter, or this was called before.
pub fn init(
    program: &'static str,
    format: Format,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Metrics, InitError> {
    let setting = |name| lookup(name).filter(|text| !text.trim().is_empty());
    let filter = setting("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    let filter = filter.parse::<Targets>().map_err(|error| {
        let message = format!("no log filter ({error}): write a level, as in info, or target=level");
        InvalidSettings(vec![SettingFault { settings: "RUST_LOG", message }])
    })?;
    let filtered = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged));
    let logs = tracing_subscriber::fmt::layer().with_span_events(FmtSpan::NONE);
    // That one is set already is not a fault: a test, or a program around this one, wants the logs its own
    // way.
    let _ = match format {
        Format::Json => {
            let logs = logs.json().flatten_event(true).with_current_span(false).with_span_list(true);
            filtered.with(logs.with_writer(io::stdout)).try_init()
        }
        Format::Human => {
            let colours = io::stderr().is_terminal() && setting("NO_COLOR").is_none();
            let logs = logs.with_target(false).without_time().with_ansi(colours);
            filtered.with(logs.with_writer(io::stderr)).try_init()
        }
    };
    panic::set_hook(Box::new(log_panic));

    let function = setting("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| program.to_owned());
    let collector =
        Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension("function", function).init();
    let collector = collector.map_err(|_| InitError::Twice)?;
    metrics::describe();
    Ok(Metrics { collector })
}

/// Whether a line may be logged, whatever `RUST_LOG` asks for. Libraries log what passes through them below
/// `info`: the Lambda runtime whole events, HTTP clients headers and bodies.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let is_ours = OURS.iter().any(|name| {
        metadata.target().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    is_ours || *metadata.level() <= Level::INFO
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a panic; its message is left out, since it may hold personal data");
}
