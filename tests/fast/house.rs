//! The project's rules that no lint checks: ARCHITECTURE.md names files that exist, files are short
//! enough to read, and no two files depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of a file, without its tests.
const MOST_LINES: usize = 400;
/// The most characters of a comment line. It equals rustfmt's `max_width`, which rustfmt does not apply
/// to comments.
const MOST_CHARACTERS: usize = 110;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The text before the file's own tests.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn a_file_can_be_read_at_one_sitting() {
    let mut long = Vec::new();
    for folder in ["src", "sandbox/src", "stand-ins/src", "benches/src"] {
        for path in files(&root().join(folder)) {
            let lines = without_tests(&fs::read_to_string(&path).unwrap()).lines().count();
            if lines > MOST_LINES && !path.ends_with("tests.rs") {
                long.push(format!("{} has {lines} lines", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn a_comment_fits_where_code_does() {
    let mut long = Vec::new();
    for folder in ["src", "sandbox", "stand-ins", "benches", "fuzz", "tests"] {
        for path in files(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let comment =
                    line.trim_start().strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!', ' ']));
                // Rows of tables and lines of code cannot be wrapped.
                let is_prose = comment.is_some_and(|comment| {
                    !comment.starts_with(['|', '"', '`']) && !comment.starts_with("let ")
                });
                if is_prose && line.chars().count() > MOST_CHARACTERS {
                    long.push(format!("{}:{number}", path.display()));
                }
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn the_walks_name_files_that_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let walks = text.split("## Three walks").nth(1).unwrap().split("\n## ").next().unwrap();
    let names: Vec<&str> = walks.split('`').skip(1).step_by(2).filter(|name| name.contains('.')).collect();
    assert!(names.len() > 20, "{names:?}");
    let all: Vec<String> = files(&root().join("src")).iter().map(|path| path.display().to_string()).collect();
    for name in names {
        let exists = root().join("src").join(name).exists()
            || root().join(name).exists()
            || all.iter().any(|path| path.ends_with(&format!("/{name}")))
            || name.contains('*');
        assert!(exists, "ARCHITECTURE.md sends its reader to {name}, which is not there");
    }
}

#[test]
fn the_map_is_the_tree() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let map = text.split("```").nth(1).unwrap();
    let mut folder = PathBuf::new();
    for line in map.lines().skip(1) {
        let depth = line.len() - line.trim_start().len();
        let Some(name) = line.split_whitespace().next() else { continue };
        match depth {
            0 => {
                folder = root().join(name);
                assert!(folder.is_dir(), "{name}");
            }
            2 => {
                let names =
                    line.split("  ").map(str::trim).filter(|word| !word.is_empty() && !word.contains(' '));
                for name in names {
                    let name = name.trim_end_matches('/');
                    let there = folder.join(name).exists() || folder.join(format!("{name}.rs")).exists();
                    assert!(there, "{line}: {name}");
                }
            }
            _ => {}
        }
    }
    let named = |name: &str| map.contains(&format!("\n  {name}")) || map.contains(&format!("  {name}"));
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name == "lib" || named(name), "src/{name} is not on the map");
    }
}

/// A module's path, without the crate.
type Module = Vec<String>;

fn modules(folder: &Path) -> BTreeMap<Module, String> {
    let mut modules = BTreeMap::new();
    for path in files(folder) {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(folder).unwrap().with_extension("");
        let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if module[0] == "bin" || module.last().unwrap() == "tests" {
            continue;
        }
        if matches!(module.last().unwrap().as_str(), "lib" | "main") {
            module.pop();
        }
        let code: String = without_tests(&text)
            .lines()
            .map(|line| line.split("//").next().unwrap_or("").to_owned() + " ")
            .collect();
        modules.insert(module, code);
    }
    modules
}

/// `a::{b, c::d}` → `a::b`, `a::c::d`.
fn spread(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((head, body)) = tree.split_once('{') else {
        let path = format!("{prefix}{tree}");
        paths.push(path.split(" as ").next().unwrap().replace(' ', ""));
        return;
    };
    let (mut depth, mut part) = (0, String::new());
    for sign in body[..body.rfind('}').unwrap_or(body.len())].chars() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                spread(&format!("{prefix}{head}"), &part, paths);
                part.clear();
                continue;
            }
            _ => {}
        }
        part.push(sign);
    }
    if !part.trim().is_empty() {
        spread(&format!("{prefix}{head}"), &part, paths);
    }
}

/// The paths in the crate that a module's code names.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for statement in code.split(';') {
        if let Some(place) = statement.rfind("use ") {
            spread("", &statement[place + 4..], &mut paths);
        }
    }
    for root in ["crate::", "super::"] {
        for (place, _) in code.match_indices(root) {
            let path =
                code[place..].split(|sign: char| !sign.is_alphanumeric() && sign != '_' && sign != ':');
            paths.push(path.take(1).collect());
        }
    }
    paths
}

