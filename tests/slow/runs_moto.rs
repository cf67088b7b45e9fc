//! A change that affects many people starts the state machine in moto: one execution per five minutes,
//! after the last change.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use permit_handoff::aws::runs::{Runs as _, Started, StateMachine};
use serde_json::{Value, json};
use stand_ins::Moto;

use crate::cognito_moto::aws;

#[tokio::test]
async fn one_execution_stands_for_all_changes_of_five_minutes() {
    let moto = Moto::start().await.unwrap();
    let states = moto.state_machines();
    let definition =
        json!({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}}});
    let machine = json!({"name": "bulk-sync", "definition": definition.to_string(),
                         "roleArn": "arn:aws:iam::123456789012:role/bulk-sync"});
    let arn = states.call("CreateStateMachine", machine).await.unwrap()["stateMachineArn"]
        .as_str()
        .unwrap()
        .to_owned();
    let runs = StateMachine::new(&aws(moto.url()), arn.clone(), Duration::from_secs(10)).unwrap();

    let window = Timestamp::from_second(1_800_000_000).unwrap();
    let at = |seconds: i64| window + SignedDuration::from_secs(seconds);
    assert!(matches!(runs.start(at(1)).await, Ok(Started::New)));
    for seconds in [2, 150, 299] {
        let again = runs.start(at(seconds)).await;
        assert!(matches!(again, Ok(Started::New | Started::Before)), "{seconds}: {again:?}");
    }
    assert!(matches!(runs.start(at(301)).await, Ok(Started::New)), "the next five minutes");

    let listed = states.call("ListExecutions", json!({"stateMachineArn": arn})).await.unwrap();
    let executions = listed["executions"].as_array().unwrap();
    assert_eq!(executions.len(), 2, "{listed}");
    let mut after: Vec<String> = Vec::new();
    for execution in executions {
        let which = json!({"executionArn": execution["executionArn"]});
        let described = states.call("DescribeExecution", which).await.unwrap();
        let input: Value = serde_json::from_str(described["input"].as_str().unwrap()).unwrap();
        after.push(input["after"].as_str().unwrap().to_owned());
    }
    after.sort();
    assert_eq!(after, [at(300).to_string(), at(600).to_string()], "each begins after all of its changes");

    let gone =
        StateMachine::new(&aws(moto.url()), arn.replace("bulk-sync", "other"), Duration::from_secs(10));
    assert!(gone.unwrap().start(at(1)).await.is_err(), "it is told where there is none");
}
