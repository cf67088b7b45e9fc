#!/usr/bin/env python3
"""Runs a Lambda program for one event, as Lambda's runtime API does, and prints what it answers.

  scripts/run_once.py EVENT.json PROGRAM [ARGUMENT ...]

The program has the environment of this script. Exits 1 where it answers with an error or not within a minute.
"""

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main(event, *command):
    answered = threading.Event()
    answer = {}

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if answered.is_set() or answer.get("given"):
                # Lambda freezes the program here.
                answered.wait(60)
                time.sleep(60)
                return
            answer["given"] = True
            body = Path(event).read_bytes()
            self.send_response(200)
            deadline = str(int((time.time() + 60) * 1000))
            for name, value in {
                "lambda-runtime-aws-request-id": "00000000-0000-4000-8000-000000000001",
                "lambda-runtime-deadline-ms": deadline,
                "lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-west-1:123456789012:function:local",
                "content-type": "application/json",
                "content-length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            answer["body"] = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            answer["failed"] = self.path.endswith("/error")
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()
            answered.set()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = os.environ | {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_address[1]}",
        "AWS_LAMBDA_FUNCTION_NAME": "local",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "local",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
    }
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    try:
        for _ in range(600):
            if answered.wait(0.1) or process.poll() is not None:
                break
    finally:
        process.kill()
        process.wait()
    if "body" not in answer:
        print(f"{command[0]} did not answer", file=sys.stderr)
        return 1
    print(answer["body"])
    return 1 if answer["failed"] else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
