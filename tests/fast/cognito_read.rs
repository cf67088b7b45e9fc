//! Reading a whole user pool, against an in-memory pool that pages, fails and filters as the test says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use permit_handoff::aws::Patience;
use permit_handoff::aws::groups_of;
use permit_handoff::aws::pool::{Page, PoolError, PoolUser, UserPool};
use permit_handoff::aws::read::{Pace, Part, PoolReader, ReadError, matched_by};
use permit_handoff::domain::SubPrefix;
use permit_handoff::domain::directory::{Record, Summary};
use permit_handoff::domain::identity::{Identity, InvalidIdentity};
use permit_handoff::domain::policy::Policy;
use permit_handoff::domain::source::Sources;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How the pool treats a filter.
#[derive(Clone, Copy, PartialEq)]
enum Filter {
    Honoured,
    Refused,
    Ignored,
    /// The pool returns nobody for a filter of one digit, as a pool that compares differently might.
    Misunderstood,
}

pub(crate) struct Pool {
    pub(crate) users: Vec<PoolUser>,
    /// Indices of users, by group.
    pub(crate) groups: BTreeMap<String, Vec<usize>>,
    filter: Filter,
    page: usize,
    /// The errors that the next requests of a kind get instead of a page.
    faults: Mutex<HashMap<&'static str, Vec<PoolError>>>,
    asked: Mutex<HashMap<&'static str, usize>>,
}

pub(crate) fn sub(index: usize) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &index.to_be_bytes()).to_string()
}

fn user(index: usize) -> PoolUser {
    let attributes = [("sub", sub(index)), ("email", format!("user{index}@example.com"))];
    PoolUser {
        username: format!("user{index}"),
        attributes: attributes.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        enabled: !index.is_multiple_of(10),
    }
}

pub(crate) fn pool(users: usize) -> Pool {
    Pool {
        users: (0..users).map(user).collect(),
        groups: BTreeMap::new(),
        filter: Filter::Honoured,
        page: 60,
        faults: Mutex::default(),
        asked: Mutex::default(),
    }
}

impl Pool {
    fn fault(self, action: &'static str, faults: impl IntoIterator<Item = PoolError>) -> Self {
        self.faults.lock().unwrap().entry(action).or_default().extend(faults);
        self
    }

    fn asked(&self, action: &'static str) -> usize {
        self.asked.lock().unwrap().get(action).copied().unwrap_or_default()
    }

    /// A page of `all`. Its token is the position that it starts at.
    fn page<T>(&self, action: &'static str, all: Vec<T>, token: Option<&str>) -> Result<Page<T>, PoolError> {
        *self.asked.lock().unwrap().entry(action).or_default() += 1;
        // Only a request with a token can find the token expired.
        let fits = |fault: &PoolError| token.is_some() || !matches!(fault, PoolError::TokenExpired { .. });
        let fault = self.faults.lock().unwrap().get_mut(action).and_then(|faults| faults.pop_if(|f| fits(f)));
        if let Some(fault) = fault {
            return Err(fault);
        }
        let start: usize = token.map_or(0, |token| token.parse().unwrap());
        let end = start + self.page;
        let next = (all.len() > end).then(|| end.to_string());
        Ok(Page { items: all.into_iter().skip(start).take(self.page).collect(), next })
    }
}

#[async_trait]
impl UserPool for Pool {
    async fn groups(&self, token: Option<&str>) -> Result<Page<String>, PoolError> {
        self.page("ListGroups", self.groups.keys().cloned().collect(), token)
    }

    async fn members(&self, group: &str, token: Option<&str>) -> Result<Page<PoolUser>, PoolError> {
        let members = self.groups[group].iter().map(|index| self.users[*index].clone()).collect();
        self.page("ListUsersInGroup", members, token)
    }

    async fn users(&self, prefix: Option<&str>, token: Option<&str>) -> Result<Page<PoolUser>, PoolError> {
        let fits = |user: &&PoolUser| match (self.filter, prefix) {
            (_, None) | (Filter::Ignored, _) => true,
            (Filter::Misunderstood, Some(prefix)) if prefix.len() == 1 => false,
            (_, Some(prefix)) => user.sub().is_some_and(|sub| sub.starts_with(prefix)),
        };
        if prefix.is_some() && self.filter == Filter::Refused {
            self.page("ListUsers", Vec::<PoolUser>::new(), token)?;
            return Err(PoolError::FilterRefused);
        }
        self.page("ListUsers", self.users.iter().filter(fits).cloned().collect(), token)
    }

