// A sign-in as Permit's guide has it, on its SDK for Node: sync the user, assign the role, each time.
import { createRequire } from 'node:module';
import { serve } from './runtime.mjs';

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
  for (const role of locale === 'de' ? ['viewer', 'editor'] : ['viewer']) {
    try {
      await permit.api.users.assignRole({ user: sub, role, tenant: 'default' });
    } catch (error) {
      if (error.response?.status !== 409) throw error;
    }
  }
  return event;
}

await serve(handler);
