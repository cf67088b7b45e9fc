//! Tokens: the examples of the RFCs, the attacks, the rules, the settings, and the key store against a
//! provider on this machine.

// `allow-unwrap-in-tests` covers the tests themselves and not what they share.
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
