//! The commands in README.md, `docs/` and `--help` exist.
//!
//! Commands that need only this machine are run elsewhere (`make` targets by `.ci/run`, commands by the
//! other tests here, the block "by hand" by `scripts/test-readme.sh`). All others say what they need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};
use permit_handoff::cli::Cli;
use stand_ins::project_root;

/// The mark of a block that cannot run on this machine alone.
const MARK: &str = "# needs ";

/// A page's block of shell commands.
struct Block {
    /// Its page and line.
    place: String,
    text: String,
}

fn pages() -> Vec<PathBuf> {
    let root = project_root();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md"].map(|page| root.join(page));
    docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).chain(pages).collect()
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for page in pages() {
        let mut language = None;
        for (number, line) in fs::read_to_string(&page).unwrap().lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &language) {
                (Some(of), None) => {
                    language = Some(of.to_owned());
                    if matches!(of, "sh" | "bash" | "console") {
                        let place = format!("{}:{}", page.display(), number + 1);
                        blocks.push(Block { place, text: String::new() });
                    }
                }
                (Some(_), Some(_)) => language = None,
                (None, Some(of)) if matches!(of.as_str(), "sh" | "bash" | "console") => {
                    let block = blocks.last_mut().unwrap();
                    block.text += line;
                    block.text += "\n";
                }
                _ => {}
            }
        }
        assert_eq!(language, None, "a block of {} has no end", page.display());
    }
    blocks
}

/// The commands in a text that begin with `permit-handoff `, each up to where the shell or the prose ends
/// it.
fn commands(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.split("permit-handoff ").skip(1).filter_map(|rest| {
        let end = rest.find(['`', '\n', '|', '&', ';', ')', '(', '>']).unwrap_or(rest.len());
        // Two blanks begin a remark beside the command.
        let command = rest[..end].split("  ").next().unwrap();
        let words: Vec<String> =
            command.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect();
        let first = words.first()?;
        Cli::command().get_subcommands().any(|command| command.get_name() == first).then_some(words)
    })
}

fn parses(words: &[String]) -> Result<(), String> {
    // CloudFormation fills these in.
    let filled = |word: &String| match word.as_str() {
        "${UserPoolId}" => "eu-west-1_AbCdEfGhI".to_owned(),
        "${PostAuthenticationFunction.Arn}" => "arn:aws:lambda:eu-west-1:123456789012:function:f".to_owned(),
        word => word.to_owned(),
    };
    let all = std::iter::once("permit-handoff".to_owned()).chain(words.iter().map(filled));
    match Cli::try_parse_from(all) {
        Err(error) if error.exit_code() != 0 => Err(error.to_string()),
        // `--help` gives an error in clap, but is correct.
        Ok(_) | Err(_) => Ok(()),
    }
}

#[test]
fn every_command_of_the_pages_and_of_the_template_is_one_that_there_is() {
    let mut files = pages();
    files.push(project_root().join("template.yaml"));
    let mut seen = BTreeSet::new();
    for file in files {
        for words in commands(&fs::read_to_string(&file).unwrap()) {
            seen.insert(words[0].clone());
            // A name alone refers to the command.
            if words.len() == 1 {
                continue;
            }
            parses(&words).unwrap_or_else(|error| panic!("{}: {words:?}: {error}", file.display()));
        }
    }
    for name in ["attach", "detach", "doctor", "explain", "plan", "sync"] {
        assert!(seen.contains(name), "no page shows how to {name}");
    }
}

#[test]
fn every_example_of_the_help_is_a_command_that_there_is() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let Some(help) = command.get_after_help() else { panic!("{name} has no examples") };
        let help = help.to_string().split("\\\n").map(str::trim_start).collect::<String>();
        let mut count = 0;
        for words in commands(&help) {
            parses(&words).unwrap_or_else(|error| panic!("{name}: {words:?}: {error}"));
            count += 1;
        }
        assert!(count > 0, "{name} has no examples: {help}");
    }
}

#[test]
fn every_block_of_commands_is_run_or_says_what_it_needs() {
    let makefile = fs::read_to_string(project_root().join("Makefile")).unwrap();
    let is_target = |name: &str| makefile.contains(&format!("\n{name}:"));
    let by_hand = fs::read_to_string(project_root().join("README.md")).unwrap();
    let by_hand =
        by_hand.split_once("Call one function by hand").unwrap().1.split("```").nth(1).unwrap().to_owned();
    let is_known = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "#").collect();
        match words.as_slice() {
            [] => true,
            ["make", target] => is_target(target),
            [script, ..] if script.starts_with("scripts/") => {
                Path::new(&project_root()).join(script).is_file()
            }
            _ => false,
        }
    };
    for Block { place, text } in blocks() {
        let is_by_hand = by_hand.contains(&text);
        let is_shown = text.starts_with("$ permit-handoff ");
        if is_by_hand || is_shown || text.contains(MARK) {
            continue;
        }
        for line in text.lines() {
            assert!(is_known(line), "{place}: nothing runs this, and no `{MARK}...` says why: {line}");
        }
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let headings = fs::read_to_string(&target).unwrap();
                let has =
                    headings.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
                assert!(has, "{}: {link}", page.display());
            }
        }
    }
}

/// A heading's anchor in GitHub's form.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
