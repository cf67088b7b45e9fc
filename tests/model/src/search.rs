//! Visits every reachable state.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::state::State;
use crate::{Planner, Plans, Rules};

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// How many states were visited.
    pub states: usize,
    /// How many of them have no active writer and no waiting message.
    pub at_rest: usize,
    /// What was wrong in a state at rest, and the steps that led there.
    pub fault: Option<(String, Vec<String>)>,
}

/// Two hashes of a state. The chance that two different states share both is negligible.
type Fingerprint = u128;

/// A fingerprint is a hash already.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.0 ^= chunk.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
    }
}

/// Computes two hashes at once. The standard library's hasher would take longer than the rest of the
/// search.
struct Two(u64, u64);

impl Two {
    fn take(&mut self, number: u64) {
        // Each step is reversible, so it loses no information.
        let mix = |state: u64, by: u64| {
            let mixed = (state ^ number).wrapping_mul(by);
            mixed ^ mixed >> 29
        };
        self.0 = mix(self.0, 0x9e37_79b9_7f4a_7c15);
        self.1 = mix(self.1.rotate_left(23), 0xd6e8_feb8_6659_fd93);
    }
}

impl Hasher for Two {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.take(chunk.iter().fold(1, |number, byte| number << 8 | u64::from(*byte)));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.take(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.take(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.take(number.cast_unsigned() as u64);
    }
}

fn fingerprint(state: &State) -> Fingerprint {
    let mut two = Two(0, 1);
    state.hash(&mut two);
    u128::from(two.0) << 64 | u128::from(two.1)
}

/// Searches the world of these rules with this planner, until it finds a fault or there are no more
/// states.
pub fn search(rules: Rules, planner: Planner<'_>) -> Found {
    let mut plans = Plans { planner, known: HashMap::new() };
    let mut seen: HashSet<Fingerprint, BuildHasherDefault<Itself>> = HashSet::default();
    let start = State::start(rules);
    seen.insert(fingerprint(&start));
    let mut found = Found { states: 0, at_rest: 0, fault: None };
    let mut todo = vec![start];
    while let Some(state) = todo.pop() {
        found.states += 1;
        if state.is_at_rest() {
            found.at_rest += 1;
            if let Some(fault) = state.fault(rules) {
                found.fault = Some((fault, story(rules, &mut plans, &state)));
                return found;
            }
        }
        for (_, next) in state.next(rules, &mut plans) {
            if seen.insert(fingerprint(&next)) {
                todo.push(next);
            }
        }
    }
    found
}

/// A shortest path to this state.
fn story(rules: Rules, plans: &mut Plans<'_>, end: &State) -> Vec<String> {
    let mut trail: Vec<(State, usize, &'static str)> = vec![(State::start(rules), 0, "start")];
    let mut seen: HashSet<Fingerprint, BuildHasherDefault<Itself>> = HashSet::default();
    let mut at = 0;
    while at < trail.len() {
        if trail[at].0 == *end {
            let mut story = Vec::new();
            while at != 0 {
                let (state, before, what) = &trail[at];
                story.push(format!("{what}: {state}"));
                at = *before;
            }
            story.reverse();
            return story;
        }
        for (what, next) in trail[at].0.clone().next(rules, plans) {
            if seen.insert(fingerprint(&next)) {
                trail.push((next, at, what));
            }
        }
        at += 1;
    }
    Vec::new()
}
