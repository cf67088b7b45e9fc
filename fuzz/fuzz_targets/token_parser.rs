#![no_main]
#[path = "../checks/token_parser.rs"]
mod token_parser;
libfuzzer_sys::fuzz_target!(|data: &[u8]| token_parser::check(data));
