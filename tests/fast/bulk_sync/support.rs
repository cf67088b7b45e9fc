//! A directory in memory, and a bulk sync of it into a sandbox.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use permit_handoff::domain::SubPrefix;
use permit_handoff::domain::directory::{Directory, NotWhole, Record, Summary};
use permit_handoff::domain::identity::{Evidence, Identity, Source, UserKey};
use permit_handoff::domain::policy::Policy;
use permit_handoff::domain::source::{Door, SourceConfig, Sources};
use permit_handoff::permit::{self, Address, Environment, Permit, StaticKey};
use permit_handoff::sync::bulk::report::Report;
use permit_handoff::sync::bulk::{BulkSync, BulkSyncError, Nobody, Options};
use permit_sandbox::Sandbox;
use tokio::sync::mpsc;

/// More people than the sync reads ahead while it lists Permit's users.
pub(crate) const READ_AHEAD: usize = 1_100;

pub(crate) const SOURCE: &str = "local_pool";

/// The tests' user pool, which the policy does not name.
static POOL: LazyLock<Arc<SourceConfig>> = LazyLock::new(|| Sources::default().of_user_pool(SOURCE));

pub(crate) const POLICY: &str = r#"
[user]
attributes = ["locale", "custom:department"]
[[grant]]
tenant = "default"
role = "viewer"
[[grant]]
when = { group = "admins" }
tenant = "default"
role = "admin"
[[grant]]
when = { group = "{tenant}/{role}" }
[deprovision]
missing = "unassign"
disabled = "unassign"
grace_hours = 24
max_percent = 50
"#;

pub(crate) fn policy() -> Policy {
    POLICY.parse().unwrap()
}

/// The policy with these changes to its text.
pub(crate) fn policy_with(changes: &[(&str, &str)]) -> Policy {
    let mut text = POLICY.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text.parse().unwrap()
}

pub(crate) fn now() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

pub(crate) fn hours_later(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) key: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) enabled: bool,
}

/// A person with their own e-mail address.
pub(crate) fn person(key: &str) -> Person {
    let attributes = vec![("email".to_owned(), format!("{key}@example.com"))];
    Person { key: key.to_owned(), attributes, groups: BTreeSet::new(), enabled: true }
}

pub(crate) fn people(count: usize) -> Vec<Person> {
    (0..count).map(|n| person(&format!("{n:08x}-u"))).collect()
}

impl Person {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn in_group(mut self, group: &str) -> Self {
        self.groups.insert(group.to_owned());
        self
    }

    pub(crate) fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    pub(crate) fn record(&self, as_of: Timestamp) -> Record {
        let attributes = self.attributes.iter().cloned().chain([("sub".to_owned(), self.key.clone())]);
        let groups = Some(self.groups.clone());
        match POOL.identity_of_user(&Door::Pool, attributes, groups, as_of) {
            Ok(identity) => {
                let identity = Identity { enabled: self.enabled, ..identity };
                Record::Identity(identity.on(Evidence::read_at(as_of)))
            }
            Err(error) => Record::Invalid { user: self.key.clone(), key: None, reason: error.to_string() },
        }
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) people: Vec<Person>,
    /// People who exist but are not listed.
    pub(crate) overlooked: BTreeSet<String>,
    /// The listing fails after this many people.
    pub(crate) breaks_after: Option<usize>,
    /// The time at which the people are read. `None` means [`now`].
    pub(crate) as_of: Option<Timestamp>,
    /// Whether single people cannot be looked up.
    pub(crate) mute: bool,
    /// Called once the sync has begun to plan, after more records than fit between.
    pub(crate) while_planning: Option<Box<dyn FnOnce() + Send>>,
}

/// A directory in memory.
#[derive(Clone)]
pub(crate) struct MemoryDirectory {
    source: Source,
    pub(crate) state: Arc<Mutex<State>>,
}

impl MemoryDirectory {
    pub(crate) fn new(people: Vec<Person>) -> Self {
        let state = State { people, ..State::default() };
        Self { source: Source::named(SOURCE), state: Arc::new(Mutex::new(state)) }
    }

    /// Does `work` after Permit's users are listed and before the last people are planned. There must be
    /// more people than the sync reads ahead.
    pub(crate) fn while_planning(&self, work: impl FnOnce() + Send + 'static) {
        self.state.lock().unwrap().while_planning = Some(Box::new(work));
    }

