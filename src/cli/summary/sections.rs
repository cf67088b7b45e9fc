//! The parts of the screen, and how much of each there is room for.

use anstyle::AnsiColor::{Green, Red, Yellow};

use crate::cli::overview::{Moves, Overview};
use crate::cli::screen::{Line, clipped, counted, figure};
use crate::sync::bulk::problems::Problem;

/// People that a problem names, and the columns that a name has.
const NAMED: usize = 3;
const NAME: usize = 50;

/// A heading, and entries of one line or more.
pub(in crate::cli) struct Section {
    pub(in crate::cli) heading: Vec<Line>,
    pub(in crate::cli) entries: Vec<Vec<Line>>,
    /// Entries that are not in `entries`.
    pub(in crate::cli) more: u64,
    /// What an entry is.
    pub(in crate::cli) one: &'static str,
    pub(in crate::cli) many: &'static str,
    /// Entries that are shown whatever room there is.
    pub(in crate::cli) least: usize,
}

impl Section {
    fn more(&self, shown: usize) -> Option<Line> {
        let more = self.more + (self.entries.len() - shown) as u64;
        let what = format!(
            "      ... and {} more {}: --all",
            figure(more),
            if more == 1 { self.one } else { self.many }
        );
        (more > 0).then(|| Line::new(6).text(what))
    }
}

/// As much of each section as there is room for, in turns, so that none takes it all.
///
/// Where not even the least of each has room, the last sections are left out.
pub(in crate::cli) fn fitted(mut sections: Vec<Section>, room: usize, columns: usize) -> Vec<Line> {
    let height = |lines: &[Line]| lines.iter().map(|line| line.rendered(columns, false).len()).sum::<usize>();
    let size = |section: &Section, shown: usize| {
        if section.entries.is_empty() {
            return 0;
        }
        let entries: usize = section.entries.iter().take(shown).map(|entry| height(entry)).sum();
        1 + height(&section.heading) + entries + usize::from(section.more(shown).is_some())
    };
    let least = |section: &Section| section.least.min(section.entries.len());
    let needed = |sections: &[Section]| -> usize {
        sections.iter().map(|section| size(section, least(section))).sum()
    };
    while sections.len() > 1 && needed(&sections) > room {
        sections.pop();
    }
    let mut shown: Vec<usize> = sections.iter().map(least).collect();
    let mut grows = true;
    while grows {
        grows = false;
        for (place, section) in sections.iter().enumerate() {
            let more = shown.get(place).map_or(0, |shown| shown + 1);
            if more > section.entries.len() {
                continue;
            }
            let counts =
                shown.iter().enumerate().map(|(other, shown)| if other == place { more } else { *shown });
            let needs: usize = sections.iter().zip(counts).map(|(section, shown)| size(section, shown)).sum();
            if needs <= room {
                shown[place] = more;
                grows = true;
            }
        }
    }
    let mut lines = Vec::new();
    for (section, shown) in sections.into_iter().zip(shown).filter(|(section, _)| !section.entries.is_empty())
    {
        let more = section.more(shown);
        lines.push(Line::default());
        lines.extend(section.heading);
        lines.extend(section.entries.into_iter().take(shown).flatten());
        lines.extend(more);
    }
    lines
}

/// Problems by cause, those that most people have first.
pub(in crate::cli) fn problems(overview: &Overview, all: bool) -> Section {
    let sorted = overview.problems.sorted();
    let blocked = counted(overview.totals.blocked, "person", "people");
    let heading = Line::new(2).colour(Yellow, format!("Blocked: {blocked}, in whole or in part"));
    Section {
        heading: vec![heading],
        entries: sorted.into_iter().map(|one| problem(one, all)).collect(),
        more: 0,
        one: "problem",
        many: "problems",
        least: 1,
    }
}

fn problem(problem: &Problem, all: bool) -> Vec<Line> {
    let most = if all { usize::MAX } else { NAMED };
    let Problem { code: _, what, remedy, count, users } = problem;
    let people = counted(*count, "person", "people");
    let more = count - users.len().min(most) as u64;
    let name = |name: &String| if all { name.clone() } else { clipped(name, NAME) };
    let named = users.iter().take(most).map(name).collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" and {} more", figure(more)) } else { String::new() };
    let mut lines = vec![Line::new(4).text("  ").colour(Yellow, people).text(format!(": {what}"))];
    if !remedy.is_empty() {
        lines.push(Line::new(8).text(format!("    do: {remedy}")));
    }
    lines.push(Line::new(6).text(format!("    {named}{more}")));
    lines
}

/// A line a role, losses first.
pub(in crate::cli) fn roles(overview: &Overview, all: bool) -> Section {
    let moves = |(_, moves): &(&String, &Moves)| all || moves.lost + moves.gained > 0;
    let mut roles: Vec<(&String, &Moves)> = overview.roles.iter().filter(moves).collect();
    roles.sort_by_key(|(name, moves)| (std::cmp::Reverse((moves.lost, moves.gained)), *name));
    let cell = |count: u64| if count == 0 { "-".to_owned() } else { figure(count) };
    let row = |(name, moves): (&String, &Moves)| {
        let Moves { lost, gained, kept } = *moves;
        let line = Line::new(29).text(" ");
        let line = if lost > 0 {
            line.colour(Red, format!("{:>8}", cell(lost)))
        } else {
            line.text(format!("{:>8}", "-"))
        };
        let gains = format!(" {:>8}", cell(gained));
        let line = if gained > 0 { line.colour(Green, gains) } else { line.text(gains) };
        vec![line.text(format!(" {:>8}  {name}", cell(kept)))]
    };
    Section {
        heading: vec![Line::new(29).text(format!(" {:>8} {:>8} {:>8}  role", "lose", "gain", "keep"))],
        entries: roles.into_iter().map(row).collect(),
        more: 0,
        one: "role",
        many: "roles",
        least: 1,
    }
}
