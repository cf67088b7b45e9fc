//! Tokens: the examples of the RFCs, the attacks, the rules, the settings, and the key store against a provider on this machine.

mod attacks;
mod examples;
mod key_sets;
mod one_byte;
mod rules;
mod settings;
mod signer;
