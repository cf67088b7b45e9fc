#![no_main]
#[path = "../checks/sources.rs"]
mod sources;
libfuzzer_sys::fuzz_target!(|data: &[u8]| sources::check(data));
