// Tests that the sandbox accepts what Permit's own Node SDK sends, and answers as the SDK expects.
//
// flow.mjs API_URL KEY api|pdp: through the API, or with facts through a PDP.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { Permit } = createRequire(process.cwd() + "/")("permitio");
const [url, token, through] = process.argv.slice(2);
const facts = through === "pdp" ? { proxyFactsViaPdp: true, factsSyncTimeout: 5, factsSyncTimeoutPolicy: "fail" } : {};
const permit = new Permit({ token, apiUrl: url, pdp: url, ...facts });
const { api } = permit;
const keys = (list) => list.map(({ key }) => key).sort();
const refused = (call, status) => assert.rejects(call, (error) => (error.response ?? error.originalError?.response).status === status);

await api.roles.create({ key: "pilot", name: "Pilot", permissions: [] });
assert(keys(await api.roles.list()).includes("pilot"));

const tenant = await api.tenants.create({ key: "acme", name: "Acme" });
assert.equal((await api.tenants.get("acme")).id, tenant.id);
assert(keys(await api.tenants.list()).includes("acme"));
await refused(api.tenants.create({ key: "acme", name: "Acme" }), 409);
await refused(api.tenants.get("nobody"), 404);

const jane = { key: "jane", email: "jane@example.com", first_name: "Jane", attributes: { age: 7 } };
const user = await api.users.create(jane);
assert.deepEqual([user.key, user.email, user.attributes], ["jane", "jane@example.com", { age: 7 }]);
await refused(api.users.create(jane), 409);
await refused(api.users.get("nobody"), 404);
assert.equal((await api.users.getById(user.id)).key, "jane");
assert.deepEqual(keys((await api.users.list()).data), ["jane"]);
assert.equal((await api.users.update("jane", { first_name: "Joan" })).email, "jane@example.com");
const synced = await api.users.sync({ key: "jane", email: "joan@example.com", first_name: null });
assert.deepEqual([synced.created, synced.user.email], [false, "joan@example.com"]);
assert.equal((await api.users.sync({ key: "joe" })).created, true);

const viewer = { user: "jane", role: "viewer", tenant: "acme" };
assert.equal((await api.users.assignRole(viewer)).role, "viewer");
await refused(api.users.assignRole(viewer), 409);
await api.roleAssignments.assign({ ...viewer, role: "editor" });
const roles = async () => (await api.users.getAssignedRoles({ user: "jane" })).map(({ role }) => role).sort();
assert.deepEqual(await roles(), ["editor", "viewer"]);
assert.equal((await api.roleAssignments.list({ user: "jane", tenant: "acme", role: "viewer" })).length, 1);
assert.deepEqual(keys((await api.tenants.listTenantUsers({ tenantKey: "acme" })).data), ["jane"]);
assert.equal((await api.users.get("jane")).roles.length, 2);
const seen = await permit.getUserPermissions("jane");
assert.deepEqual([...seen["__tenant:acme"].roles].sort(), ["editor", "viewer"]);
await api.users.unassignRole(viewer);
await refused(api.users.unassignRole(viewer), 404);
await api.roleAssignments.unassign({ ...viewer, role: "editor" });
assert.deepEqual(await roles(), []);

const many = [0, 1, 2, 3, 4, 5, 6].map((n) => ({ key: `u${n}`, email: `u${n}@example.com` }));
await api.users.bulkUserCreate(many);
await api.users.bulkUserReplace(many.map((user) => ({ ...user, first_name: "U" })));
assert.equal((await api.users.get("u3")).first_name, "U");
const assignments = many.map(({ key }) => ({ user: key, role: "viewer", tenant: "acme" }));
assert.equal((await api.roleAssignments.bulkAssign(assignments)).assignments_created, 7);
assert.equal((await api.roleAssignments.bulkUnassign(assignments)).assignments_removed, 7);
await api.users.bulkUserDelete(keys(many));
await api.users.delete("jane");
await refused(api.users.delete("jane"), 404);
await api.tenants.delete("acme");
assert.deepEqual(keys((await api.users.list()).data), ["joe"]);
