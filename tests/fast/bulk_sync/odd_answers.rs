//! Permit gives unexpected answers at any endpoint. Nothing panics, nothing is revoked on a guess, and
//! once the answers are right again, so is everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use permit_handoff::config::OnFailure;
use permit_handoff::domain::directory::Record;
use permit_handoff::domain::policy::Policy;
use permit_handoff::permit::Permit;
use permit_handoff::sync::bulk::report::Report;
use permit_handoff::sync::bulk::{BulkSync, BulkSyncError, Nobody, Options};
use permit_handoff::sync::one::sign_in::SignIn;
use permit_sandbox::{Sandbox, Snapshot, UserState};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{MemoryDirectory, Person, now, options, people, permit_with, person};
use crate::support::{arrive, settings};

/// A person whose only change is a new name.
const ONE: &str = "00000003-u";

/// What happens to an answer.
#[derive(Clone, Debug)]
enum Odd {
    /// A different answer: status, headers, body.
    Instead(u16, &'static [(&'static str, &'static str)], &'static str),
    /// It is cut short: only this many of 256 parts are sent.
    Cut(u8),
    /// It never comes.
    Silent,
    /// One value in it is replaced.
    Value(u16, Value),
    /// This field of one user is replaced.
    Field(&'static str, Value),
    /// Each object in it has an unknown member.
    Unknown,
    /// Each row comes twice.
    Twice,
    /// The last rows of the page are missing.
    Short(u8),
    /// Its count is wrong.
    Total(Value),
}

impl Odd {
    /// Whether a client cannot tell that the answer is wrong.
    fn is_plausible(&self) -> bool {
        const EMPTY: &str = r#"{"data": [], "total_count": 0}"#;
        matches!(self, Self::Value(..) | Self::Field(..) | Self::Instead(200, _, EMPTY))
    }

    /// Whether the request may not have been applied: the answer is a refusal, or is nothing that Permit
    /// would send.
    fn may_refuse(&self) -> bool {
        matches!(self, Self::Instead(status, _, body) if *status >= 300 || body.contains("error_code") || body.starts_with('<'))
            || matches!(self, Self::Silent)
    }

    fn apply(&self, response: &mut (u16, Vec<(String, String)>, Vec<u8>)) {
        if let Self::Instead(status, headers, body) = self {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            *response = (*status, headers.collect(), body.as_bytes().to_vec());
            return;
        }
        if let Self::Cut(part) = self {
            response.2.truncate(response.2.len() * usize::from(*part) / 256);
            return;
        }
        let Ok(mut json) = serde_json::from_slice::<Value>(&response.2) else { return };
        match self {
            Self::Value(place, value) => {
                let mut places = usize::from(*place) % count(&json).max(1);
                replace(&mut json, &mut places, value);
            }
            Self::Field(field, value) => each_object(&mut json, &mut |members| {
                if members.get("key") == Some(&json!(ONE)) {
                    members.insert((*field).to_owned(), value.clone());
                }
            }),
            Self::Unknown => each_object(&mut json, &mut |members| {
                members.insert("of_tomorrow".to_owned(), json!({"any": [1, null]}));
            }),
            Self::Twice => rows(&mut json, |rows| {
                *rows = rows.iter().flat_map(|row| [row.clone(), row.clone()]).collect();
            }),
            Self::Short(by) => rows(&mut json, |rows| {
                rows.truncate(rows.len().saturating_sub(usize::from(*by)));
            }),
            Self::Total(total) => {
                if let Some(told) = json.get_mut("total_count") {
                    *told = total.clone();
                }
            }
            Self::Instead(..) | Self::Cut(_) | Self::Silent => {}
        }
        response.2 = serde_json::to_vec(&json).unwrap();
    }
}

fn rows(json: &mut Value, change: impl FnOnce(&mut Vec<Value>)) {
    let place = if json.is_array() { "" } else { "/data" };
    if let Some(rows) = json.pointer_mut(place).and_then(Value::as_array_mut) {
        change(rows);
    }
}

fn each_object(json: &mut Value, change: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) {
    match json {
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| each_object(member, change));
            change(members);
        }
        _ => {}
    }
}

