// A sign-in as Permit's guide has it, on its SDK for Node: sync the user, assign the role, each time.
// The loop around it is the least that a Lambda runtime does.
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.COMPARATORS}/`);
const { SecretsManagerClient, GetSecretValueCommand } = require('@aws-sdk/client-secrets-manager');
const { Permit } = require('permitio');

let permit;

async function handler(event) {
  if (!permit) {
    const secrets = new SecretsManagerClient({});
    const secret = await secrets.send(new GetSecretValueCommand({ SecretId: process.env.PERMIT_API_KEY_SECRET_ID }));
    permit = new Permit({ token: secret.SecretString, apiUrl: process.env.PERMIT_API_URL, pdp: process.env.PERMIT_API_URL, log: { level: 'error' } });
  }
  const { sub, email, given_name, family_name, locale } = event.request.userAttributes;
  await permit.api.users.sync({ key: sub, email, first_name: given_name, last_name: family_name, attributes: { locale } });
  try {
    await permit.api.users.assignRole({ user: sub, role: 'viewer', tenant: 'default' });
  } catch (error) {
    if (error.response?.status !== 409) throw error;
  }
  return event;
}

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
for (;;) {
  const next = await fetch(`${api}/next`);
  const id = next.headers.get('lambda-runtime-aws-request-id');
  const answer = await handler(await next.json());
  await fetch(`${api}/${id}/response`, { method: 'POST', body: JSON.stringify(answer) });
}
