//! One state of the world, and the states that may follow.

use std::collections::BTreeSet;
use std::fmt;

use crate::{FOREIGN, Idle, Plans, Question, Roles, Rules, Steps, User};

/// The longest chain of looks that lead to each other. No chain should reach it in so small a world.
const MOST_LOOKS: u8 = 4;
/// How often a writer may find its window over.
const MOST_LATE: u8 = 1;

/// A state of the world.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    user: Option<User>,
    /// How often the directory has changed.
    version: u8,
    /// The time of the next evidence.
    clock: u8,
    writers: Vec<Writer>,
    messages: Vec<Message>,
    crashes: u8,
    repeats: u8,
    /// Whether the administrator is still to come.
    administrator: bool,
    /// Whether a writer has read the directory since its last change and finished well.
    is_told: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Message {
    grants: Roles,
    age: u8,
    count: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Writer {
    ToCome { is_bulk: bool },
    Free,
    At(Work),
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Work {
    /// The message that started this work.
    message: Option<Message>,
    /// Whether it first plans from what it has read, however old.
    is_bulk: bool,
    version: u8,
    as_of: u8,
    reads: bool,
    /// Ticks since the read.
    age: u8,
    /// How often the window ended before the writes did.
    late: u8,
    claims: Roles,
    /// The announced roles, and the ticks since. `None` if nothing was announced, or so long ago that it
    /// no longer counts.
    told: Option<(Roles, u8)>,
    steps: Steps,
    /// Whether something was granted and must be read back.
    granted: bool,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} messages", self.user, self.messages.len())
    }
}

impl Work {
    /// A writer that has read the directory and reads the user next.
    fn new(version: u8, as_of: u8, is_bulk: bool, message: Option<Message>) -> Self {
        Self {
            message,
            is_bulk,
            version,
            as_of,
            reads: true,
            age: 0,
            late: 0,
            claims: message.map_or(0, |message| message.grants),
            told: None,
            steps: Steps::default(),
            granted: false,
        }
    }
}

/// The lowest role of a set, and the rest.
fn first(roles: Roles) -> (Roles, Roles) {
    let lowest = roles & roles.wrapping_neg();
    (lowest, roles & !lowest)
}

impl State {
    /// The first state.
    pub(crate) fn start(rules: Rules) -> Self {
        let held = rules.directory[0];
        let user = User { roles: held, ledger: Some((held, 0)) };
        let sign_ins = (0..rules.sign_ins).map(|_| Writer::ToCome { is_bulk: false });
        let bulk_syncs = (0..rules.bulk_syncs).map(|_| Writer::ToCome { is_bulk: true });
        let lookers = (0..rules.lookers).map(|_| Writer::Free);
        let mut start = Self {
            user: rules.stands.then_some(user),
            version: 0,
            clock: 1,
            writers: sign_ins.chain(bulk_syncs).chain(lookers).collect(),
            messages: Vec::new(),
            crashes: rules.crashes,
            repeats: rules.repeats,
            administrator: rules.administrator,
            is_told: false,
        };
        if rules.has_changed {
            start.version = u8::try_from(rules.directory.len() - 1).unwrap_or(u8::MAX);
            for at in 0..rules.sign_ins {
                let version = if at == 0 { 0 } else { start.version };
                // Their order is the order of what they know.
                start.clock = 1 + u8::try_from(at).unwrap_or(u8::MAX);
                start.writers[at] = Writer::At(Work::new(version, start.clock, false, None));
            }
        }
        start.normalize();
        start
    }

