//! A local stand-in for the Permit API. It is as strict as the contract, and can be told to misbehave.
//!
//! It keeps users, tenants, roles and role assignments in memory; refuses requests that do not fit the
//! contract; answers, including errors, in Permit's shapes; enforces the documented rate limits; has a
//! [switch](Semantics) for each question that the documents leave open; injects [faults](Fault); and
//! reports [the requests it received](Counts).
//!
//! Start with [`Sandbox`].

mod answerer;
mod answers;
mod call;
mod contract;
mod control;
mod error;
mod faults;
mod hooks;
mod ids;
mod limits;
mod pipeline;
mod requests;
mod routes;
mod rows;
mod sandbox;
mod semantics;
mod server;
mod settings;
mod snapshot;
mod views;
mod world;

pub use contract::CONTRACT;
pub use faults::{Action, At, Fault};
pub use hooks::{Held, Moment};
pub use limits::{Limits, LimitsError, RetryAfter};
pub use requests::{Counts, Kind, Request};
pub use sandbox::{API_KEY, Builder, Sandbox, StartError};
pub use semantics::{
    BulkAssignExisting, BulkRoleAssignments, BulkSeen, BulkUnassignMissing, EmailCase, EmailForm,
    EmailUnique, FailedBulk, ListDepth, ListOrder, MissingInstance, PostExistingTenant, PostExistingUser,
    PutRoleAssignments, PutWithoutAttributes, Semantics, TenantStatus, UpdatedAt, UserRoles,
};
pub use settings::{KeyScope, Pdp, Stats};
pub use snapshot::{SeedError, Snapshot, UserState};
