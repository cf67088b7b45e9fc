//! Verified tokens per second of processor time. `verify TOKENS.json` prints one number per algorithm;
//! `benches/verify.py` makes the file and measures the other libraries.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::time::{Duration, Instant};

use permit_handoff::config;
use permit_handoff::oidc::Verifier;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let path = std::env::args().nth(1).unwrap();
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let policy = format!(
        "[[source]]\nissuer = {}\naudiences = [{}]\njwks = {}\njwks_uri = \"https://127.0.0.1:9/jwks.json\"\n\
         algorithms = [\"RS256\", \"ES256\", \"EdDSA\"]\n",
        file["issuer"],
        file["audience"],
        Value::String(file["jwks"].to_string()),
    );
    let verifier = Verifier::new(config::policy(&policy).unwrap().1).unwrap();
    for (algorithm, token) in file["tokens"].as_object().unwrap() {
        let token = token.as_str().unwrap();
        let (started, before, mut count) = (Instant::now(), cpu_seconds(), 0_u32);
        while started.elapsed() < Duration::from_secs(2) {
            for _ in 0..50 {
                verifier.verify(token).await.unwrap();
            }
            count += 50;
        }
        println!("{algorithm} {:.0}", f64::from(count) / (cpu_seconds() - before));
    }
}

/// The processor time of this thread, the only one (`/proc/thread-self/schedstat`, nanoseconds).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}