/// The module that a path in `from` leads to.
fn target(modules: &BTreeMap<Module, String>, from: &Module, path: &str) -> Option<Module> {
    let mut parts = path.split("::").peekable();
    let mut place = match parts.next()? {
        "crate" => Vec::new(),
        "self" => from.clone(),
        "super" => from.split_last()?.1.to_vec(),
        _ => return None,
    };
    while parts.next_if_eq(&"super").is_some() {
        place.pop()?;
    }
    for part in parts {
        place.push(part.to_owned());
        if !modules.contains_key(&place) {
            place.pop();
            break;
        }
    }
    modules.contains_key(&place).then_some(place)
}

/// A child may name its parent, and a parent its child. Any other two files that depend on each other,
/// even indirectly, belong together.
#[test]
fn no_two_files_need_each_other() {
    let mut circles = Vec::new();
    for folder in ["src", "sandbox/src", "stand-ins/src"] {
        let modules = modules(&root().join(folder));
        let mut needs: BTreeMap<&Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, code) in &modules {
            let found = paths(code).into_iter().filter_map(|path| target(&modules, module, &path));
            let found = found.filter(|other| !module.starts_with(other) && !other.starts_with(module));
            needs.insert(module, found.collect());
        }
        for start in modules.keys() {
            let mut seen: BTreeSet<&Module> = BTreeSet::new();
            let mut todo: Vec<&Module> = needs[start].iter().collect();
            while let Some(next) = todo.pop() {
                if seen.insert(next) {
                    todo.extend(&needs[next]);
                }
            }
            if seen.contains(start) {
                let on = needs[start].iter().filter(|next| *next == start || reaches(&needs, next, start));
                let on: Vec<String> = on.map(|next| next.join("::")).collect();
                circles.push(format!("{folder}: {} needs {}", start.join("::"), on.join(", ")));
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

fn reaches(needs: &BTreeMap<&Module, BTreeSet<Module>>, from: &Module, to: &Module) -> bool {
    let mut seen: BTreeSet<&Module> = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(next) = todo.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next) {
            todo.extend(&needs[next]);
        }
    }
    false
}

#[test]
fn a_use_of_many_names_is_read_as_each() {
    let code = "use crate::a::{self, b::{C, d}, E as F}; fn f() { super::g::h(); }";
    let found = paths(code);
    for path in ["crate::a::self", "crate::a::b::C", "crate::a::b::d", "crate::a::E", "super::g::h"] {
        assert!(found.iter().any(|found| found == path), "{path}: {found:?}");
    }
}

/// docs/permit.md has a row for each switch of the sandbox, and the tests that it names exist.
#[test]
fn each_open_question_has_a_row_a_switch_and_a_test() {
    let text = fs::read_to_string(root().join("docs/permit.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("| --- | --- | --- | --- |"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let quoted =
        |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let switches: BTreeSet<String> = rows.iter().flat_map(|row| quoted(row[2])).collect();
    for switch in
        serde_json::to_value(permit_sandbox::Semantics::default()).unwrap().as_object().unwrap().keys()
    {
        assert!(switches.contains(switch), "docs/permit.md has no row for the sandbox's switch {switch}");
    }
    let code: String = ["src", "tests"]
        .iter()
        .flat_map(|folder| files(&root().join(folder)))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for row in &rows {
        let tests = quoted(row[3]);
        assert!(!tests.is_empty(), "no test shows it: {}", row[0]);
        for test in tests.iter().filter(|test| !test.contains(".toml")) {
            let name = test.rsplit("::").next().unwrap();
            let begins = format!("fn {}", name.trim_end_matches('*'));
            let begins = if name.ends_with('*') { begins } else { format!("{begins}(") };
            assert!(code.contains(&begins), "docs/permit.md names a test that is not there: {test}");
        }
    }
}
