#![no_main]
#[path = "../checks/token_verifier.rs"]
mod token_verifier;
libfuzzer_sys::fuzz_target!(|data: &[u8]| token_verifier::check(data));
