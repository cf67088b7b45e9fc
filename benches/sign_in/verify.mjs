// Verified tokens a second of processor time with aws-jwt-verify. `node verify.mjs TOKENS.json`
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { JwtVerifier } = createRequire(`${process.env.COMPARATORS}/`)('aws-jwt-verify');
const { issuer, audience, jwks, tokens } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const verifier = JwtVerifier.create({ issuer, audience, jwksUri: 'https://127.0.0.1:9/jwks.json' });
verifier.cacheJwks(jwks);
for (const [algorithm, token] of Object.entries(tokens)) {
  let count = 0;
  const started = process.hrtime.bigint();
  const before = process.cpuUsage();
  let seconds = 0;
  while (seconds < 2) {
    for (let n = 0; n < 50; n++) verifier.verifySync(token);
    count += 50;
    seconds = Number(process.hrtime.bigint() - started) / 1e9;
  }
  const { user, system } = process.cpuUsage(before);
  console.log(algorithm, Math.round((count * 1e6) / (user + system)));
}
