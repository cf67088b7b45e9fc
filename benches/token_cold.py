#!/usr/bin/env python3
"""From the start of the process to the first 200: `handoff` beside a Node handler that verifies with aws-jwt-verify.

    COMPARATORS/venv/bin/python benches/token_cold.py BINARY SANDBOX COMPARATORS

Prints the rows of a Markdown table. The API key is in the environment here: reading a secret is in the sign-ins' table.
"""

import http.server
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sign_in import COLD_STARTS, HERE, POLICY, Handler, control, free_port, peak_memory, wait_for

AUDIENCE = "https://api.example"


def main():
    binary, sandbox_binary, comparators = sys.argv[1:]
    key = ec.generate_private_key(ec.SECP256R1())
    public = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": "k1", "alg": "ES256", "use": "sig"}
    keys = {"keys": [public]}
    provider = serve(json.dumps(keys).encode())
    issuer, now = f"http://127.0.0.1:{provider.server_port}", int(time.time())
    token = jwt.encode(
        {"iss": issuer, "aud": AUDIENCE, "sub": "cold-1", "iat": now, "exp": now + 3600, "email": "jane@example.com",
         "email_verified": True, "given_name": "Jane", "family_name": "Example", "locale": "en"},
        key, "ES256", headers={"kid": "k1"})
    with open(f"{HERE}/../events/function-url.json") as file:
        event = json.load(file)
    event["headers"]["authorization"] = f"Bearer {token}"

    port = free_port()
    sandbox = f"http://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    running = subprocess.Popen([sandbox_binary, "--port", str(port), "--limits", "none"], **quiet)
    try:
        wait_for(f"{sandbox}/_sandbox/counts")
        environment = {
            "PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "PERMIT_API_URL": sandbox, "PERMIT_API_KEY": "permit_key_sandbox", "HANDOFF_POLICY": POLICY,
            "COMPARATORS": comparators, "ISSUER": issuer, "AUDIENCE": AUDIENCE, "JWKS": json.dumps(keys),
        }
        # JSON's texts are TOML's.
        fetched = (f'{POLICY}\n[[source]]\nissuer = "{issuer}"\naudiences = ["{AUDIENCE}"]\nalgorithms = ["ES256"]\n'
                   f'jwks_uri = "{issuer}/jwks.json"\n')
        preloaded = f"{fetched}jwks = {json.dumps(json.dumps(keys))}\n"
        rows = [
            cold("permit-handoff, key set given", [binary], environment | {"HANDOFF_POLICY": preloaded}, event, sandbox),
            cold("permit-handoff, key set fetched", [binary], environment | {"HANDOFF_POLICY": fetched}, event, sandbox),
            cold("Node, aws-jwt-verify and permitio, key set given", ["node", f"{HERE}/sign_in/token.mjs"], environment, event, sandbox),
        ]
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait()
        provider.shutdown()

    print("| cold start to the first 200 | CPU, ms | wall, ms | peak memory, MiB | CPU : ours |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, cpu, wall, memory in rows:
        print(f"| {name} | {cpu:.1f} | {wall:.1f} | {memory:.1f} | {cpu / rows[0][1]:.1f} |")


def cold(name, command, environment, event, sandbox):
    cpus, walls, memories = [], [], []
    for _ in range(COLD_STARTS):
        control(sandbox, "POST", "reset")
        with Handler(command, environment) as handler:
            wall, cpu = handler.cold(event)
            if handler.answer.get("statusCode") != 200:
                raise SystemExit(f"{name}: {handler.answer}")
            cpus.append(cpu * 1000)
            walls.append(wall * 1000)
            memories.append(peak_memory(handler.process.pid))
    return name, statistics.median(cpus), statistics.median(walls), statistics.median(memories)


def serve(body):
    class Provider(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


main()
