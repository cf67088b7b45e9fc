//! Tokens: the examples of the RFCs, attacks, rules, settings, and the key store with a local provider.

// `allow-unwrap-in-tests` covers the tests, but not their shared code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

mod attacks;
mod examples;
mod key_sets;
mod key_store;
mod one_byte;
mod rules;
mod settings;
