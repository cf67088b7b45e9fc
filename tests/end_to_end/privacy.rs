//! Nothing that a function writes to its log says who anybody is.

use permit_sandbox::Fault;
use serde_json::json;
use stand_ins::Person;

use crate::stack::{Stack, event, invoke};

#[tokio::test]
async fn no_log_line_holds_an_email_a_name_a_sub_or_a_key() {
    let stack = Stack::start(&["post-authentication", "bulk-sync", "drain"]).await;
    let event = event("post-authentication");
    let attributes = event["request"]["userAttributes"].as_object().unwrap();
    let mut secrets: Vec<String> = ["sub", "email", "given_name", "family_name"]
        .iter()
        .filter_map(|name| attributes.get(*name)?.as_str().map(str::to_owned))
        .collect();
    secrets.push(event["userName"].as_str().unwrap().to_owned());
    secrets.push(stack.sandbox.api_key().to_owned());
    let queue = stack.moto.create_queue("overflow").await.unwrap();
    let mut logs = String::new();

    let more = [
        ("SIGN_IN_GROUPS", "skip"),
        ("OVERFLOW_QUEUE_URL", queue.as_str()),
        ("SIGN_IN_BUDGET_MS", "1500"),
        ("SIGN_IN_CACHE_SECONDS", "0"),
        ("RUST_LOG", "debug,hyper=info,aws=info,h2=info,rustls=info,reqwest=info"),
    ];
    let mut function = stack.function("post-authentication", &more);
    for fault in [
        None,
        Some(Fault::status(422)),
        Some(Fault::garbage()),
        Some(Fault::status(409)),
        Some(Fault::status(503)),
    ] {
        stack.sandbox.clear_faults();
        fault.into_iter().for_each(|fault| stack.sandbox.inject(fault));
        invoke(&mut function, &event).await;
    }
    let mut no_key = event.clone();
    no_key["request"]["userAttributes"]["sub"] = json!("jane@example.com/../x");
    invoke(&mut function, &no_key).await;
    logs.push_str(&function.process().log());
    drop(function);
    stack.sandbox.clear_faults();

    let mut drain = stack.function("drain", &[]);
    let body = json!({"version": 1, "key": "jane@example.com", "attributes": {"email": "jane@example.com"}});
    invoke(&mut drain, &json!({"Records": [{"messageId": "m1", "body": body.to_string()}]})).await;
    logs.push_str(&drain.process().log());
    drop(drain);

    let pool = stack.moto.create_pool("company").await.unwrap();
    for n in 0..8 {
        let person =
            Person::new(&format!("p{n}@example.com")).with("given_name", "Zebulon").in_group("acme/owner");
        secrets.push(pool.add(&person).await.unwrap());
    }
    secrets.extend(["example.com".to_owned(), "Zebulon".to_owned()]);
    stack.sandbox.inject(Fault::status(422).on("POST", "*bulk/users*").nth(1));
    let mut bulk_sync = stack.function("bulk-sync", &[("USER_POOL_ID", pool.id())]);
    invoke(&mut bulk_sync, &crate::stack::event("scheduled")).await;
    logs.push_str(&bulk_sync.process().log());

    assert!(
        logs.lines().count() > 10 && logs.contains("\"outcome\":\"synced\""),
        "too little was logged: {logs}"
    );
    for secret in secrets {
        let line = logs.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret} is in: {}", line.unwrap_or_default());
    }
}