/// How many values it contains, without itself.
fn count(json: &Value) -> usize {
    match json {
        Value::Array(items) => items.iter().map(|item| 1 + count(item)).sum(),
        Value::Object(members) => members.values().map(|member| 1 + count(member)).sum(),
        _ => 0,
    }
}

/// Replaces the value at `place`, counted in reading order.
fn replace(json: &mut Value, place: &mut usize, by: &Value) -> bool {
    let members: Box<dyn Iterator<Item = &mut Value>> = match json {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(members) => Box::new(members.values_mut()),
        _ => return false,
    };
    for member in members {
        if *place == 0 {
            *member = by.clone();
            return true;
        }
        *place -= 1;
        if replace(member, place, by) {
            return true;
        }
    }
    false
}

/// Which answers are odd: the first few to requests with this method and this text in the path.
#[derive(Clone, Debug)]
struct Strike {
    method: &'static str,
    path: &'static str,
    times: u8,
    /// Whether the request is applied, if the answer leaves it open.
    applied: bool,
    odd: Odd,
}

/// A proxy between Permit and its client.
#[derive(Clone)]
struct Between {
    to: String,
    strike: Arc<Mutex<Option<Strike>>>,
    client: reqwest::Client,
}

impl Between {
    async fn start(sandbox: &Sandbox) -> (Self, String) {
        let client = reqwest::Client::builder().no_gzip().build().unwrap();
        let between = Self { to: sandbox.url(), strike: Arc::default(), client };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(pass).with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (between, url)
    }

    fn set(&self, strike: Option<Strike>) {
        *self.strike.lock().unwrap() = strike;
    }

    /// What happens to the answer, and whether the request is applied.
    fn odd(&self, method: &str, path: &str) -> Option<(Odd, bool)> {
        let mut strike = self.strike.lock().unwrap();
        let strike =
            strike.as_mut().filter(|strike| strike.method == method && path.contains(strike.path))?;
        strike.times = strike.times.checked_sub(1)?;
        Some((strike.odd.clone(), strike.applied || !strike.odd.may_refuse()))
    }
}