    /// Whether no writer is active and no message waits.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.messages.is_empty() && !self.writers.iter().any(|writer| matches!(writer, Writer::At(_)))
    }

    /// What is wrong with a state at rest.
    pub(crate) fn fault(&self, rules: Rules) -> Option<String> {
        let user = self.user?;
        let owned = user.ledger.map_or(0, |(grants, _)| grants);
        let foreign = if rules.administrator && !self.administrator { FOREIGN } else { 0 };
        if user.roles & !owned & !foreign != 0 {
            return Some(format!("a role without an owner: {user:?}"));
        }
        if user.roles & FOREIGN != foreign || owned & FOREIGN != 0 {
            return Some(format!("something foreign changed: {user:?}"));
        }
        let wanted = rules.directory[usize::from(self.version)];
        let stands = user.roles & !FOREIGN;
        if self.is_told && (stands != wanted || owned != wanted) {
            return Some(format!("the newest evidence does not hold: {user:?}, wanted {wanted}"));
        }
        None
    }

    /// Maps equivalent states to one: only the order of times matters, and equal writers are
    /// interchangeable.
    fn normalize(&mut self) {
        let mut times = 0_u64;
        let mut note = |time: u8| times |= 1 << time;
        self.user.and_then(|user| user.ledger).into_iter().for_each(|(_, as_of)| note(as_of));
        for writer in &self.writers {
            if let Writer::At(work) = writer {
                note(work.as_of);
                for (_, as_of) in [work.steps.create, work.steps.write].into_iter().flatten() {
                    note(as_of);
                }
            }
        }
        let rank = |time: u8| {
            let earlier = times & ((1 << time) - 1);
            u8::try_from(earlier.count_ones()).unwrap_or(u8::MAX)
        };
        self.clock = u8::try_from(times.count_ones()).unwrap_or(u8::MAX);
        if let Some((_, as_of)) = self.user.as_mut().and_then(|user| user.ledger.as_mut()) {
            *as_of = rank(*as_of);
        }
        for writer in &mut self.writers {
            if let Writer::At(work) = writer {
                // A writer about to read starts afresh.
                work.age = if work.reads { 0 } else { work.age };
                work.as_of = rank(work.as_of);
                for (_, as_of) in [&mut work.steps.create, &mut work.steps.write].into_iter().flatten() {
                    *as_of = rank(*as_of);
                }
            }
        }
        self.messages.sort_unstable();
        self.writers.sort_unstable();
    }

    /// Every state that may follow, and what happens.
    pub(crate) fn next(&self, rules: Rules, plans: &mut Plans<'_>) -> Vec<(&'static str, Self)> {
        let mut next = Vec::new();
        if usize::from(self.version) + 1 < rules.directory.len() {
            let state = Self { version: self.version + 1, is_told: false, ..self.clone() };
            next.push(("the directory changes", state));
        }
        if let Some(user) = self.user
            && self.administrator
        {
            let user = Some(User { roles: user.roles | FOREIGN, ..user });
            next.push(("an administrator gives a role", Self { user, administrator: false, ..self.clone() }));
        }
        next.extend(self.tick(rules).map(|state| ("a tick", state)));
        for at in 0..self.writers.len() {
            // Of equal writers, one is enough.
            if at > 0 && self.writers[at] == self.writers[at - 1] {
                continue;
            }
            match self.writers[at] {
                Writer::Gone => {}
                Writer::ToCome { is_bulk } => {
                    next.push(("a writer reads the directory", self.arrives(at, is_bulk, None)));
                }
                Writer::Free => {
                    let due = |message: &&Message| message.age >= rules.delay;
                    let due: BTreeSet<Message> = self.messages.iter().filter(due).copied().collect();
                    let begins = |message| ("a look begins", self.arrives(at, false, Some(message)));
                    next.extend(due.into_iter().map(begins));
                }
                Writer::At(work) => {
                    next.push(self.work(rules, plans, at, work));
                    if self.crashes > 0 {
                        let state = Self { crashes: self.crashes - 1, ..self.clone() };
                        next.push(("a writer is cut off", state.ends(at, work, false)));
                    }
                }
            }
        }
        next.iter_mut().for_each(|(_, state)| state.normalize());
        next
    }

    /// Lets time pass. `None` if that makes no difference.
    fn tick(&self, rules: Rules) -> Option<Self> {
        // A writer that was late waited for its turn before it read again, so it is not late any more.
        // Otherwise reading and announcing would never end.
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
                work.told =
                    work.told.map(|(told, age)| (told, age + 1)).filter(|(_, age)| *age < rules.window);
            }
        }
        state.normalize();
        (state != *self).then_some(state)
    }

    fn arrives(&self, at: usize, is_bulk: bool, message: Option<Message>) -> Self {
        let mut state = self.clone();
        let work = Work::new(state.version, state.clock, is_bulk, message);
        if let Some(place) = state.messages.iter().position(|known| Some(*known) == message) {
            state.messages.remove(place);
        }
        state.writers[at] = Writer::At(work);
        state
    }

    /// Does a writer's next request.
    fn work(&self, rules: Rules, plans: &mut Plans<'_>, at: usize, mut work: Work) -> (&'static str, Self) {
        let mut state = self.clone();
        // After the window, what was read no longer counts.
        let ignores = work.is_bulk && rules.bulk_ignores_window;
        let is_late = work.age > rules.window && !ignores;
        if work.reads || work.steps.is_empty() || is_late {
            let wanted = rules.directory[usize::from(work.version)];
            let question = Question { user: state.user, wanted, as_of: work.as_of, claims: work.claims };
            match plans.plan(question) {
                Err(Idle::Older) if work.message.is_some() => {
                    // Another writer had newer evidence: the directory is read again.
                    (work.version, work.as_of, work.reads) = (state.version, state.clock, true);
                    state.writers[at] = Writer::At(work);
                    return ("a look reads the directory again", state);
                }
                Err(_) => return ("a writer ends", state.ends(at, work, true)),
                Ok(steps) => state.planned(rules, &mut work, steps),
            }
            work.late += u8::from(is_late && !work.reads);
            (work.reads, work.age) = (false, 0);
            state.writers[at] = Writer::At(work);
            return ("a writer reads the user", state);
        }
        request(rules, &mut state.user, &mut work);
        if work.steps.is_empty() && !work.reads {
            if !work.granted {
                return ("the last request of a writer", state.ends(at, work, true));
            }
            (work.reads, work.granted) = (true, false);
        }
        state.writers[at] = Writer::At(work);
        ("a request of a writer", state)
    }

    /// A writer has its plan: it sends a look, and then begins.
    fn planned(&mut self, rules: Rules, work: &mut Work, steps: Steps) {
        let grants = work.claims | steps.grants();
        let is_told = work.told.is_some_and(|(told, _)| grants & !told == 0);
        let count = work.message.map_or(0, |message| message.count + 1);
        if rules.looks && !is_told && count < MOST_LOOKS {
            work.told = (rules.window > 0).then_some((grants, 0));
            self.messages.push(Message { grants, age: 0, count });
        }
        work.steps = steps;
    }

    /// A writer finishes or is cut off.
    fn ends(mut self, at: usize, work: Work, well: bool) -> Self {
        self.is_told |= well && work.version == self.version;
        let Some(message) = work.message else {
            self.writers[at] = Writer::Gone;
            return self;
        };
        if !well || self.repeats > 0 {
            // The message is delivered again.
            self.repeats -= u8::from(well);
            self.messages.push(message);
        }
        self.writers[at] = Writer::Free;
        self
    }
}

/// Does a writer's next step.
fn request(rules: Rules, user: &mut Option<User>, work: &mut Work) {
    let steps = &mut work.steps;
    if let Some((grants, as_of)) = steps.create.take() {
        match user {
            None => *user = Some(User { roles: grants, ledger: Some((grants, as_of)) }),
            // The user exists, so the creation is refused.
            Some(_) => work.reads = true,
        }
        return;
    }
    // In this model nothing deletes users.
    let Some(user) = user else { return };
    if steps.revoke != 0 {
        let (role, rest) = first(steps.revoke);
        steps.revoke = rest;
        user.roles &= !role;
    } else if let Some(ledger) = steps.write.take() {
        user.ledger = Some(ledger);
    } else {
        let (role, rest) = first(steps.grant);
        steps.grant = rest;
        work.claims |= role;
        work.granted = rules.read_back;
        user.roles |= role;
    }
}
