//! The write protocol, searched whole: every order in which its steps can come, on a small world.
//!
//! Two sign-ins, a bulk sync, looks from the queue and an administrator are at one user while the directory changes. Each may
//! be cut off between any two requests; a message may be handed over twice. What a writer does with what it read is decided by the
//! real planner ([`Plan::claiming`]) on real ledgers; the driver around it is written here as `sync::one` has it.
//!
//! It is a search of our own and no model checker from a crate: a state is forty bytes and a plan is looked up by what it
//! depends on, so that a million states take seconds, and the crates that search (stateright) bring a web server with them. The
//! time of the protocol is counted in ticks: a writer may write for [`Rules::window`] ticks after its read, and a message is
//! handed over [`Rules::delay`] ticks after it was sent, or later. Whoever read in one tick has ended when `window` more are over,
//! so a look is late enough from `2 × window + 1` on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::pedantic, clippy::type_complexity, reason = "a model: switches side by side")]

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use permit_handoff::domain::facts::{Facts, LEDGER, Ledger, Names};
use permit_handoff::domain::grant::Grant;
use permit_handoff::domain::identity::{Evidence, Identity, Source, UserKey};
use permit_handoff::domain::plan::{Change, NewUser, Plan, Refused, UserWrite};
use permit_handoff::domain::policy::Policy;

/// A set of role assignments: `a` and `b`, which the policy grants, and `f`, which an administrator gives.
type Roles = u8;
const A: Roles = 1;
const B: Roles = 2;
const FOREIGN: Roles = 4;
const NAMES: [(Roles, &str); 3] = [(A, "t/a"), (B, "t/b"), (FOREIGN, "t/foreign")];

/// A look that leads to another ends here. In a world this small none should.
const MOST_LOOKS: u8 = 4;

/// How often a writer finds its window over.
const MOST_LATE: u8 = 1;

