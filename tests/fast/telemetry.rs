//! The metrics in CloudWatch's form, and the logs. One test, because both are set up once per process.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use permit_handoff::permit::Counts;
use permit_handoff::telemetry::metrics::{
    BulkSyncOutcome, BulkSyncRun, ChangeOutcome, SignInOutcome, bulk_sync, change, change_lag, other_pool,
    permit, permit_mau, reconcile_dead_lettered, sign_in, token_refused,
};
use permit_handoff::telemetry::{Format, init};
use serde_json::{Value, json};

struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn metrics_are_in_the_embedded_format_and_panics_are_logged_without_their_message() {
    let wrong =
        init("post-authentication", Format::Json, |name| (name == "RUST_LOG").then(|| "a=b=c".to_owned()));
    let message = wrong.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("RUST_LOG: not a log filter"), "{message}");

    let metrics = init("post-authentication", Format::Human, |_| None).unwrap();
    assert!(init("post-authentication", Format::Human, |_| None).is_err(), "it was set up twice");

    sign_in(SignInOutcome::Synced, Duration::from_millis(250));
    sign_in(SignInOutcome::Synced, Duration::from_millis(750));
    sign_in(SignInOutcome::Refused, Duration::from_millis(1));
    let before = Counts { read: 4, write: 2, bulk: 0, throttled: 1 };
    permit(before, Counts { write: 5, ..before });
    let run = BulkSyncRun {
        outcome: BulkSyncOutcome::NotConverged,
        refused: true,
        rejected: 2,
        drifted: 0,
        duration: Duration::from_millis(1500),
    };
    bulk_sync(run);
    bulk_sync(BulkSyncRun { refused: false, ..run });
    // A failed run says nothing about the pool, so it must not clear the alarm.
    bulk_sync(BulkSyncRun { refused: false, outcome: BulkSyncOutcome::Failed, ..run });
    permit_mau(7, None);
    reconcile_dead_lettered(1);
    token_refused();
    other_pool();
    change(ChangeOutcome::Looked);
    change_lag(jiff::SignedDuration::from_millis(2_500));
    change_lag(jiff::SignedDuration::from_secs(-1));

    let mut text = Vec::new();
    metrics.flush_to(&mut text);
    let text = String::from_utf8(text).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        assert_eq!(document["function"], "post-authentication", "{line}");
        let [directive] = document["_aws"]["CloudWatchMetrics"].as_array().unwrap().as_slice() else {
            panic!("{line}")
        };
        assert_eq!(directive["Namespace"], "PermitHandoff");
        let [dimensions] = directive["Dimensions"].as_array().unwrap().as_slice() else { panic!("{line}") };
        let dimensions: Vec<String> = dimensions
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "function")
            .map(|name| format!("{name}={}", document[name].as_str().unwrap()))
            .collect();
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let key = format!("{name} {}", dimensions.join(","));
            found.insert(key.trim().to_owned(), json!([document[name], metric["Unit"]]));
        }
    }
    let expected = json!({
        "SignIns outcome=synced": [2, "Count"],
        "SignIns outcome=refused": [1, "Count"],
        "SignInLatency": [[250.0, 750.0, 1.0], "Milliseconds"],
        "PermitRequests kind=write": [3, "Count"],
        "BulkSyncRuns outcome=not_converged": [2, "Count"],
        "BulkSyncRuns outcome=failed": [1, "Count"],
        "BulkSyncRefused": [[1.0, 0.0], "Count"],
        "BulkSyncRejected": [6, "Count"],
        "BulkSyncSeconds": [[1.5, 1.5, 1.5], "Seconds"],
        "PermitMau": [[7.0], "Count"],
        "ReconcileDeadLettered": [1, "Count"],
        "TokensRefused": [1, "Count"],
        "EventsOfOtherPools": [1, "Count"],
        "Changes outcome=looked": [1, "Count"],
        "ChangeLag": [[2.5, 0.0], "Seconds"],
    });
    assert_eq!(json!(found), expected);

    // A panic is logged by its location, without its message.
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || Log(Arc::clone(&writer))).finish();
    tracing::subscriber::with_default(subscriber, || {
        std::panic::catch_unwind(|| panic!("jane@example.com")).unwrap_err();
    });
    drop(std::panic::take_hook());
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    assert!(log.contains("tests/fast/telemetry.rs:") && !log.contains("jane"), "{log}");

    // Metrics are written only once.
    let mut text = Vec::new();
    metrics.flush_to(&mut text);
    assert!(text.is_empty(), "{}", String::from_utf8_lossy(&text));
}
