//! What Permit's documents leave open, a switch each: a client has to be right under every setting.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// An enum of which the first variant is the default, with the same names in JSON and on the command line.
macro_rules! switch {
    ($(#[$doc:meta])* $name:ident { $(#[$first_doc:meta])* $first:ident, $($(#[$rest_doc:meta])* $rest:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
        #[serde(rename_all = "snake_case")]
        #[value(rename_all = "snake_case")]
        pub enum $name {
            $(#[$first_doc])*
            #[default]
            $first,
            $($(#[$rest_doc])* $rest,)+
        }
    };
}

switch! {
    /// PUT of a user that exists, with `attributes` (or another optional field) left out.
    PutWithoutAttributes {
        /// What is there stays.
        Keep,
        /// What was left out is emptied.
        Clear,
    }
}
switch! {
    /// PUT of a user that exists, with `role_assignments`.
    PutRoleAssignments {
        /// Those that are missing are assigned.
        Add,
        /// Afterwards the user has these and no others.
        Replace,
        /// Nothing is assigned.
        Ignore,
    }
}
switch! {
    /// `role_assignments` inside a bulk POST or PUT of users.
    BulkRoleAssignments {
        /// Assigned, as in a single write.
        Honour,
        /// Checked for form, and not assigned.
        Ignore,
    }
}
switch! {
    /// POST of a user that exists, single and in bulk.
    PostExistingUser {
        /// 409 `DUPLICATE_ENTITY`.
        Conflict,
        /// 200 with the user as it was; in bulk the item is passed over.
        ReturnExisting,
    }
}
switch! {
    /// A bulk DELETE that names a role assignment (or a user, or a tenant) which is not there.
    BulkUnassignMissing {
        /// 404, and the call failed.
        Fail,
        /// Passed over.
        Skip,
    }
}
switch! {
    /// A bulk assignment that names an assignment which is there.
    BulkAssignExisting {
        /// Passed over, and not counted in `assignments_created`.
        Skip,
        /// 409, and the call failed.
        Fail,
    }
}
switch! {
    /// What a bulk call that failed leaves behind.
    FailedBulk {
        /// Nothing.
        Rollback,
        /// The items before the bad one.
        Partial,
    }
}
switch! {
    /// When two e-mail addresses are the same.
    EmailCase {
        /// Byte for byte.
        Exact,
        /// Without regard to case.
        Insensitive,
    }
}
switch! {
    /// The order of lists.
    ListOrder {
        /// In the order of making.
        Oldest,
        /// The latest first: a row made between two pages shifts what the next page holds.
        Newest,
    }
}

switch! {
    /// POST of a tenant that exists, single and in bulk.
    PostExistingTenant {
        /// 409 `DUPLICATE_ENTITY`.
        Conflict,
        /// 200 with the tenant as it was.
        ReturnExisting,
    }
}
switch! {
    /// `roles` of a user, which is deprecated.
    UserRoles {
        /// The same roles as in `associated_tenants`.
        Filled,
        /// `[]`.
        Empty,
        /// Not there.
        LeftOut,
    }
}
switch! {
    /// The `status` of a user in a tenant.
    TenantStatus {
        /// One that the contract has.
        Known,
        /// A new one.
        Unknown,
    }
}
switch! {
    /// Two users with the same e-mail.
    EmailUnique {
        /// 409 `DUPLICATE_ENTITY` for the second.
        Unique,
        /// As many as like.
        Shared,
    }
}
switch! {
    /// What becomes of an e-mail.
    EmailForm {
        /// It is kept as it came.
        AsGiven,
        /// Special-use domains are refused; a domain comes back in lower case and IDN-decoded.
        Normal,
    }
}
switch! {
    /// When a bulk call is seen by reads.
    BulkSeen {
        /// When it is answered.
        AtOnce,
        /// After [`Builder::bulk_lag`](crate::Builder::bulk_lag).
        Late,
    }
}
switch! {
    /// Whether a role that is assigned or taken back changes the user's `updated_at`.
    UpdatedAt {
        /// It does not.
        Kept,
        /// It does.
        Touched,
    }
}
switch! {
    /// How deep a list can be read.
    ListDepth {
        /// To its end.
        Unlimited,
        /// The first 10,000 rows; behind them, 400 `PAGINATION_SIZE_OVERREACHED`.
        Limited,
    }
}
switch! {
    /// An assignment on a resource instance that does not exist.
    MissingInstance {
        /// Makes it, where a tenant is named.
        Make,
        /// 404.
        Refuse,
    }
}

switch! {
    /// What a 404 says.
    NotFoundText {
        /// What kind of thing was looked for.
        Kind,
        /// Nothing.
        Bare,
    }
}

/// One answer to each question that Permit's documents leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Semantics that Permit's documents leave open")]
pub struct Semantics {
    /// PUT of an existing user without `attributes` (or e-mail, or a name)
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub put_without_attributes: PutWithoutAttributes,
    /// PUT of an existing user with `role_assignments`
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub put_role_assignments: PutRoleAssignments,
    /// `role_assignments` inside a bulk POST or PUT of users
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub bulk_role_assignments: BulkRoleAssignments,
    /// POST of a user that exists
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub post_existing_user: PostExistingUser,
    /// Bulk DELETE that names what is not there
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub bulk_unassign_missing: BulkUnassignMissing,
    /// Bulk assignment that names what is there
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub bulk_assign_existing: BulkAssignExisting,
    /// What a failed bulk call leaves behind
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub failed_bulk: FailedBulk,
    /// When two e-mail addresses are the same
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub email_case: EmailCase,
    /// The order of lists
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub list_order: ListOrder,
    /// POST of a tenant that exists
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub post_existing_tenant: PostExistingTenant,
    /// `roles` of a user
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub user_roles: UserRoles,
    /// The status of a user in a tenant
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub tenant_status: TenantStatus,
    /// Two users with the same e-mail
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub email_unique: EmailUnique,
    /// What becomes of an e-mail
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub email_form: EmailForm,
    /// When a bulk call is seen by reads
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub bulk_seen: BulkSeen,
    /// Whether a role changes the user's `updated_at`
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub updated_at: UpdatedAt,
    /// How deep a list can be read
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub list_depth: ListDepth,
    /// An assignment on a resource instance that does not exist
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub missing_instance: MissingInstance,
    /// What a 404 says
    #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
    pub not_found_text: NotFoundText,
}

impl Semantics {
    /// The default, everything opposite, and the default with one switch flipped, each with a name to print.
    ///
    /// ```
    /// # use permit_sandbox::Semantics;
    /// let names: Vec<String> = Semantics::each().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names[..3], ["default", "opposite", "put_without_attributes=clear"]);
    /// ```
    pub fn each() -> Vec<(String, Self)> {
        let mut opposite = Self::default();
        let mut flipped = Vec::new();
        macro_rules! flip {
            ($($field:ident),+) => {
                // A new switch does not compile until it is flipped here.
                let Self { not_found_text: _, $($field: _),+ } = opposite;
                // It changes a text that nobody reads: no run of its own.
                opposite.not_found_text = NotFoundText::Bare;
                $(for variant in ValueEnum::value_variants().iter().skip(1) {
                    opposite.$field = *variant;
                    let semantics = Self { $field: *variant, ..Self::default() };
                    let choice = ValueEnum::to_possible_value(variant);
                    let choice = choice.as_ref().map_or("", |value| value.get_name());
                    flipped.push((format!("{}={choice}", stringify!($field)), semantics));
                })+
            };
        }
        flip!(
            put_without_attributes,
            put_role_assignments,
            bulk_role_assignments,
            post_existing_user,
            bulk_unassign_missing,
            bulk_assign_existing,
            failed_bulk,
            email_case,
            list_order,
            post_existing_tenant,
            user_roles,
            tenant_status,
            email_unique,
            email_form,
            bulk_seen,
            updated_at,
            list_depth,
            missing_instance
        );
        let mut each = vec![("default".to_owned(), Self::default()), ("opposite".to_owned(), opposite)];
        each.append(&mut flipped);
        each
    }
}
