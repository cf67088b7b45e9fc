//! Connections, compression, and unexpected lists.

use std::sync::Mutex;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use permit_handoff::domain::grant::Key;
use permit_handoff::permit::{Environment, Error};
use permit_sandbox::Sandbox;

use super::*;

/// A server that answers every request with `body`, and records the requests' addresses and headers.
async fn fixed(headers: &'static [(&'static str, &'static str)], body: Vec<u8>) -> (Permit, Seen) {
    let seen = Seen::default();
    let app = Router::new().fallback({
        let seen = seen.clone();
        async move |ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>, request: Request| {
            seen.lock().unwrap().push((peer.port(), request.uri().to_string(), request.headers().clone()));
            let mut response = body.into_response();
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let environment = Environment { project: "p".to_owned(), environment: "e".to_owned() };
    (client_at(&url, |settings| settings.environment = Some(environment)), seen)
}

type Seen = Arc<Mutex<Vec<(u16, String, HeaderMap)>>>;

fn gzip(text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

const PAGE: &str = r#"{"data": [
    {"key": "u1", "attributes": null, "roles": null, "associated_tenants": [{"tenant": "t", "roles": ["r"]}], "more": 1},
    {"key": "u2", "email": "", "roles": [{"role": "r", "tenant": "t"}, {"role": "no key", "tenant": "t"}]},
    {"key": "u3", "roles": [{"role": "r", "tenant": null}]},
    {"key": "u4", "roles": [], "associated_tenants": [{"tenant": "t", "roles": null, "status": "invited"}]},
    {"key": "u5", "associated_tenants": [{"tenant": "t", "roles": ["r"], "status": "unheard-of"}]},
    {"key": "no key", "roles": []},
    {"key": 7}, null, "x"
], "total_count": 9, "page_count": 1}"#;

#[tokio::test]
async fn a_row_that_cannot_be_read_is_counted_and_the_rest_are_read() {
    let (permit, seen) = fixed(&[], PAGE.into()).await;
    let page = permit.users_page(2, Some("u")).await.unwrap();
    let keys: Vec<_> = page.users.iter().map(|user| user.key.as_str()).collect();
    assert_eq!(keys, ["u1", "u2", "u5"]);
    assert!(page.users.iter().all(|user| user.roles == grants(&["t/r"]) && user.email.is_none()));
    assert_eq!(page.unreadable, ["u3", "u4"].map(|key| UserKey::new(key).unwrap()));
    assert_eq!((page.foreign, page.others, page.total, page.rows()), (4, 0, 9, 9));
    let query = "/v2/facts/p/e/users?page=2&per_page=100&search=u&search_operator=startswith";
    assert_eq!(seen.lock().unwrap()[0].1, query);
}

#[tokio::test]
async fn both_shapes_of_a_list_are_read() {
    for body in
        [r#"[{"key": "a"}, {"key": "b"}]"#, r#" {"data": [{"key": "a"}, {"key": "b"}], "total_count": 2}"#]
    {
        let (permit, seen) = fixed(&[], body.into()).await;
        let keys = ["a", "b"].map(|key| Key::new(key).unwrap());
        assert_eq!(permit.roles().await.unwrap().keys, keys.clone().into());
        assert_eq!(permit.tenants().await, Ok(keys.into()));
        assert_eq!(seen.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_list_that_is_the_same_on_every_page_ends() {
    let rows: Vec<_> = (0..100).map(|n| format!(r#"{{"key": "k{n}"}}"#)).collect();
    let (permit, seen) =
        fixed(&[], format!(r#"{{"data": [{}], "total_count": 1000}}"#, rows.join(",")).into()).await;
    assert_eq!(permit.roles().await.unwrap().keys.len(), 100);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_page_is_garbled() {
    for body in [
        "",
        "null",
        "{}",
        "[]",
        r#"{"data": [], "total_count": -1}"#,
        r#"{"data": {}, "total_count": 1}"#,
        "<html>",
    ] {
        let (permit, _) = fixed(&[], body.into()).await;
        assert_eq!(permit.users_page(1, None).await.map(drop), Err(Error::Garbled), "{body}");
    }
}

#[tokio::test]
async fn pages_are_asked_for_compressed_and_one_user_is_not() {
    let (permit, seen) = fixed(&[("content-encoding", "gzip")], gzip(PAGE.as_bytes())).await;
    assert_eq!(permit.users_page(1, None).await.unwrap().users.len(), 3);
    assert!(seen.lock().unwrap()[0].2["accept-encoding"].to_str().unwrap().contains("gzip"));
    assert_eq!(seen.lock().unwrap()[0].2["authorization"], format!("Bearer {}", permit_sandbox::API_KEY));
    permit.user(&UserKey::new("jane").unwrap()).await.unwrap_err();
    assert_eq!(seen.lock().unwrap()[1].2["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_small_answer_that_unpacks_to_a_huge_one_is_refused() {
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let (permit, _) = fixed(&[("content-encoding", "gzip")], bomb).await;
    assert_eq!(permit.users_page(1, None).await.map(drop), Err(Error::TooLarge));
}

#[tokio::test]
async fn requests_in_turn_share_a_connection() {
    let (permit, seen) = fixed(&[], PAGE.into()).await;
    for page in 1..=5 {
        permit.users_page(page, None).await.unwrap();
    }
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|(port, ..)| *port == seen[0].0));
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_error() {
    let sandbox = Sandbox::start().await.unwrap();
    let permit = plain(&sandbox);
    assert!(permit.assign(&key("nobody"), &grant("default/viewer")).await.is_err());
    assert!(permit.user(&key("nobody")).await.unwrap().is_none());
}

/// A machine whose clock is an hour ahead, which Permit's answers show; and a ledger that such a machine
/// wrote.
#[tokio::test]
async fn times_are_by_permits_clock_whatever_this_machines_says() {
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    let date: &'static str = httpdate::fmt_http_date(hour_ago).leak();
    let headers: &'static [(&str, &str)] = vec![("date", date)].leak();
    let now = jiff::Timestamp::now();
    let noted = now - jiff::SignedDuration::from_hours(2);
    let user = serde_json::json!({"key": "u1", "updated_at": noted.to_string(),
        "attributes": {"handoff": {"source": "pool", "grants": [], "as_of": now.to_string()}}});
    let (permit, _) = fixed(headers, user.to_string().into_bytes()).await;
    assert_eq!(permit.ahead(), jiff::SignedDuration::ZERO, "nobody has said so yet");
    for _ in 0..2 {
        let facts = permit.user(&UserKey::new("u1").unwrap()).await.unwrap().unwrap();
        let late = permit.ahead() - jiff::SignedDuration::from_hours(1);
        assert!(late.abs() < jiff::SignedDuration::from_secs(60), "{late}");
        assert_eq!(facts.ledger.unwrap().as_of, Some(noted), "it lies in Permit's future");
    }
}

/// On a machine whose clock is two hours behind, evidence that others wrote just now does not count as
/// lying in the future.
#[tokio::test]
async fn what_others_noted_stands_on_a_machine_whose_clock_is_behind() {
    let soon = std::time::SystemTime::now() + std::time::Duration::from_hours(2);
    let date: &'static str = httpdate::fmt_http_date(soon).leak();
    let headers: &'static [(&str, &str)] = vec![("date", date)].leak();
    let noted = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let user = serde_json::json!({"key": "u1", "updated_at": noted.to_string(),
        "attributes": {"handoff": {"source": "pool", "grants": [], "as_of": noted.to_string()}}});
    let (permit, _) = fixed(headers, user.to_string().into_bytes()).await;
    let facts = permit.user(&UserKey::new("u1").unwrap()).await.unwrap().unwrap();
    assert_eq!(facts.ledger.unwrap().as_of, Some(noted));
    let behind = permit.ahead() + jiff::SignedDuration::from_hours(2);
    assert!(behind.abs() < jiff::SignedDuration::from_secs(60), "{behind}");
}
