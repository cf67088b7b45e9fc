//! The paths of the contract, and the answerer of each.

// All handlers have one signature, even those that cannot fail.
#![allow(clippy::unnecessary_wraps)]

mod assignments;
mod bulk;
mod orgs;
mod pdp;
mod schema;
mod tenants;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::{MethodFilter, on};

use crate::answerer::Answerer;
use crate::pipeline::{Shared, serve};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    use Answerer::{Account, Environment, Nobody, Pdp};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const PUT: MethodFilter = MethodFilter::PUT;
    const PATCH: MethodFilter = MethodFilter::PATCH;
    const DELETE: MethodFilter = MethodFilter::DELETE;

    let facts = [
        (GET, "users", Environment(users::list)),
        (POST, "users", Environment(users::create)),
        (GET, "users/{user_id}", Environment(users::get)),
        (PUT, "users/{user_id}", Environment(users::replace)),
        (PATCH, "users/{user_id}", Environment(users::update)),
        (DELETE, "users/{user_id}", Environment(users::delete)),
        (POST, "users/{user_id}/roles", Environment(assignments::assign)),
        (DELETE, "users/{user_id}/roles", Environment(assignments::unassign)),
        (GET, "role_assignments", Environment(assignments::list)),
        (POST, "role_assignments", Environment(assignments::assign)),
        (DELETE, "role_assignments", Environment(assignments::unassign)),
        (POST, "role_assignments/bulk", Environment(bulk::assign)),
        (DELETE, "role_assignments/bulk", Environment(bulk::unassign)),
        (GET, "tenants", Environment(tenants::list)),
        (POST, "tenants", Environment(tenants::create)),
        (GET, "tenants/{tenant_id}", Environment(tenants::get)),
        (DELETE, "tenants/{tenant_id}", Environment(tenants::delete)),
        (GET, "tenants/{tenant_id}/users", Environment(tenants::list_users)),
        (POST, "resource_instances", Environment(tenants::create_instance)),
        (GET, "resource_instances/{instance_id}", Environment(tenants::get_instance)),
        (POST, "bulk/users", Environment(bulk::create_users)),
        (PUT, "bulk/users", Environment(bulk::replace_users)),
        (DELETE, "bulk/users", Environment(bulk::delete_users)),
        (POST, "bulk/tenants", Environment(bulk::create_tenants)),
        (DELETE, "bulk/tenants", Environment(bulk::delete_tenants)),
    ];
    let schema = [
        (GET, "roles", Environment(schema::list_roles)),
        (POST, "roles", Environment(schema::create_role)),
        (GET, "resources/{resource_id}/roles", Environment(schema::list_resource_roles)),
    ];
    let others = [
        (GET, "/v2/api-key/scope", Account(orgs::scope)),
        (GET, "/v2/orgs/{org_id}/stats", Account(orgs::stats)),
        (POST, "/user-permissions", Pdp(pdp::user_permissions)),
    ];
    let by_pdp =
        |(method, path, by)| (method, path, if let Environment(answer) = by { Pdp(answer) } else { by });
    let under = |prefix: &'static str| move |(method, path, by)| (method, format!("{prefix}{path}"), by);
    let all = (facts.into_iter().map(under("/v2/facts/{proj_id}/{env_id}/")))
        .chain(schema.into_iter().map(under("/v2/schema/{proj_id}/{env_id}/")))
        .chain(facts.into_iter().map(by_pdp).map(under("/facts/")))
        .chain(others.into_iter().map(under("")));

    let answered_by = |answerer: Answerer| {
        move |State(shared): State<Arc<Shared>>, request: Request| async move {
            serve(&shared, answerer, request).await
        }
    };
    all.fold(Router::new(), |router, (method, path, answerer)| {
        router.route(&path, on(method, answered_by(answerer)))
    })
    .method_not_allowed_fallback(answered_by(Nobody(405, "Method Not Allowed")))
    .fallback(answered_by(Nobody(404, "Not Found")))
}
