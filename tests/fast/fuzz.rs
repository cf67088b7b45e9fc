//! The checks of the fuzz targets (`fuzz/checks`), on their corpus and on random changes of it. Needs no
//! nightly Rust.

use std::path::{Path, PathBuf};

#[path = "../../fuzz/checks/files.rs"]
mod files;
#[path = "../../fuzz/checks/key_set.rs"]
mod key_set;
#[path = "../../fuzz/checks/sources.rs"]
mod sources;
#[path = "../../fuzz/checks/token_parser.rs"]
mod token_parser;
#[path = "../../fuzz/checks/token_verifier.rs"]
mod token_verifier;

/// How many changed inputs to try per corpus file.
const CHANGED: usize = 150;

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    inputs.sort();
    inputs
}

/// Pieces that separate, quote, nest or end something.
const PIECES: [&[u8]; 24] = [
    b"\"",
    b"\"\"",
    b",",
    b";",
    b"|",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b"'",
    b"\\",
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    b":",
    b"=",
    b"\"sub\":\"u1\",",
    b"#",
    b"\t",
];

fn change(random: &mut fastrand::Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(0..12)).min(bytes.len());
        let piece: &[u8] = match random.u8(0..4) {
            0 => b"",
            1 => &other[random.usize(0..=other.len())..],
            _ => PIECES[random.usize(..PIECES.len())],
        };
        bytes.splice(at..end, piece.iter().copied());
    }
    bytes.truncate(4096);
    bytes
}

/// Runs `check` on the corpus and on changes of it. A failure prints the input.
fn run(name: &str, check: fn(&[u8])) {
    let inputs = corpus(name);
    assert!(inputs.len() >= 2, "{name} has no corpus");
    let checked = |what: &str, bytes: &[u8]| {
        let is_good = std::panic::catch_unwind(|| check(bytes)).is_ok();
        assert!(is_good, "{name}, {what}: {}", bytes.escape_ascii());
    };
    inputs.iter().for_each(|(path, bytes)| checked(&path.display().to_string(), bytes));
    let mut random = fastrand::Rng::with_seed(11);
    for n in 0..inputs.len() * CHANGED {
        let (_, input) = &inputs[n % inputs.len()];
        let (_, other) = &inputs[random.usize(..inputs.len())];
        checked("changed", &change(&mut random, input, other));
    }
}

macro_rules! targets {
    ($($test:ident: $target:ident),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                run(stringify!($target), $target::check);
            }
        )+

        /// A target contains only its check, so this file tests exactly what is fuzzed.
        #[test]
        fn every_target_is_a_check_that_is_tried_here() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
            let mut there: Vec<String> =
                std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            there.sort();
            assert_eq!(there, [$(concat!(stringify!($target), ".rs")),+]);
            for name in [$(stringify!($target)),+] {
                let text = std::fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
                let target = format!(
                    "#![no_main]\n#[path = \"../checks/{name}.rs\"]\nmod {name};\n\
                     libfuzzer_sys::fuzz_target!(|data: &[u8]| {name}::check(data));\n"
                );
                assert_eq!(text, target, "{name}");
            }
        }
    };
}

targets! {
    files_hold_what_their_fuzz_target_checks: files,
    key_sets_hold_what_their_fuzz_target_checks: key_set,
    sources_hold_what_their_fuzz_target_checks: sources,
    tokens_hold_what_their_fuzz_target_checks: token_parser,
    verified_tokens_hold_what_their_fuzz_target_checks: token_verifier,
}