/// What the writers keep to, and how large the world is.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) looks: bool,
    pub(crate) read_back: bool,
    /// Ticks.
    pub(crate) window: u8,
    pub(crate) delay: u8,
    /// Sign-ins, and then a bulk sync that plans by a list of any age.
    pub(crate) sign_ins: usize,
    pub(crate) bulk_syncs: usize,
    /// The bulk syncs write by what they read, however long ago.
    pub(crate) bulk_ignores_window: bool,
    /// Looks that run side by side.
    pub(crate) lookers: usize,
    pub(crate) crashes: u8,
    pub(crate) repeats: u8,
    /// What the directory says, one after another.
    pub(crate) directory: &'static [Roles],
    pub(crate) administrator: bool,
    /// Whether Permit has the user at first.
    pub(crate) stands: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    user: Option<User>,
    /// How often the directory has changed.
    version: u8,
    /// The time of the next evidence.
    clock: u8,
    writers: Vec<Writer>,
    messages: Vec<Message>,
    crashes: u8,
    repeats: u8,
    /// The administrator has yet to come.
    administrator: bool,
    /// Somebody has read the directory since it last changed, and ended well.
    is_told: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct User {
    roles: Roles,
    ledger: Option<(Roles, u8)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Message {
    grants: Roles,
    age: u8,
    count: u8,
    is_taken: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Writer {
    ToCome { is_bulk: bool },
    Free,
    At(Work),
    Gone,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Work {
    /// The message that led here.
    message: Option<Message>,
    /// Plans by what it has read, however old that is, first.
    is_bulk: bool,
    version: u8,
    as_of: u8,
    reads: bool,
    /// Ticks since the read.
    age: u8,
    /// How often the window was over before the writing was.
    late: u8,
    claims: Roles,
    /// What was announced, and ticks since.
    told: Option<(Roles, u8)>,
    steps: Vec<Step>,
    granted: Roles,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Step {
    Create(Roles, u8),
    Unassign(Roles),
    Put(Roles, u8),
    Assign(Roles),
}

/// The real planner, each question asked once.
struct Planner {
    policy: Policy,
    known: HashMap<(Option<User>, Roles, u8, Roles), Result<Vec<Step>, bool>>,
}

fn time(as_of: u8) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + i64::from(as_of)).unwrap()
}

fn second(as_of: Option<Timestamp>) -> u8 {
    u8::try_from(as_of.unwrap().as_second() - 1_800_000_000).unwrap()
}

fn grants(roles: Roles) -> BTreeSet<Grant> {
    NAMES.iter().filter(|(bit, _)| roles & bit != 0).map(|(_, name)| name.parse().unwrap()).collect()
}

fn roles<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Roles {
    let bit = |grant: &Grant| NAMES.iter().find(|(_, name)| grant.to_string() == *name).unwrap().0;
    grants.into_iter().map(bit).fold(0, |all, bit| all | bit)
}

impl Planner {
    fn new() -> Self {
        let policy = "[[grant]]\nwhen = { group = \"a\" }\ntenant = \"t\"\nrole = \"a\"\n\
                      [[grant]]\nwhen = { group = \"b\" }\ntenant = \"t\"\nrole = \"b\"";
        Self { policy: policy.parse().unwrap(), known: HashMap::new() }
    }

    /// The steps; `Err`: there are none, and whether that is for newer evidence.
    fn plan(
        &mut self,
        user: Option<User>,
        wanted: Roles,
        as_of: u8,
        claims: Roles,
    ) -> Result<Vec<Step>, bool> {
        let asked = (user, wanted, as_of, claims);
        if let Some(known) = self.known.get(&asked) {
            return known.clone();
        }
        let source = Source::user_pool("pool");
        let key = UserKey::new("u").unwrap();
        let groups = [(A, "a"), (B, "b")].iter().filter(|(bit, _)| wanted & bit != 0);
        let groups = groups.map(|(_, name)| (*name).to_owned()).collect();
        let sub = [("sub".to_owned(), "u".to_owned())];
        let identity = Identity::from_user_attributes(source.clone(), sub, Some(groups), true).unwrap();
        let identity = identity.on(Evidence::read_at(time(as_of)));
        let facts = user.map(|User { roles, ledger }| {
            let ledger = ledger.map(|(roles, as_of)| Ledger {
                source: source.clone(),
                grants: grants(roles),
                missing_since: None,
                as_of: Some(time(as_of)),
                adopted: false,
                refused_email: None,
                names: Names::default(),
            });
            let attributes = ledger.map(|ledger| (LEDGER.to_owned(), ledger.to_value()));
            Facts::new(key.clone(), None, None, None, attributes.into_iter().collect(), grants(roles))
        });
        let plan = Plan::claiming(&self.policy.evaluate(&identity), facts.as_ref(), &grants(claims));
        let put = |user: &UserWrite| (roles(&user.ledger.grants), second(user.ledger.as_of));
        let steps = match plan {
            Plan::Unchanged => Err(false),
            Plan::Refused(refused) => Err(refused == Refused::Older),
            Plan::Create(NewUser { user, grants: _ }) => {
                let (grants, as_of) = put(&user);
                Ok(vec![Step::Create(grants, as_of)])
            }
            Plan::Change(Change { key: _, revoke, write, grant }) => {
                let each =
                    |grants: &BTreeSet<Grant>| grants.iter().map(|grant| roles([grant])).collect::<Vec<_>>();
                let revoke = each(&revoke).into_iter().map(Step::Unassign);
                let write = write.map(|user| put(&user)).map(|(grants, as_of)| Step::Put(grants, as_of));
                Ok(revoke.chain(write).chain(each(&grant).into_iter().map(Step::Assign)).collect())
            }
        };
        self.known.insert(asked, steps.clone());
        steps
    }
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) at_rest: usize,
    /// What was wrong at rest, and how it came to that.
    pub(crate) fault: Option<(String, Vec<String>)>,
}

/// Goes through every state that can be reached.
pub(crate) fn search(rules: Rules) -> Found {
    let mut planner = Planner::new();
    let user = User { roles: A, ledger: Some((A, 0)) };
    let sign_ins = (0..rules.sign_ins).map(|_| Writer::ToCome { is_bulk: false });
    let bulk_syncs = (0..rules.bulk_syncs).map(|_| Writer::ToCome { is_bulk: true });
    let start = State {
        user: rules.stands.then_some(user),
        version: 0,
        clock: 1,
        writers: sign_ins.chain(bulk_syncs).chain((0..rules.lookers).map(|_| Writer::Free)).collect(),
        messages: Vec::new(),
        crashes: rules.crashes,
        repeats: rules.repeats,
        administrator: rules.administrator,
        is_told: false,
    };
    let mut found = Found { states: 0, at_rest: 0, fault: None };
    let mut seen: HashSet<State> = HashSet::from([start.clone()]);
    // How each state came about, for the story of a fault.
    let mut trail: Vec<(State, usize, &'static str)> = vec![(start, 0, "start")];
    let mut todo = vec![0_usize];
    while let Some(at) = todo.pop() {
        found.states += 1;
        let state = trail[at].0.clone();
        let next = state.next(rules, &mut planner);
        if state.is_at_rest() {
            found.at_rest += 1;
            if let Some(fault) = state.fault(rules) {
                let mut story = Vec::new();
                let mut place = at;
                while place != 0 {
                    let (state, before, what) = &trail[place];
                    story.push(format!("{what}: {:?}, {} messages", state.user, state.messages.len()));
                    place = *before;
                }
                story.reverse();
                found.fault = Some((fault, story));
                return found;
            }
        }
        for (what, mut state) in next {
            state.normalize();
            if seen.insert(state.clone()) {
                trail.push((state, at, what));
                todo.push(trail.len() - 1);
            }
        }
    }
    found
}

impl State {
    /// Nobody is at work, and nothing waits.
    fn is_at_rest(&self) -> bool {
        self.messages.is_empty() && !self.writers.iter().any(|writer| matches!(writer, Writer::At(_)))
    }

    fn fault(&self, rules: Rules) -> Option<String> {
        let user = self.user?;
        let owned = user.ledger.map_or(0, |(grants, _)| grants);
        let foreign = if rules.administrator && !self.administrator { FOREIGN } else { 0 };
        if user.roles & !owned & !foreign != 0 {
            return Some(format!("a role without an owner: {user:?}"));
        }
        if user.roles & FOREIGN != foreign || owned & FOREIGN != 0 {
            return Some(format!("something foreign changed: {user:?}"));
        }
        let wanted = rules.directory[self.version as usize];
        let stands = user.roles & !FOREIGN;
        if self.is_told && (stands != wanted || owned != wanted) {
            return Some(format!("the newest evidence does not hold: {user:?}, wanted {wanted}"));
        }
        None
    }

    /// Times matter by their order alone.
    fn normalize(&mut self) {
        let mut times = BTreeSet::new();
        times.extend(self.user.and_then(|user| user.ledger).map(|(_, as_of)| as_of));
        for writer in &self.writers {
            if let Writer::At(work) = writer {
                times.insert(work.as_of);
                for step in &work.steps {
                    if let Step::Create(_, as_of) | Step::Put(_, as_of) = step {
                        times.insert(*as_of);
                    }
                }
            }
        }
        let rank: HashMap<u8, u8> = times.into_iter().zip(0..).collect();
        self.clock = u8::try_from(rank.len()).unwrap();
        if let Some((_, as_of)) = self.user.as_mut().and_then(|user| user.ledger.as_mut()) {
            *as_of = rank[as_of];
        }
        for writer in &mut self.writers {
            if let Writer::At(work) = writer {
                work.as_of = rank[&work.as_of];
                for step in &mut work.steps {
                    if let Step::Create(_, as_of) | Step::Put(_, as_of) = step {
                        *as_of = rank[as_of];
                    }
                }
            }
        }
        self.messages.sort();
    }

    /// Every state that may follow.
    fn next(&self, rules: Rules, planner: &mut Planner) -> Vec<(&'static str, Self)> {
        let mut next = Vec::new();
        if usize::from(self.version) + 1 < rules.directory.len() {
            next.push((
                "the directory changes",
                Self { version: self.version + 1, is_told: false, ..self.clone() },
            ));
        }
        if let Some(user) = self.user
            && self.administrator
        {
            let user = Some(User { roles: user.roles | FOREIGN, ..user });
            next.push(("an administrator gives a role", Self { user, administrator: false, ..self.clone() }));
        }
        next.extend(self.tick(rules).map(|state| ("a tick", state)));
        for at in 0..self.writers.len() {
            match &self.writers[at] {
                Writer::Gone => {}
                Writer::ToCome { is_bulk } => {
                    next.push(("a writer reads the directory", self.arrives(at, *is_bulk, None)))
                }
                Writer::Free => {
                    let due = |message: &&Message| message.age >= rules.delay && !message.is_taken;
                    let due: BTreeSet<Message> = self.messages.iter().filter(due).copied().collect();
                    next.extend(
                        due.into_iter()
                            .map(|message| ("a look begins", self.arrives(at, false, Some(message)))),
                    );
                }
                Writer::At(work) => {
                    next.push(self.work(rules, planner, at, work));
                    if self.crashes > 0 {
                        let state = Self { crashes: self.crashes - 1, ..self.clone() };
                        next.push(("a writer is cut off", state.ends(at, work, false)));
                    }
                }
            }
        }
        next
    }

    /// Time passes, where that makes any difference.
    fn tick(&self, rules: Rules) -> Option<Self> {
        // Whoever was late has waited for their turn before they read again: they are late no more. Otherwise there would be
        // no end of reading and announcing.
        let is_hasty = |writer: &Writer| match writer {
            Writer::At(work) => {
                let ignores = work.is_bulk && rules.bulk_ignores_window;
                work.late == MOST_LATE && !work.reads && work.age == rules.window && !ignores
            }
            _ => false,
        };
        if self.writers.iter().any(is_hasty) {
            return None;
        }
        let mut state = self.clone();
        for message in &mut state.messages {
            message.age = (message.age + 1).min(rules.delay);
        }
        for writer in &mut state.writers {
            if let Writer::At(work) = writer {
                work.age = (work.age + 1).min(rules.window + 1);
                if let Some((_, age)) = &mut work.told {
                    *age = (*age + 1).min(rules.window + 1);
                }
            }
        }
        (state != *self).then_some(state)
    }

    fn arrives(&self, at: usize, is_bulk: bool, message: Option<Message>) -> Self {
        let mut state = self.clone();
        let work = Work {
            message,
            is_bulk,
            version: state.version,
            as_of: state.clock,
            reads: true,
            age: 0,
            late: 0,
            claims: message.map_or(0, |message| message.grants),
            told: None,
            steps: Vec::new(),
            granted: 0,
        };
        if let Some(message) = message {
            let place = state.messages.iter().position(|known| *known == message).unwrap();
            state.messages[place].is_taken = true;
        }
        state.writers[at] = Writer::At(work);
        state
    }

    /// The next request of a writer.
    fn work(&self, rules: Rules, planner: &mut Planner, at: usize, work: &Work) -> (&'static str, Self) {
        let (mut state, mut work) = (self.clone(), work.clone());
        // The window is over: what was read counts no more.
        let ignores = work.is_bulk && rules.bulk_ignores_window;
        let is_late = work.age > rules.window && !ignores;
        if work.reads || work.steps.is_empty() || is_late {
            let wanted = rules.directory[usize::from(work.version)];
            match planner.plan(state.user, wanted, work.as_of, work.claims) {
                Err(true) if work.message.is_some() => {
                    // Somebody was there with newer evidence: the directory is asked again.
                    (work.version, work.as_of, work.reads) = (state.version, state.clock, true);
                    state.writers[at] = Writer::At(work);
                    return ("a look reads the directory again", state);
                }
                Err(_) => return ("a writer ends", state.ends(at, &work, true)),
                Ok(steps) => state.planned(rules, &mut work, steps),
            }
            work.late += u8::from(is_late && !work.reads);
            (work.reads, work.age) = (false, 0);
            state.writers[at] = Writer::At(work);
            return ("a writer reads the user", state);
        }
        let step = work.steps.remove(0);
        match (step, &mut state.user) {
            (Step::Create(grants, as_of), user @ None) => {
                *user = Some(User { roles: grants, ledger: Some((grants, as_of)) });
            }
            // It stands: refused.
            (Step::Create(..), Some(_)) => work.reads = true,
            (Step::Put(grants, as_of), Some(user)) => user.ledger = Some((grants, as_of)),
            (Step::Unassign(role), Some(user)) => user.roles &= !role,
            (Step::Assign(role), Some(user)) => {
                work.claims |= role;
                work.granted |= role;
                user.roles |= role;
            }
            (_, None) => panic!("nobody deletes users here"),
        }
        if work.steps.is_empty() && !work.reads {
            if work.granted == 0 || !rules.read_back {
                return ("the last request of a writer", state.ends(at, &work, true));
            }
            (work.reads, work.granted) = (true, 0);
        }
        state.writers[at] = Writer::At(work);
        ("a request of a writer", state)
    }

    /// A writer knows what to do: it has somebody look again, and then begins.
    fn planned(&mut self, rules: Rules, work: &mut Work, steps: Vec<Step>) {
        let grants = steps.iter().map(|step| match step {
            Step::Assign(role) | Step::Create(role, _) => *role,
            Step::Put(..) | Step::Unassign(_) => 0,
        });
        let grants = grants.fold(work.claims, |all, role| all | role);
        let is_told = work.told.is_some_and(|(told, age)| age < rules.window && grants & !told == 0);
        let count = work.message.map_or(0, |message| message.count + 1);
        if rules.looks && !is_told && count < MOST_LOOKS {
            work.told = Some((grants, 0));
            self.messages.push(Message { grants, age: 0, count, is_taken: false });
        }
        work.steps = steps;
    }

    /// A writer is done, or is cut off.
    fn ends(mut self, at: usize, work: &Work, well: bool) -> Self {
        self.is_told |= well && work.version == self.version;
        let Some(message) = work.message else {
            self.writers[at] = Writer::Gone;
            return self;
        };
        let is_it = |known: &Message| {
            known.is_taken && Message { is_taken: false, ..*known } == Message { is_taken: false, ..message }
        };
        let place = self.messages.iter().position(is_it).unwrap();
        if well && self.repeats == 0 {
            self.messages.remove(place);
        } else {
            // It is handed over again.
            self.repeats -= u8::from(well);
            self.messages[place].is_taken = false;
        }
        self.writers[at] = Writer::Free;
        self
    }
}

/// What the project does, in the smallest world that has everything.
pub(crate) const SMALL: Rules = Rules {
    looks: true,
    read_back: true,
    window: 1,
    delay: 3,
    sign_ins: 2,
    bulk_syncs: 0,
    bulk_ignores_window: false,
    lookers: 1,
    crashes: 1,
    repeats: 0,
    directory: &[A, B],
    administrator: false,
    stands: true,
};

#[track_caller]
pub(crate) fn holds(name: &str, rules: Rules) {
    let Found { states, at_rest, fault } = search(rules);
    assert!(fault.is_none(), "{name}: {fault:#?} in {states} states");
    assert!(at_rest > 2, "{name}: the search went nowhere");
}

#[track_caller]
pub(crate) fn fails(name: &str, rules: Rules, with: &str) {
    let Found { states, fault, .. } = search(rules);
    let Some((fault, story)) = fault else { panic!("{name}: no fault in {states} states") };
    assert!(fault.contains(with), "{name}: {fault} {story:#?}");
}
