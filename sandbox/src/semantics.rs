//! A switch for each question that Permit's documents leave open. A client has to work under every
//! setting.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Makes [`Semantics`] from a table of questions and their answers. The first answer is the default.
/// Names are the same in JSON and on the command line.
macro_rules! questions {
    ($(
        $(#[$question:meta])+
        $field:ident: $answers:ident {
            $(#[$first_doc:meta])+
            $first:ident,
            $($(#[$doc:meta])+ $answer:ident,)+
        }
    )+) => {
        $(
            $(#[$question])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
            #[serde(rename_all = "snake_case")]
            #[value(rename_all = "snake_case")]
            pub enum $answers {
                $(#[$first_doc])+
                #[default]
                $first,
                $($(#[$doc])+ $answer,)+
            }
        )+

        /// One answer to each question that Permit's documents leave open.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Args)]
        #[serde(default, deny_unknown_fields)]
        #[command(next_help_heading = "Semantics that Permit's documents leave open")]
        pub struct Semantics {
            $(
                $(#[$question])+
                #[arg(long, value_enum, default_value_t, value_name = "CHOICE")]
                pub $field: $answers,
            )+
        }

        impl Semantics {
            /// The default, everything opposite, and the default with one switch flipped, each with a name to
            /// print.
            ///
            /// ```
            /// # use permit_sandbox::Semantics;
            /// let names: Vec<String> = Semantics::each().into_iter().map(|(name, _)| name).collect();
            /// assert_eq!(names[..3], ["default", "opposite", "put_without_attributes=clear"]);
            /// ```
            pub fn each() -> Vec<(String, Self)> {
                let mut opposite = Self::default();
                let mut flipped = Vec::new();
                $(for variant in $answers::value_variants().iter().skip(1) {
                    opposite.$field = *variant;
                    let choice = variant.to_possible_value();
                    let choice = choice.as_ref().map_or("", |value| value.get_name());
                    let semantics = Self { $field: *variant, ..Self::default() };
                    flipped.push((format!("{}={choice}", stringify!($field)), semantics));
                })+
                let mut each = vec![("default".to_owned(), Self::default()), ("opposite".to_owned(), opposite)];
                each.append(&mut flipped);
                each
            }
        }
    };
}

questions! {
    /// PUT of an existing user without `attributes` (or e-mail, or a name)
    put_without_attributes: PutWithoutAttributes {
        /// What is there stays.
        Keep,
        /// What was left out is emptied.
        Clear,
    }

    /// PUT of an existing user with `role_assignments`
    put_role_assignments: PutRoleAssignments {
        /// Those that are missing are assigned.
        Add,
        /// Afterwards the user has these and no others.
        Replace,
        /// Nothing is assigned.
        Ignore,
    }

    /// `role_assignments` inside a bulk POST or PUT of users
    bulk_role_assignments: BulkRoleAssignments {
        /// Assigned, as in a single write.
        Honour,
        /// Checked for form, and not assigned.
        Ignore,
    }

    /// POST of a user that exists
    post_existing_user: PostExistingUser {
        /// 409 `DUPLICATE_ENTITY`.
        Conflict,
        /// 200 with the user as it was; in bulk the item is passed over.
        ReturnExisting,
    }

    /// Bulk DELETE that names what is not there
    bulk_unassign_missing: BulkUnassignMissing {
        /// 404, and the call failed.
        Fail,
        /// Passed over.
        Skip,
    }

    /// Bulk assignment that names what is there
    bulk_assign_existing: BulkAssignExisting {
        /// Passed over, and not counted in `assignments_created`.
        Skip,
        /// 409, and the call failed.
        Fail,
    }

    /// What a failed bulk call leaves behind
    failed_bulk: FailedBulk {
        /// Nothing.
        Rollback,
        /// The items before the bad one.
        Partial,
    }

    /// When two e-mail addresses are the same
    email_case: EmailCase {
        /// Byte for byte.
        Exact,
        /// Without regard to case.
        Insensitive,
    }

    /// The order of lists
    list_order: ListOrder {
        /// In the order of making.
        Oldest,
        /// The latest first: a row made between two pages shifts what the next page holds.
        Newest,
    }

    /// POST of a tenant that exists
    post_existing_tenant: PostExistingTenant {
        /// 409 `DUPLICATE_ENTITY`.
        Conflict,
        /// 200 with the tenant as it was.
        ReturnExisting,
    }

    /// `roles` of a user
    user_roles: UserRoles {
        /// The same roles as in `associated_tenants`.
        Filled,
        /// `[]`.
        Empty,
        /// Not there.
        LeftOut,
    }

    /// The status of a user in a tenant
    tenant_status: TenantStatus {
        /// One that the contract has.
        Known,
        /// A new one.
        Unknown,
    }

    /// Two users with the same e-mail
    email_unique: EmailUnique {
        /// 409 `DUPLICATE_ENTITY` for the second.
        Unique,
        /// As many as like.
        Shared,
    }

    /// What becomes of an e-mail
    email_form: EmailForm {
        /// It is kept as it came.
        AsGiven,
        /// Special-use domains are refused; a domain comes back in lower case and IDN-decoded.
        Normal,
    }

    /// When a bulk call is seen by reads
    bulk_seen: BulkSeen {
        /// When it is answered.
        AtOnce,
        /// After [`Builder::bulk_lag`](crate::Builder::bulk_lag).
        Late,
    }

    /// Whether a role changes the user's `updated_at`
    updated_at: UpdatedAt {
        /// It does not.
        Kept,
        /// It does.
        Touched,
    }

    /// How deep a list can be read
    list_depth: ListDepth {
        /// To its end.
        Unlimited,
        /// The first 10,000 rows; behind them, 400 `PAGINATION_SIZE_OVERREACHED`.
        Limited,
    }

    /// An assignment on a resource instance that does not exist
    missing_instance: MissingInstance {
        /// Makes it, where a tenant is named.
        Make,
        /// 404.
        Refuse,
    }
}
