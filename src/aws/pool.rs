//! The user pool, page by page: what is asked of it and how it may fail.

use std::fmt;

use async_trait::async_trait;

/// A page; a short one is not the end, only a missing token is.
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The token of the next page; `None`: this was the last.
    pub next: Option<String>,
}

/// A user as the pool lists them.
#[derive(Clone)]
pub struct PoolUser {
    /// The pool's own name of the user.
    pub username: String,
    /// The attributes, `sub` among them.
    pub attributes: Vec<(String, String)>,
    /// Whether they may sign in.
    pub enabled: bool,
}

impl PoolUser {
    /// The attribute `sub`.
    pub fn sub(&self) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == "sub").map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for PoolUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolUser(..)")
    }
}

/// Why the pool did not answer. The messages hold nothing of any user.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PoolError {
    /// Too many requests: ListUsers and ListUsersInGroup share 30 a second in the whole account.
    #[error("Cognito is throttling {action}: something else in this AWS account uses its quota too")]
    Throttled {
        /// The call.
        action: &'static str,
    },
    /// The role lacks a right.
    #[error("{action} is not allowed: the role needs cognito-idp:{action} on the user pool")]
    NotAuthorized {
        /// The call, and the right.
        action: &'static str,
    },
    /// There is no such pool, or no such group.
    #[error("there is no user pool {0} in this account and region: set USER_POOL_ID to the right one")]
    NoSuchPool(String),
    /// The pool is in another region than the one asked.
    #[error("the user pool {pool} was looked for in the region {region}: set AWS_REGION to the pool's own")]
    WrongRegion {
        /// The pool's id, which begins with its region.
        pool: String,
        /// The region that was asked.
        region: String,
    },
    /// The user is not in the pool (any more).
    #[error("the user is not in the user pool")]
    NoSuchUser,
    /// The pool does not take the filter.
    #[error("the user pool refuses to filter users by their sub")]
    FilterRefused,
    /// The page's token is not taken any more (it lives about an hour): start again from the first page.
    #[error("the token of a page of {action} has expired")]
    TokenExpired {
        /// The call.
        action: &'static str,
    },
    /// Cognito refused for another reason; asking again does not help.
    #[error("Cognito refuses {action}: {code}")]
    Rejected {
        /// The call.
        action: &'static str,
        /// AWS's code.
        code: String,
    },
    /// Cognito could not be reached, or had a fault of its own.
    #[error("{action} failed: {reason}")]
    Unavailable {
        /// The call.
        action: &'static str,
        /// What happened.
        reason: String,
    },
}

impl PoolError {
    /// Whether the same call may work a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable { .. })
    }
}

/// A user pool. Each method is one request; a token goes with the very parameters of the page that gave it.
#[async_trait]
pub trait UserPool: Send + Sync {
    /// The names of the groups (ListGroups).
    async fn groups(&self, token: Option<&str>) -> Result<Page<String>, PoolError>;

    /// The users in `group` (ListUsersInGroup).
    async fn members(&self, group: &str, token: Option<&str>) -> Result<Page<PoolUser>, PoolError>;

    /// The users whose `sub` starts with `sub_prefix`, or all (ListUsers), disabled ones included.
    async fn users(&self, sub_prefix: Option<&str>, token: Option<&str>)
    -> Result<Page<PoolUser>, PoolError>;

    /// The groups that `username` is in (AdminListGroupsForUser).
    async fn groups_of(&self, username: &str, token: Option<&str>) -> Result<Page<String>, PoolError>;

    /// The user with this `sub` (ListUsers); `None`: there is none.
    async fn user(&self, sub: &str) -> Result<Option<PoolUser>, PoolError>;

    /// Whether a user has this `sub` (ListUsers).
    async fn contains(&self, sub: &str) -> Result<bool, PoolError> {
        Ok(self.user(sub).await?.is_some())
    }
}
