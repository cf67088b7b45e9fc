#!/usr/bin/env python3
"""Verified tokens a second of processor time: ours, aws-jwt-verify on Node and PyJWT, in one run.

    COMPARATORS/venv/bin/python benches/verify.py BENCH_BINARY COMPARATORS
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

HERE = os.path.dirname(os.path.abspath(__file__))
ISSUER, AUDIENCE = "https://issuer.example/pool", "https://api.example"


def main():
    binary, comparators = sys.argv[1:]
    keys = {
        "RS256": (rsa.generate_private_key(65537, 2048), jwt.algorithms.RSAAlgorithm),
        "ES256": (ec.generate_private_key(ec.SECP256R1()), jwt.algorithms.ECAlgorithm),
        "EdDSA": (ed25519.Ed25519PrivateKey.generate(), jwt.algorithms.OKPAlgorithm),
    }
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "3f2a1c00-0000-4000-8000-000000000000", "iat": now, "exp": now + 3600,
        "token_use": "id", "email": "jane@example.com", "email_verified": True, "cognito:groups": ["admins", "acme/editor"],
    }
    tokens, jwks = {}, []
    for algorithm, (key, form) in keys.items():
        tokens[algorithm] = jwt.encode(claims, key, algorithm, headers={"kid": algorithm})
        public = json.loads(form.to_jwk(key.public_key()))
        jwks.append({**public, "kid": algorithm, "alg": algorithm, "use": "sig"})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"issuer": ISSUER, "audience": AUDIENCE, "jwks": {"keys": jwks}, "tokens": tokens}, file)
        file.flush()
        ours = figures([binary, file.name], comparators)
        node = figures(["node", f"{HERE}/sign_in/verify.mjs", file.name], comparators)

    print("| verified tokens a second of processor time | permit-handoff | aws-jwt-verify (Node) | PyJWT | ours : Node | ours : Python |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for algorithm, (key, _) in keys.items():
        public, count, started, before = key.public_key(), 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - started < 2:
            for _ in range(50):
                jwt.decode(tokens[algorithm], public, [algorithm], audience=AUDIENCE, issuer=ISSUER)
            count += 50
        python = count / (time.process_time() - before)
        print(f"| {algorithm} | {ours[algorithm]:,.0f} | {node[algorithm]:,.0f} | {python:,.0f} | {ours[algorithm] / node[algorithm]:.1f} | {ours[algorithm] / python:.1f} |")


def figures(command, comparators):
    output = subprocess.run(command, env=os.environ | {"COMPARATORS": comparators}, stdout=subprocess.PIPE, check=True, text=True).stdout
    return {name: float(number) for name, number in (line.split() for line in output.splitlines())}


main()