    pub(crate) fn set(&self, people: Vec<Person>) {
        self.state.lock().unwrap().people = people;
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    fn source(&self) -> &Source {
        &self.source
    }

    async fn read(
        &self,
        prefix: Option<&SubPrefix>,
        records: mpsc::Sender<Record>,
    ) -> Result<Summary, NotWhole> {
        let prefix = prefix.map(SubPrefix::as_str);
        let (people, breaks_after, as_of) = {
            let State { people, overlooked, breaks_after, as_of, .. } = &*self.state.lock().unwrap();
            let named = people.iter().filter(|person| !overlooked.contains(&person.key));
            let of_part = named.filter(|person| prefix.is_none_or(|prefix| person.key.starts_with(prefix)));
            (of_part.cloned().collect::<Vec<_>>(), *breaks_after, as_of.unwrap_or_else(now))
        };
        let groups: BTreeSet<&String> = people.iter().flat_map(|person| &person.groups).collect();
        for (count, person) in people.iter().enumerate() {
            if breaks_after == Some(count) {
                return Err(NotWhole("page 7 of the user pool was not read".into()));
            }
            if count == READ_AHEAD
                && let Some(work) = self.state.lock().unwrap().while_planning.take()
            {
                work();
            }
            records.send(person.record(as_of)).await.map_err(|_| NotWhole("called off".into()))?;
        }
        Ok(Summary { users: people.len() as u64, groups: groups.len() as u64, doubt: None })
    }

    async fn contains(&self, key: &UserKey) -> Result<bool, NotWhole> {
        let state = self.state.lock().unwrap();
        if state.mute {
            return Err(NotWhole("the user pool does not answer".into()));
        }
        Ok(state.people.iter().any(|person| person.key == key.as_str()))
    }
}

/// A client with a configured environment, so that it makes only the requests under test.
pub(crate) fn permit(sandbox: &Sandbox) -> Permit {
    permit_within(sandbox, Duration::from_secs(5))
}

/// Like `permit`, with the sandbox as the PDP too.
pub(crate) fn permit_at_pdp(sandbox: &Sandbox) -> Permit {
    permit_with(sandbox, &sandbox.url(), Duration::from_secs(5), Some(sandbox.url().parse().unwrap()))
}

/// Like `permit`, with another timeout per attempt.
pub(crate) fn permit_within(sandbox: &Sandbox, timeout: Duration) -> Permit {
    permit_with(sandbox, &sandbox.url(), timeout, None)
}

/// Like `permit_within`, through a proxy for the sandbox at `url`.
pub(crate) fn permit_with(
    sandbox: &Sandbox,
    url: &str,
    timeout: Duration,
    pdp_url: Option<Address>,
) -> Permit {
    let mut settings = permit::Settings::new(url.parse().unwrap());
    settings.environment =
        Some(Environment { project: sandbox.project(), environment: sandbox.environment() });
    settings.timeout = timeout;
    settings.pdp_url = pdp_url;
    settings.limits = "all=1000000,write=1000000,delete=1000000,bulk=1000000".parse().unwrap();
    let key = Arc::new(StaticKey::new(sandbox.api_key().to_owned().into()));
    Permit::new(settings, key).unwrap().patient(1.0)
}

pub(crate) fn bulk_sync(sandbox: &Sandbox, directory: &MemoryDirectory, policy: Policy) -> BulkSync {
    BulkSync {
        permit: permit(sandbox),
        directory: Arc::new(directory.clone()),
        policy: Arc::new(policy),
        looks: None,
    }
}

pub(crate) fn options() -> Options {
    Options::new("test".into(), now())
}

/// One whole run, which must succeed.
pub(crate) async fn sync(sandbox: &Sandbox, directory: &MemoryDirectory) -> Report {
    try_sync(sandbox, directory).await.unwrap()
}

pub(crate) async fn try_sync(
    sandbox: &Sandbox,
    directory: &MemoryDirectory,
) -> Result<Report, BulkSyncError> {
    bulk_sync(sandbox, directory, policy()).run(options(), &Nobody).await
}

pub(crate) fn roles(sandbox: &Sandbox, key: &str) -> Vec<String> {
    sandbox.user(key).unwrap().roles.into_iter().collect()
}
