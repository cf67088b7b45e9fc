#!/usr/bin/env python3
"""Runs a Lambda program for one event, as Lambda's runtime API does, and prints its answer.

  scripts/run_once.py EVENT.json PROGRAM [ARGUMENT ...]

The program has the environment of this script. Exits with 1 if it answers with an error, or not within a minute.
"""

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

# How many seconds an answer may take. A program under qemu starts slowly.
PATIENCE = 60


class Answer(NamedTuple):
    body: str
    # Whether the program answered with an error.
    failed: bool


def run(event, command, environment, seconds=PATIENCE, errors=sys.stderr):
    """The answer of `command` to the JSON text `event`, within `seconds`; None if it does not answer."""
    answered = threading.Event()
    given = threading.Event()
    answers = []

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if given.is_set():
                # Lambda would freeze the program here. So does this, until the program is killed.
                answered.wait(PATIENCE)
                time.sleep(PATIENCE)
                return
            given.set()
            body = event.encode()
            self.send_response(200)
            for name, value in {
                "lambda-runtime-aws-request-id": "00000000-0000-4000-8000-000000000001",
                "lambda-runtime-deadline-ms": str(int((time.time() + seconds) * 1000)),
                "lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-west-1:123456789012:function:local",
                "content-type": "application/json",
                "content-length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            answers.append(Answer(body, self.path.endswith("/error")))
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()
            answered.set()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    # A program that is killed breaks its connection.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lambda_gives = {
        "AWS_LAMBDA_FUNCTION_NAME": "local",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "local",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
    }
    api = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_address[1]}"}
    process = subprocess.Popen(command, env=lambda_gives | environment | api, stdout=errors, stderr=errors)
    try:
        until = time.monotonic() + PATIENCE
        while not answered.wait(0.1) and process.poll() is None and time.monotonic() < until:
            pass
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()
    return answers[0] if answers else None


def main(event, *command):
    answer = run(Path(event).read_text(), command, dict(os.environ))
    if answer is None:
        print(f"{command[0]} did not answer", file=sys.stderr)
        return 1
    print(answer.body)
    return 1 if answer.failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
