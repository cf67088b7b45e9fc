#!/usr/bin/env python3
"""A Lambda function on the bare Runtime API: returns its event, fails on {"fail": ...}, ends on {"end": ...}."""

import json
import os
import urllib.request

runtime = os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{runtime}/next") as response:
        invocation = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    if "end" in event:
        raise SystemExit("asked to end")
    print("called with", json.dumps(event), flush=True)
    fails = "fail" in event
    answer = {"errorType": "Asked", "errorMessage": event["fail"]} if fails else event
    path = f"{runtime}/{invocation}/{'error' if fails else 'response'}"
    urllib.request.urlopen(urllib.request.Request(path, data=json.dumps(answer).encode(), method="POST")).close()
