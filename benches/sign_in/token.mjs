// A token verified with aws-jwt-verify, and its person synced on Permit's SDK for Node, as its guide has it.
import { createRequire } from 'node:module';
import { serve } from './runtime.mjs';

const require = createRequire(`${process.env.COMPARATORS}/`);
const { JwtVerifier } = require('aws-jwt-verify');
const { Permit } = require('permitio');

const { ISSUER, AUDIENCE, JWKS, PERMIT_API_URL, PERMIT_API_KEY } = process.env;
const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri: 'https://127.0.0.1:9/jwks.json' });
verifier.cacheJwks(JSON.parse(JWKS));
const permit = new Permit({ token: PERMIT_API_KEY, apiUrl: PERMIT_API_URL, pdp: PERMIT_API_URL, log: { level: 'error' } });

await serve(async (event) => {
  const claims = await verifier.verify(event.headers.authorization.slice('Bearer '.length));
  const { sub, email, given_name, family_name, locale } = claims;
  await permit.api.users.sync({ key: sub, email, first_name: given_name, last_name: family_name, attributes: { locale } });
  await permit.api.users.assignRole({ user: sub, role: 'viewer', tenant: 'default' });
  return { statusCode: 200, body: JSON.stringify({ user: sub }) };
});
