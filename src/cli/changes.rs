//! What a run plans, as a person reads it: the dangerous part first.

use crate::domain::deprovision::Departure;
use crate::domain::plan::{Change, Diff, Plan};
use crate::sync::bulk::Planned;

/// The first changes as text, and how many there are.
#[derive(Default)]
pub(super) struct Changes {
    limit: usize,
    count: usize,
    /// Those that take something away.
    taking: Vec<String>,
    others: Vec<String>,
}

impl Changes {
    /// Keeps `limit` of them.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The first ones, those that take something away before all others.
    pub(super) fn shown(&self) -> Vec<&str> {
        let all = self.taking.iter().chain(&self.others);
        all.take(self.limit).map(String::as_str).collect()
    }

    pub(super) fn add(&mut self, planned: Planned<'_>) {
        if let Planned::Sync(Diff { plan, .. }) = planned
            && plan.is_idle()
        {
            return;
        }
        self.count += 1;
        let kept = if takes(planned) { &mut self.taking } else { &mut self.others };
        if kept.len() < self.limit {
            kept.push(text(planned));
        }
    }
}

fn takes(planned: Planned<'_>) -> bool {
    match planned {
        Planned::Sync(Diff { plan: Plan::Change(Change { revoke, .. }), .. }) => !revoke.is_empty(),
        Planned::Sync(_) => false,
        Planned::Depart { departure, .. } => matches!(departure, Departure::Unassign(_) | Departure::Delete),
    }
}

fn text(planned: Planned<'_>) -> String {
    let (actual, departure) = match planned {
        Planned::Sync(diff) => return diff.to_string(),
        Planned::Depart { actual, departure } => (actual, departure),
    };
    let key = actual.key.as_str();
    match departure {
        Departure::Mark(_) => format!("~ user {key} is missing: marked\n"),
        Departure::Unassign(change) => {
            let roles: Vec<String> = change.revoke.iter().map(|role| format!("  - {role}\n")).collect();
            format!("- user {key} is missing: loses what is ours\n{}", roles.concat())
        }
        Departure::Delete => format!("- user {key} is missing: deleted\n"),
        // Nothing is planned for them.
        Departure::Keep | Departure::Wait => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::facts::Facts;
    use crate::domain::identity::UserKey;

    #[test]
    fn what_takes_something_away_is_shown_before_a_thousand_that_do_not() {
        let facts = |key: &str| {
            let roles = BTreeSet::new();
            Facts::new(UserKey::new(key).unwrap(), None, None, None, serde_json::Map::new(), roles)
        };
        let mut changes = Changes::new(3);
        let change = |key: &str, revoke: &[&str]| {
            let revoke = revoke.iter().map(|role| role.parse().unwrap()).collect();
            let key = UserKey::new(key).unwrap();
            Plan::Change(Change { key, revoke, write: None, grant: BTreeSet::from(["a/b".parse().unwrap()]) })
        };
        for n in 0..1_000 {
            let plan = change(&format!("u{n}"), &[]);
            changes.add(Planned::Sync(Diff { plan: &plan, actual: None }));
        }
        changes.add(Planned::Sync(Diff { plan: &Plan::Unchanged, actual: None }));
        let revoking = change("loses", &["x/y"]);
        changes.add(Planned::Sync(Diff { plan: &revoking, actual: None }));
        changes.add(Planned::Depart { actual: &facts("gone"), departure: &Departure::Delete });
        assert_eq!(changes.count(), 1_002);
        let shown = changes.shown();
        assert!(
            shown[0].contains("loses") && shown[1].contains("gone") && shown[2].contains("u0"),
            "{shown:?}"
        );
        assert_eq!(shown.len(), 3);
    }
}
