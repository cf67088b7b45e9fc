//! Why a record is not an identity.

use crate::domain::identity::InvalidIdentity;

/// Why a record is not an identity. It contains no value of a claim.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    /// The key is invalid. The list has the places where it was looked for.
    #[error("{0} (the key is read from `{at}`)", at = .1.join("`, or `"))]
    Key(InvalidIdentity, Vec<String>),
    #[error(
        "the value of `{0}` is neither yes nor no, and not a word that the source knows: add it to `may_sign_in` or `may_not` in [source.words]"
    )]
    UnknownWord(String),
    #[error(
        "`{0}` is empty, so it is not known whether the person may sign in: fill it in, or use --ignore '{0}' if it does not say who may sign in"
    )]
    NoStatus(String),
    #[error(
        "the value of `{0}` is neither yes nor no, so it is not known whether the address is verified: write true or false, or say in \
         [source.claims] which claim shows it, for example email_verified = {{ present = \"email_confirmed_at\" }}"
    )]
    UnclearVerified(String),
    #[error(
        "the value of `{0}` is not a time: write it as in 2026-01-31T12:00:00Z, or leave it empty if there is none"
    )]
    NotATime(String),
    #[error("`{0}` may hold several groups: say how they are written, as in [source.lists] \"{0}\" = \",\"")]
    UnsureList(String),
    #[error(
        "`{0}` has an entry that is not a group's name: give the path of the names, as in groups = \"{0}.name\""
    )]
    NotAGroup(String),
}
