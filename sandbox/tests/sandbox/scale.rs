//! Many users: pages by number, and bulk calls, as a benchmark asks for them.

use std::time::{Duration, Instant};

use permit_sandbox::{Sandbox, UserState};
use serde_json::json;

use crate::Asker;

#[tokio::test]
async fn a_page_of_many_users_costs_the_page() {
    const USERS: usize = 50_000;
    let asker = Asker::new(Sandbox::builder()).await;
    let users = (0..USERS).map(|at| {
        let user = UserState::new().email(&format!("u{at}@example.com")).attribute("n", at);
        (format!("user-{at:06}"), user.role("default/viewer"))
    });
    asker.sandbox.seed_users(users).unwrap();
    assert_eq!(asker.sandbox.user_count(), USERS);
    let begin = Instant::now();
    for page in [1, 250, 500] {
        let (_, list) = asker.get(&format!("users?per_page=100&page={page}")).await;
        assert_eq!((&list["total_count"], &list["page_count"]), (&json!(USERS), &json!(500)));
        assert_eq!(list["data"][0]["key"], format!("user-{:06}", (page - 1) * 100));
        let (_, list) = asker.get(&format!("role_assignments?per_page=100&page={page}")).await;
        assert_eq!(list[0]["user"], format!("user-{:06}", (page - 1) * 100));
    }
    // This takes milliseconds. A full scan per call would take far longer than the limit here.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());

    let idents: Vec<String> = (0..3_000).map(|at| format!("user-{at:06}")).collect();
    assert_eq!(asker.delete("bulk/users", json!({"idents": idents})).await.0, 200);
    let (_, list) = asker.get("users?per_page=100").await;
    assert_eq!((&list["data"][0]["key"], &list["total_count"]), (&json!("user-003000"), &json!(47_000)));
}