    async fn groups_of(&self, username: &str, token: Option<&str>) -> Result<Page<String>, PoolError> {
        let index = self.users.iter().position(|user| user.username == username);
        let index = index.ok_or(PoolError::NoSuchUser)?;
        let groups = self.groups.iter().filter(|(_, members)| members.contains(&index));
        self.page("AdminListGroupsForUser", groups.map(|(name, _)| name.clone()).collect(), token)
    }

    async fn user(&self, sub: &str) -> Result<Option<PoolUser>, PoolError> {
        Ok(self.users.iter().find(|user| user.sub() == Some(sub)).cloned())
    }
}

const FAST: Pace =
    Pace { users: NonZeroU32::new(100_000).unwrap(), groups: NonZeroU32::new(100_000).unwrap() };
const PATIENCE: Patience = Patience { attempts: 5, first_pause: Duration::from_millis(1) };

/// The result: people by key, the number of records, and the invalid ones.
#[derive(Default)]
struct Reading {
    people: BTreeMap<String, Identity>,
    records: usize,
    invalid: Vec<(String, String)>,
}

async fn read(pool: &Arc<Pool>, prefix: Option<&str>) -> (Result<Summary, ReadError>, Reading) {
    read_matching(pool, prefix, |_| true).await
}

async fn read_matching(
    pool: &Arc<Pool>,
    prefix: Option<&str>,
    matters: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Result<Summary, ReadError>, Reading) {
    let reader = PoolReader::new(Arc::clone(pool) as _, Sources::default().of_user_pool("p"), FAST, PATIENCE);
    let (sender, mut receiver) = mpsc::channel(8);
    let prefix: Option<SubPrefix> = prefix.map(|prefix| prefix.parse().unwrap());
    // In a task of its own, as in the bulk sync.
    let task = tokio::spawn(async move { reader.read(prefix.as_ref(), matters, &sender).await });
    let mut reading = Reading::default();
    while let Some(record) = receiver.recv().await {
        match record {
            Record::Identity(identity) => {
                reading.records += 1;
                reading.people.insert(identity.key.as_str().to_owned(), identity);
            }
            Record::Invalid { user, reason, .. } => reading.invalid.push((user, reason)),
        }
    }
    (task.await.unwrap(), reading)
}

