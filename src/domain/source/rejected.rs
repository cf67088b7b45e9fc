//! Why a record is not an identity.

use crate::domain::identity::InvalidIdentity;

/// Why a record is not an identity. No value of a claim is in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    /// The key, which was looked for at these places.
    #[error("{0} (the key is at `{at}`)", at = .1.join("`, or `"))]
    Key(InvalidIdentity, Vec<String>),
    /// A word that says neither yes nor no.
    #[error(
        "`{0}` is neither yes nor no, and no word that the source knows: put it into `may_sign_in` or `may_not` of [source.words]"
    )]
    UnknownWord(String),
    /// A status that is there, and empty.
    #[error(
        "`{0}` is empty, so whether the person may sign in is unsure: fill it in; or, where it says nothing of that, --ignore '{0}'"
    )]
    NoStatus(String),
    /// A word that does not say whether an address is verified.
    #[error(
        "`{0}` is neither yes nor no, so whether the address is verified is unsure: write true or false, or say in \
         [source.claims] what tells it, as in email_verified = {{ present = \"email_confirmed_at\" }}"
    )]
    UnclearVerified(String),
    /// No time.
    #[error(
        "`{0}` is not a time: write it as in 2026-01-31T12:00:00Z, and leave it empty where there is none"
    )]
    NotATime(String),
    /// What may be a list.
    #[error("`{0}` may hold several groups: say how they are written, as in [source.lists] \"{0}\" = \",\"")]
    UnsureList(String),
    /// A group that is not a name.
    #[error(
        "`{0}` has an entry that is not a group's name: give the path of the names, as in groups = \"{0}.name\""
    )]
    NotAGroup(String),
}
