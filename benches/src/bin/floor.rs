//! The least that a Lambda in Rust can be: it gives back what it was given. What ours cost more is ours.

#![allow(missing_docs, reason = "a benchmark")]

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let answer = async |LambdaEvent { payload, .. }: LambdaEvent<Box<RawValue>>| Ok::<_, Error>(payload);
    lambda_runtime::run(service_fn(answer)).await
}
