//! Who is in which groups, small enough for a million users.

use std::collections::{BTreeSet, HashMap};

use crate::domain::as_uuid;

/// A map from `sub` to group names.
///
/// The groups come one by one, each with its members. The sets of groups form a tree: each set is its
/// parent with one more group. All users with the same groups share one set, so a user costs a key of 16
/// bytes and an id of 4 bytes.
pub(super) struct Memberships {
    names: Vec<String>,
    /// Index 0 is the empty set.
    sets: Vec<Set>,
    /// From a set and a group to the set that also has the group.
    with: HashMap<(SetId, GroupId), SetId>,
    by_uuid: HashMap<u128, SetId>,
    by_text: HashMap<Box<str>, SetId>,
}

type SetId = u32;
type GroupId = u32;

struct Set {
    without: SetId,
    group: GroupId,
}

const EMPTY: SetId = 0;

impl Memberships {
    pub(super) fn new() -> Self {
        Self {
            names: Vec::new(),
            sets: vec![Set { without: EMPTY, group: GroupId::MAX }],
            with: HashMap::new(),
            by_uuid: HashMap::new(),
            by_text: HashMap::new(),
        }
    }

    /// Adds `subs` as members of the group `name`, which must be new. A repeated `sub` counts once.
    pub(super) fn add<'s>(&mut self, name: &str, subs: impl Iterator<Item = &'s str>) {
        let Self { names, sets, with, by_uuid, by_text } = self;
        // The ids suffice: a pool has at most 10,000 groups, and fewer sets than members.
        let (Ok(group), Ok(_)) = (GroupId::try_from(names.len()), SetId::try_from(sets.len())) else {
            return;
        };
        names.push(name.to_owned());
        for sub in subs {
            let set = match as_uuid(sub) {
                Some(uuid) => by_uuid.entry(uuid).or_insert(EMPTY),
                None => by_text.entry(sub.into()).or_insert(EMPTY),
            };
            if sets[*set as usize].group == group {
                continue;
            }
            *set = *with.entry((*set, group)).or_insert_with(|| {
                sets.push(Set { without: *set, group });
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a pool has fewer users than u32 has numbers"
                )]
                let id = (sets.len() - 1) as SetId;
                id
            });
        }
    }

    /// The groups of `sub`.
    pub(super) fn of(&self, sub: &str) -> BTreeSet<String> {
        let set = match as_uuid(sub) {
            Some(uuid) => self.by_uuid.get(&uuid),
            None => self.by_text.get(sub),
        };
        let mut set = set.copied().unwrap_or(EMPTY);
        let mut groups = BTreeSet::new();
        while set != EMPTY {
            let Set { without, group } = self.sets[set as usize];
            groups.insert(self.names[group as usize].clone());
            set = without;
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_in_their_own_groups() {
        let [a, b, c] = ["0", "1", "2"].map(|end| format!("3f1c2a5e-9c0d-4f1e-8a43-0c6a5d6b7e0{end}"));
        let mut memberships = Memberships::new();
        memberships.add("admins", [a.as_str(), "odd", b.as_str(), a.as_str()].into_iter());
        memberships.add("acme/editor", [b.as_str(), a.as_str()].into_iter());
        memberships.add("nobody", std::iter::empty());
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(memberships.of(&a), set(&["acme/editor", "admins"]));
        assert_eq!(memberships.of(&b), memberships.of(&a));
        assert_eq!(memberships.of("odd"), set(&["admins"]));
        assert_eq!(memberships.of(&c), set(&[]));
        assert_eq!(memberships.sets.len(), 3, "the same groups are kept once");
    }
}