async fn pass(State(between): State<Between>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let url = format!("{}{path}", between.to);
    let mut sent = between.client.request(parts.method.clone(), url).body(body);
    for name in ["authorization", "content-type", "x-wait-timeout", "x-timeout-policy"] {
        if let Some(value) = parts.headers.get(name) {
            sent = sent.header(name, value);
        }
    }
    let odd = between.odd(parts.method.as_str(), path);
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let mut answer = (500, headers, Vec::new());
    if odd.as_ref().is_none_or(|(_, is_applied)| *is_applied) {
        let real = sent.send().await.unwrap();
        answer.0 = real.status().as_u16();
        answer.2 = real.bytes().await.unwrap().to_vec();
    }
    match odd {
        Some((Odd::Silent, _)) => std::future::pending().await,
        Some((odd, _)) => odd.apply(&mut answer),
        None => {}
    }
    let (status, headers, body) = answer;
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

const POLICY: &str = r#"
[[grant]]
tenant = "default"
role = "viewer"
[[grant]]
when = { group = "{tenant}/{role}" }
[[grant]]
when = { group = "{tenant}/{instance}/{role}" }
resource = "project:{instance}"
[deprovision]
missing = "delete"
grace_hours = 0
max_percent = 100
"#;

fn policy() -> Policy {
    POLICY.parse().unwrap()
}

/// Twelve people, of whom some will be promoted, demoted, disabled or gone.
fn before() -> Vec<Person> {
    let mut crowd = people(12);
    for (n, person) in crowd.iter_mut().enumerate() {
        let group = if n < 8 { "acme/editor" } else { "acme/apollo/reader" };
        *person = person.clone().in_group(group);
    }
    crowd
}

fn after() -> Vec<Person> {
    let mut crowd = before();
    crowd[0] = crowd[0].clone().in_group("acme/admin");
    crowd[1].groups.clear();
    crowd[2] = crowd[2].clone().disabled();
    crowd[3] = crowd[3].clone().with("given_name", "Jane");
    crowd[9].groups.clear();
    crowd[10] = crowd[10].clone().in_group("acme/gemini/reader");
    crowd.remove(7);
    crowd.extend([person("new-1"), person("new-2").in_group("acme/editor")]);
    crowd
}

struct World {
    sandbox: Sandbox,
    directory: MemoryDirectory,
    between: Between,
    permit: Permit,
}

impl World {
    /// Permit after a sync of `before`; the directory is that of `after`.
    async fn start() -> Self {
        let sandbox = Sandbox::builder().tenant("acme").resource_role("project", "reader");
        let sandbox = sandbox.instance("acme/project:apollo").instance("acme/project:gemini");
        let foreign = UserState::new().email("f@example.com").attribute("plan", "pro").role("acme/admin");
        let sandbox = sandbox.user("foreign", foreign).start().await.unwrap();
        let (between, url) = Between::start(&sandbox).await;
        let pdp = url.parse().unwrap();
        let permit = permit_with(&sandbox, &url, Duration::from_mins(10), Some(pdp));
        let world = Self { sandbox, directory: MemoryDirectory::new(before()), between, permit };
        world.sync().await.unwrap();
        let mut snapshot = world.sandbox.snapshot();
        // What administrators granted and wrote.
        let second = snapshot.users.get_mut("00000002-u").unwrap();
        second.roles.insert("default/admin".to_owned());
        second.attributes.insert("plan".to_owned(), json!("pro"));
        world.sandbox.seed_users(snapshot.users.into_iter().filter(|(key, _)| key == "00000002-u")).unwrap();
        world.directory.set(after());
        world
    }

    async fn sync(&self) -> Result<Report, BulkSyncError> {
        let sync = BulkSync {
            permit: self.permit.clone(),
            directory: Arc::new(self.directory.clone()),
            policy: Arc::new(policy()),
            looks: None,
        };
        sync.run(Options { approve_deprovision: true, ..options() }, &Nobody).await
    }
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// The states before the odd run, and after a run without anything odd.
fn bounds() -> &'static (Snapshot, Snapshot) {
    static BOUNDS: OnceLock<(Snapshot, Snapshot)> = OnceLock::new();
    BOUNDS.get_or_init(|| {
        std::thread::spawn(|| {
            paused(async {
                let world = World::start().await;
                let before = world.sandbox.snapshot();
                let report = world.sync().await.unwrap();
                assert!(report.converged && report.rejected.is_empty(), "{report:?}");
                (before, world.sandbox.snapshot())
            })
        })
        .join()
        .unwrap()
    })
}

fn roles(snapshot: &Snapshot) -> BTreeMap<String, BTreeSet<String>> {
    snapshot.users.iter().map(|(key, user)| (key.clone(), user.roles.clone())).collect()
}

/// Only those users and roles are gone that should be, and no user has more than before or than they
/// should have.
fn harmless(now: &Snapshot, odd: &Odd) -> Result<(), TestCaseError> {
    let (before, clean) = bounds();
    for (key, was) in &before.users {
        let Some(wanted) = clean.users.get(key) else { continue };
        let Some(is) = now.users.get(key) else { return Err(TestCaseError::fail(format!("{key} is gone"))) };
        for role in was.roles.intersection(&wanted.roles) {
            prop_assert!(is.roles.contains(role), "{key} lost {role}");
        }
        let may = |role: &String| was.roles.contains(role) || wanted.roles.contains(role);
        prop_assert!(is.roles.iter().all(may), "{key} has {:?}", is.roles);
        if !odd.is_plausible() {
            prop_assert_eq!(
                is.attributes.get("plan"),
                was.attributes.get("plan"),
                "what others wrote of {}",
                key
            );
        }
    }
    prop_assert_eq!(&now.users["foreign"], &before.users["foreign"]);
    Ok(())
}

const PAGE: &[(&str, &str)] = &[("content-type", "text/html")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn odd() -> impl Strategy<Value = Odd> {
    let error = r#"{"id": "x", "title": "x", "error_code": "UNEXPECTED_ERROR", "message": "x"}"#;
    let instead = prop::sample::select(vec![
        Odd::Instead(429, &[], ""),
        Odd::Instead(429, &[("retry-after", "1")], "{}"),
        Odd::Instead(429, &[("retry-after", "Thu, 26 Nov 2026 08:00:00 GMT")], ""),
        Odd::Instead(429, &[("retry-after", "soon")], "slow down"),
        Odd::Instead(502, PAGE, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
        Odd::Instead(500, &[], ""),
        Odd::Instead(504, JSON, "{"),
        Odd::Instead(200, PAGE, "<html>sign in</html>"),
        Odd::Instead(200, &[], ""),
        Odd::Instead(204, &[], ""),
        Odd::Instead(200, JSON, error),
        Odd::Instead(200, JSON, "null"),
        Odd::Instead(200, JSON, "{}"),
        Odd::Instead(200, JSON, "[]"),
        Odd::Instead(200, JSON, "[null, 7, {}]"),
        Odd::Instead(200, JSON, r#"{"data": [], "total_count": 0}"#),
        Odd::Instead(200, JSON, r#"{"data": null, "total_count": null}"#),
        Odd::Instead(302, &[("location", "http://127.0.0.1:1/")], ""),
        Odd::Instead(400, JSON, error),
        Odd::Instead(401, JSON, error),
        Odd::Instead(403, JSON, r#"{"detail": "no"}"#),
        Odd::Instead(404, PAGE, "<html>not here</html>"),
        Odd::Instead(409, JSON, r#"{"error_code": "CONCURRENT_OPERATION_DISALLOWED"}"#),
        Odd::Instead(418, &[], "teapot"),
        Odd::Instead(422, JSON, r#"{"detail": [{"loc": ["body", null, {"x": 1}], "msg": 7}]}"#),
        Odd::Instead(422, JSON, r#"{"detail": "no"}"#),
    ]);
    let value = prop::sample::select(vec![
        json!(null),
        json!(7),
        json!(-1.5),
        json!("7"),
        json!(""),
        json!([]),
        json!({}),
        json!(true),
        json!([null]),
        json!({"key": null}),
        json!("\u{0}\u{202e}"),
    ]);
    let total = prop::sample::select(vec![
        json!(0),
        json!(1),
        json!(-1),
        json!("13"),
        json!(1e300),
        json!(null),
        json!(u64::MAX),
    ]);
    prop_oneof![
        6 => instead,
        2 => any::<u8>().prop_map(Odd::Cut),
        1 => Just(Odd::Silent),
        6 => (any::<u16>(), value).prop_map(|(place, value)| Odd::Value(place, value)),
        1 => Just(Odd::Unknown),
        1 => Just(Odd::Twice),
        2 => (1..20_u8).prop_map(Odd::Short),
        2 => total.prop_map(Odd::Total),
    ]
}

/// Every endpoint that a sync calls.
const ENDPOINTS: [(&str, &str); 14] = [
    ("GET", "/users?"),
    ("GET", "/users/"),
    ("GET", "/roles"),
    ("GET", "/resources/"),
    ("GET", "/tenants"),
    ("GET", "/role_assignments"),
    ("GET", "/resource_instances/"),
    ("POST", "/users"),
    ("PUT", "/users"),
    ("DELETE", "/users"),
    ("POST", "/roles"),
    ("POST", "/role_assignments/bulk"),
    ("DELETE", "/role_assignments/bulk"),
    ("POST", "/user-permissions"),
];

fn strike() -> impl Strategy<Value = Strike> {
    let times = prop_oneof![Just(1), Just(2), Just(u8::MAX)];
    (prop::sample::select(ENDPOINTS.to_vec()), times, any::<bool>(), odd())
        .prop_map(|((method, path), times, applied, odd)| Strike { method, path, times, applied, odd })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_bulk_sync_takes_nothing_on_a_guess_and_the_next_one_is_right(strike in strike()) {
        let (before, clean) = bounds();
        paused(async {
            let world = World::start().await;
            prop_assert_eq!(roles(&world.sandbox.snapshot()), roles(before));
            world.between.set(Some(strike.clone()));
            let ended = world.sync().await;
            let now = world.sandbox.snapshot();
            harmless(&now, &strike.odd)?;
            if let Ok(report) = &ended {
                // Everyone who was read is counted, and a run that says it is done is done.
                prop_assert_eq!(report.pool.users, 13);
                let is_quiet = report.rejected.is_empty() && report.refused.is_none();
                if report.converged && report.complete && is_quiet && !strike.odd.is_plausible() {
                    prop_assert_eq!(roles(&now), roles(clean));
                }
            }
            world.between.set(None);
            world.sync().await.unwrap();
            let report = world.sync().await.unwrap();
            prop_assert!(report.converged && report.rejected.is_empty(), "{report:?}");
            prop_assert_eq!(roles(&world.sandbox.snapshot()), roles(clean));
            Ok(())
        })?;
    }

    #[test]
    fn a_sign_in_takes_nothing_on_a_guess_and_the_next_one_is_right(strike in strike(), who in 0..13_usize) {
        let (_, clean) = bounds();
        paused(async {
            let world = World::start().await;
            let person = after()[who].clone();
            let Record::Identity(identity) = person.record(now()) else { panic!("no identity") };
            let sign_in = |permit: &Permit| {
                SignIn::new(permit.clone(), policy(), settings(20_000, OnFailure::Admit), None)
            };
            world.between.set(Some(strike.clone()));
            arrive(&sign_in(&world.permit), identity.clone(), false).await;
            harmless(&world.sandbox.snapshot(), &strike.odd)?;
            world.between.set(None);
            arrive(&sign_in(&world.permit), identity, false).await;
            let now = world.sandbox.snapshot();
            prop_assert_eq!(roles(&now).remove(&person.key), roles(clean).remove(&person.key));
            Ok(())
        })?;
    }
}

/// For every field of a user in every form: the person is synced or named in the report, and the others
/// are synced.
#[test]
fn a_field_in_any_form_is_one_person_at_most() {
    let fields = ["key", "email", "first_name", "attributes", "roles", "associated_tenants", "updated_at"];
    let forms = [json!(null), json!(7), json!("x"), json!([{"role": 1}])];
    let others = |snapshot: &Snapshot| -> BTreeMap<String, BTreeSet<String>> {
        roles(snapshot).into_iter().filter(|(key, _)| key != ONE).collect()
    };
    for field in fields {
        for form in &forms {
            // This makes it a different user.
            if (field, form) == ("key", &json!("x")) {
                continue;
            }
            paused(async {
                let world = World::start().await;
                let odd = Odd::Field(field, form.clone());
                world.between.set(Some(Strike {
                    method: "GET",
                    path: "/users",
                    times: u8::MAX,
                    applied: true,
                    odd,
                }));
                let report = world.sync().await.unwrap();
                let named: Vec<&str> = report.rejected.iter().map(|one| &*one.user).collect();
                assert!(named.iter().all(|user| *user == ONE), "{field} = {form}: {report:?}");
                let now = world.sandbox.snapshot();
                assert_eq!(others(&now), others(&bounds().1), "{field} = {form}");
                let is_there = now.users[ONE].first_name.as_deref() == Some("Jane");
                assert!(is_there || named == [ONE], "{field} = {form}: {report:?}");
            });
        }
    }
}