/// Checks that the read was complete: every user under `prefix` arrived, and the count is right.
#[track_caller]
fn assert_whole(pool: &Pool, prefix: &str, result: &Result<Summary, ReadError>, reading: &Reading) {
    let expected: BTreeSet<&str> =
        pool.users.iter().filter_map(PoolUser::sub).filter(|sub| sub.starts_with(prefix)).collect();
    let summary = Summary { users: expected.len() as u64, groups: pool.groups.len() as u64, doubt: None };
    assert_eq!(result.as_ref(), Ok(&summary));
    assert_eq!(reading.people.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn a_large_pool_is_read_in_lanes_with_groups_and_disabled_people() {
    let mut pool = pool(2000);
    pool.groups = BTreeMap::from([
        ("acme/editor".to_owned(), (0..150).collect()),
        ("admins".to_owned(), vec![7, 149, 1999]),
        ("nobody".to_owned(), Vec::new()),
    ]);
    let pool = Arc::new(pool);
    let (result, reading) = read(&pool, None).await;
    assert_whole(&pool, "", &result, &reading);
    let groups = |index: usize| {
        let groups = reading.people[&sub(index)].groups.clone().unwrap();
        groups.into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!((groups(7).as_str(), groups(8).as_str()), ("acme/editor admins", "acme/editor"));
    assert_eq!((groups(1999).as_str(), groups(1998).as_str()), ("admins", ""));
    assert_eq!(reading.people.values().filter(|person| !person.enabled).count(), 200);
    assert_eq!(reading.people[&sub(7)].source.as_str(), "p");
    // Lanes of about 125 users: three pages each, plus the first page of the whole list.
    assert!(pool.asked("ListUsers") <= 1 + 16 * 4, "{}", pool.asked("ListUsers"));
    assert_eq!(pool.asked("ListUsersInGroup"), 3 + 1 + 1);
}

#[tokio::test]
async fn a_small_pool_takes_one_request() {
    let pool = Arc::new(pool(60));
    let (result, reading) = read(&pool, None).await;
    assert_whole(&pool, "", &result, &reading);
    assert_eq!((pool.asked("ListUsers"), reading.records), (1, 60));
}

#[tokio::test]
async fn an_empty_pool_is_whole() {
    let pool = Arc::new(pool(0));
    let (result, reading) = read(&pool, None).await;
    assert_whole(&pool, "", &result, &reading);
}

#[tokio::test]
async fn where_the_filter_does_not_work_one_lane_reads_all() {
    for filter in [Filter::Refused, Filter::Ignored, Filter::Misunderstood] {
        let pool = Arc::new(Pool { filter, ..pool(600) });
        let (result, reading) = read(&pool, None).await;
        assert_whole(&pool, "", &result, &reading);
        assert!(reading.records <= 660, "the lanes multiplied the users: {}", reading.records);
        // The first page of the whole list, the first page of each lane, and the ten pages of the one
        // lane.
        assert!(pool.asked("ListUsers") <= 1 + 16 + 10, "the lanes read on: {}", pool.asked("ListUsers"));
    }
}

#[tokio::test]
async fn a_part_of_the_pool_is_read_alone() {
    for filter in [Filter::Honoured, Filter::Refused, Filter::Ignored] {
        let mut pool = Pool { filter, ..pool(2000) };
        pool.groups.insert("all".to_owned(), (0..2000).collect());
        let pool = Arc::new(pool);
        for prefix in ["3", "3f", "a0b1c2d3-"] {
            let (result, reading) = read(&pool, Some(prefix)).await;
            assert_whole(&pool, prefix, &result, &reading);
            assert!(
                reading.people.values().all(|person| person.groups.as_ref().is_some_and(|g| g.len() == 1))
            );
        }
    }
}

#[tokio::test]
async fn a_page_that_fails_three_times_and_then_works_is_no_matter() {
    let down = || PoolError::Unavailable { action: "ListUsers", reason: "Cognito answered 500".to_owned() };
    for action in ["ListGroups", "ListUsersInGroup", "ListUsers"] {
        let mut pool = pool(500).fault(action, [down(), PoolError::Throttled { action }, down()]);
        pool.groups.insert("all".to_owned(), (0..500).collect());
        let pool = Arc::new(pool);
        let (result, reading) = read(&pool, None).await;
        assert_whole(&pool, "", &result, &reading);
        assert_eq!(reading.people[&sub(499)].groups.as_ref().map(BTreeSet::len), Some(1));
    }
}

#[tokio::test]
async fn a_page_that_never_works_breaks_the_reading_and_says_which() {
    let throttled = |action| std::iter::repeat_n(PoolError::Throttled { action }, 1000);
    for (action, part) in [
        ("ListGroups", Part::Groups),
        ("ListUsersInGroup", Part::Members("all".to_owned())),
        ("ListUsers", Part::Users(None)),
    ] {
        let mut pool = pool(500).fault(action, throttled(action));
        pool.groups.insert("all".to_owned(), (0..500).collect());
        let pool = Arc::new(pool);
        let (result, reading) = read(&pool, None).await;
        assert_eq!(result, Err(ReadError::Pool { part, source: PoolError::Throttled { action } }));
        assert!(reading.people.is_empty());
        assert_eq!(pool.asked(action), 5);
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_not_asked_for_twice() {
    let action = "ListUsersInGroup";
    let mut pool = pool(5).fault(action, [PoolError::NotAuthorized { action }]);
    pool.groups.insert("all".to_owned(), vec![0]);
    let pool = Arc::new(pool);
    let (result, _) = read(&pool, None).await;
    let message = result.unwrap_err().to_string();
    assert_eq!(
        message,
        "the user pool was not read whole (the members of its group `all` failed): ListUsersInGroup is not \
         allowed: the role needs cognito-idp:ListUsersInGroup on the user pool"
    );
    assert_eq!(pool.asked(action), 1);
}

#[tokio::test]
async fn a_token_that_expires_starts_the_listing_again() {
    for action in ["ListGroups", "ListUsersInGroup", "ListUsers"] {
        let mut pool = pool(2500).fault(action, [PoolError::TokenExpired { action }]);
        pool.groups = (0..130).map(|index| (format!("group{index:03}"), vec![index])).collect();
        pool.groups.insert("all".to_owned(), (0..2500).collect());
        let pool = Arc::new(pool);
        let (result, reading) = read(&pool, None).await;
        assert_whole(&pool, "", &result, &reading);
        assert!(pool.faults.lock().unwrap()[action].is_empty(), "{action}: the token never expired");
        assert_eq!(reading.people[&sub(3)].groups.as_ref().map(BTreeSet::len), Some(2));
    }
}

#[tokio::test]
async fn a_token_that_always_expires_is_an_error() {
    let expired = PoolError::TokenExpired { action: "ListUsers" };
    let pool = Arc::new(pool(2500).fault("ListUsers", std::iter::repeat_n(expired.clone(), 1000)));
    let (result, _) = read(&pool, None).await;
    assert!(matches!(result, Err(ReadError::Pool { source, .. }) if source == expired));
}

#[tokio::test]
async fn one_bad_record_is_one_bad_record() {
    let mut pool = pool(20);
    pool.users[3].attributes.remove(0);
    pool.users[4].attributes[0].1 = "no key/at all".to_owned();
    pool.users[5].attributes[0].1 = sub(6);
    let pool = Arc::new(pool);
    let (result, reading) = read(&pool, None).await;
    assert_eq!(result, Ok(Summary { users: 20, groups: 0, doubt: None }));
    let expected = [("user3", InvalidIdentity::NoKey), ("no key/at all", InvalidIdentity::NotAKey)];
    for ((user, reason), (name, why)) in reading.invalid.iter().zip(&expected) {
        assert!(user == name && reason.starts_with(&why.to_string()), "{user}: {reason}");
    }
    assert_eq!(reading.invalid.len(), expected.len());
    assert_eq!((reading.people.len(), reading.records), (17, 18));
}

/// Cognito has no such users. A pool that has them is not split into lanes, which would miss them.
#[tokio::test]
async fn people_whose_sub_is_no_uuid_are_not_lost() {
    let mut pool = pool(600);
    for index in (0..600).step_by(7) {
        pool.users[index].attributes[0].1 = format!("user-{index}");
    }
    let pool = Arc::new(pool);
    let (result, reading) = read(&pool, None).await;
    assert_whole(&pool, "", &result, &reading);
}

#[tokio::test]
async fn only_groups_that_the_policy_matches_are_read() {
    let policy: Policy =
        "[[grant]]\nwhen = { group = \"{tenant}/{role}\" }\n[[grant]]\ntenant = \"t\"\nrole = \"r\"\n\
                          when = { group = \"admins\" }"
            .parse()
            .unwrap();
    let mut pool = pool(10);
    for name in ["acme/editor", "../..", "admins", "newsletter", &"x".repeat(128)] {
        pool.groups.insert(name.to_owned(), vec![0]);
    }
    let pool = Arc::new(pool);
    let (result, reading) = read_matching(&pool, None, move |group| matched_by(&policy, group)).await;
    assert_eq!(result, Ok(Summary { users: 10, groups: 5, doubt: None }));
    assert_eq!(pool.asked("ListUsersInGroup"), 2);
    let groups = reading.people[&sub(0)].groups.as_ref().unwrap();
    assert_eq!(groups.iter().map(String::as_str).collect::<Vec<_>>(), ["acme/editor", "admins"]);
}

#[tokio::test]
async fn a_group_that_is_deleted_meanwhile_has_no_members() {
    let gone = PoolError::NoSuchPool("eu-west-1_A".to_owned());
    let mut pool = pool(10).fault("ListUsersInGroup", [gone]);
    pool.groups.insert("gone".to_owned(), vec![0]);
    let pool = Arc::new(pool);
    let (result, reading) = read(&pool, None).await;
    assert_whole(&pool, "", &result, &reading);
    assert_eq!(reading.people[&sub(0)].groups, Some(BTreeSet::new()));
}

#[tokio::test]
async fn ten_thousand_groups_and_a_user_with_a_hundred() {
    let mut pool = pool(100);
    pool.groups = (0..10_000).map(|index| (format!("group{index:05}"), vec![index % 100])).collect();
    let pool = Arc::new(pool);
    let (result, reading) = read(&pool, None).await;
    assert_whole(&pool, "", &result, &reading);
    assert!(reading.people.values().all(|person| person.groups.as_ref().is_some_and(|g| g.len() == 100)));
    let groups = groups_of(&*pool, "user42", PATIENCE).await.unwrap();
    assert_eq!(Some(&groups), reading.people[&sub(42)].groups.as_ref());
    assert_eq!(pool.asked("AdminListGroupsForUser"), 2);
}

#[tokio::test]
async fn a_sign_in_asks_for_groups_once_more_and_no_more() {
    let action = "AdminListGroupsForUser";
    let throttled = PoolError::Throttled { action };
    let patience = Patience { attempts: 2, ..PATIENCE };
    let mut twice = pool(1).fault(action, [throttled.clone()]);
    twice.groups.insert("admins".to_owned(), vec![0]);
    assert_eq!(groups_of(&twice, "user0", patience).await.unwrap().len(), 1);

    let never = pool(1).fault(action, [throttled.clone(), throttled.clone(), throttled.clone()]);
    assert_eq!(groups_of(&never, "user0", patience).await, Err(throttled));
    assert_eq!(never.asked(action), 2);
    assert_eq!(groups_of(&never, "nobody", patience).await, Err(PoolError::NoSuchUser));
}

#[tokio::test]
async fn a_listing_that_goes_in_a_circle_is_an_error() {
    let pool = Arc::new(Pool { page: 0, ..pool(10) });
    let (result, _) = read(&pool, None).await;
    assert!(matches!(result, Err(ReadError::Pool { part: Part::Users(_), .. })), "{result:?}");
}

#[tokio::test]
async fn a_reading_that_nobody_takes_ends() {
    let reader = PoolReader::new(Arc::new(pool(600)), Sources::default().of_user_pool("p"), FAST, PATIENCE);
    let (sender, mut receiver) = mpsc::channel(1);
    let reading = tokio::spawn(async move { reader.read(None, |_| true, &sender).await });
    assert!(matches!(receiver.recv().await, Some(Record::Identity(_))));
    drop(receiver);
    assert_eq!(reading.await.unwrap(), Err(ReadError::CalledOff));
}

#[tokio::test]
async fn the_pace_is_held() {
    let pool = Arc::new(Pool { filter: Filter::Refused, page: 10, ..pool(600) });
    let pace = Pace { users: NonZeroU32::new(50).unwrap(), ..FAST };
    let reader =
        PoolReader::new(Arc::clone(&pool) as _, Sources::default().of_user_pool("p"), pace, PATIENCE);
    let (sender, mut receiver) = mpsc::channel(1000);
    let start = Instant::now();
    let taker = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    reader.read(None, |_| true, &sender).await.unwrap();
    drop(sender);
    taker.await.unwrap();
    // At least sixty pages at 50 a second, of which a few may go at once.
    assert!(pool.asked("ListUsers") >= 60 && start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn nothing_personal_is_printed() {
    let (sender, mut receiver) = mpsc::channel(100);
    let mut pool = pool(3);
    pool.users[1].attributes.remove(0);
    let printed = format!("{:?}", pool.users[0]);
    let reader = PoolReader::new(Arc::new(pool), Sources::default().of_user_pool("p"), FAST, PATIENCE);
    reader.read(None, |_| true, &sender).await.unwrap();
    drop(sender);
    let mut printed = vec![printed];
    while let Some(record) = receiver.recv().await {
        printed.push(format!("{record:?}"));
    }
    assert_eq!(printed, ["PoolUser(..)", "Identity(..)", "Invalid(..)", "Identity(..)"]);
}
