//! The parts of the screen, and how many lines of each fit.

use anstyle::AnsiColor::{Green, Red, Yellow};

use crate::cli::overview::{Moves, Overview};
use crate::cli::screen::{Line, clipped, counted, figure};
use crate::sync::bulk::problems::Problem;

/// How many people a problem names, and the width of a name in columns.
const NAMED: usize = 3;
const NAME: usize = 50;

/// A heading, and entries of one line or more.
pub(in crate::cli) struct Section {
    pub(in crate::cli) heading: Vec<Line>,
    pub(in crate::cli) entries: Vec<Vec<Line>>,
    /// How many entries are not in `entries`.
    pub(in crate::cli) more: u64,
    /// The singular and the plural of an entry.
    pub(in crate::cli) names: (&'static str, &'static str),
}

impl Section {
    fn more(&self, shown: usize) -> Option<Line> {
        let more = self.more + (self.entries.len() - shown) as u64;
        let (one, many) = self.names;
        let name = if more == 1 { one } else { many };
        (more > 0).then(|| Line::new(6).text(format!("      ... and {} more {name}: --all", figure(more))))
    }
}

/// As many entries of each section as fit, in turns, so that no section takes all the room.
///
/// If there is not room for one entry of each, the last sections are left out.
pub(in crate::cli) fn fitted(mut sections: Vec<Section>, room: usize, columns: usize) -> Vec<Line> {
    let height = |lines: &[Line]| lines.iter().map(|line| line.rendered(columns, false).len()).sum::<usize>();
    let size = |section: &Section, shown: usize| {
        if section.entries.is_empty() {
            return 0;
        }
        let entries: usize = section.entries.iter().take(shown).map(|entry| height(entry)).sum();
        1 + height(&section.heading) + entries + usize::from(section.more(shown).is_some())
    };
    let needed = |sections: &[Section]| sections.iter().map(|section| size(section, 1)).sum::<usize>();
    while sections.len() > 1 && needed(&sections) > room {
        sections.pop();
    }
    let mut shown: Vec<usize> = sections.iter().map(|section| section.entries.len().min(1)).collect();
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

/// Problems by cause, those of the most people first.
pub(in crate::cli) fn problems(overview: &Overview, all: bool) -> Section {
    let sorted = overview.problems.sorted();
    let blocked = counted(overview.totals.blocked, "person", "people");
    let heading = Line::new(2).colour(Yellow, format!("Blocked: {blocked}, in whole or in part"));
    Section {
        heading: vec![heading],
        entries: sorted.into_iter().map(|one| problem(one, all)).collect(),
        more: 0,
        names: ("problem", "problems"),
    }
}

fn problem(problem: &Problem, all: bool) -> Vec<Line> {
    let people = counted(problem.count, "person", "people");
    let mut lines = vec![Line::new(4).text("  ").colour(Yellow, people).text(format!(": {}", problem.what))];
    if !problem.remedy.is_empty() {
        lines.push(Line::new(8).text(format!("    do: {}", problem.remedy)));
    }
    let named = if all {
        named(problem, usize::MAX, String::clone)
    } else {
        named(problem, NAMED, |name| clipped(name, NAME))
    };
    lines.push(Line::new(6).text(format!("    {named}")));
    lines
}

/// The first people with a problem, each by `name`, and how many more have it.
pub(in crate::cli) fn named(problem: &Problem, most: usize, name: impl Fn(&String) -> String) -> String {
    let named = problem.users.iter().take(most).map(name).collect::<Vec<_>>().join(", ");
    let more = problem.count - problem.users.len().min(most) as u64;
    if more > 0 { format!("{named} and {} more", figure(more)) } else { named }
}

/// One line per role, losses first.
pub(in crate::cli) fn roles(overview: &Overview, all: bool) -> Section {
    let mut roles = overview.sorted_roles();
    roles.retain(|(_, moves)| all || moves.lost + moves.gained > 0);
    let cell = |count: u64| if count == 0 { "-".to_owned() } else { figure(count) };
    let row = |(name, Moves { lost, gained, kept }): (&str, Moves)| {
        let (loses, gains) = (format!("{:>8}", cell(lost)), format!(" {:>8}", cell(gained)));
        let line = Line::new(29).text(" ");
        let line = if lost > 0 { line.colour(Red, loses) } else { line.text(loses) };
        let line = if gained > 0 { line.colour(Green, gains) } else { line.text(gains) };
        vec![line.text(format!(" {:>8}  {name}", cell(kept)))]
    };
    Section {
        heading: vec![Line::new(29).text(format!(" {:>8} {:>8} {:>8}  role", "lose", "gain", "keep"))],
        entries: roles.into_iter().map(row).collect(),
        more: 0,
        names: ("role", "roles"),
    }
}
