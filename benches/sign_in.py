#!/usr/bin/env python3
"""Sign-ins beside a Node and a Python handler on Permit's SDKs: the same events, sandbox and Runtime API, in one run.

    benches/sign_in.py RELEASE COMPARATORS MOTO_SERVER

RELEASE is the folder with the release builds, COMPARATORS that in which the SDKs are installed. Prints Markdown. CPU and memory are those of the handler's process, from /proc.
"""

import http.client
import json
import os
import queue
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")
COLD_STARTS = 7
WARM = 300
SECRET = "permit/api-key"
POLICY = '[user]\nattributes = ["locale"]\n[[grant]]\ntenant = "default"\nrole = "viewer"\n' \
    '[[grant]]\nwhen = { attribute = "locale", equals = "de" }\ntenant = "default"\nrole = "editor"\n'
DOCUMENTED_WRITES, DOCUMENTED_ALL = 300, 1000


class RuntimeApi:
    """The part of Lambda that hands events to a runtime and takes its answers."""

    def __init__(self):
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else each answer waits 40 ms for the client's acknowledgement.
            disable_nagle_algorithm = True

            def do_GET(self):
                event = api.events.get()
                body = json.dumps(event).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "00000000-0000-4000-8000-000000000000")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 5000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:f")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"] or 0)) if self.headers.get("Content-Length") else read_chunked(self.rfile)
                api.answers.put((self.path, body, time.perf_counter()))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.events, self.answers = queue.Queue(), queue.Queue()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # A handler that is killed breaks its connection.
        self.server.handle_error = lambda *_: None
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def invoke(self, event):
        started = time.perf_counter()
        self.events.put(event)
        try:
            path, body, at = self.answers.get(timeout=30)
        except queue.Empty:
            raise SystemExit("the handler does not answer") from None
        if not path.endswith("/response"):
            raise SystemExit(f"the handler failed: {body[:500]}")
        return at - started, at


def read_chunked(stream):
    body = b""
    while size := int(stream.readline().strip() or b"0", 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


def event(user, name="Jane", locale="en"):
    return {
        "version": "1", "triggerSource": "PostAuthentication_Authentication", "region": "eu-central-1",
        "userPoolId": "eu-central-1_Bench0000", "userName": user,
        "callerContext": {"awsSdkVersion": "x", "clientId": "x"},
        "request": {"userAttributes": {
            "sub": user, "email": f"{user}@example.com", "email_verified": "true",
            "given_name": name, "family_name": "Example", "locale": locale}, "newDeviceUsed": False},
        "response": {},
    }


def cpu(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def precise_cpu(pid):
    """Seconds on a processor, of all threads, in nanoseconds' steps where the kernel has them."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9 if total else cpu(pid)


def peak_memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


class Handler:
    def __init__(self, command, environment):
        self.api = RuntimeApi()
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, env=environment | {"AWS_LAMBDA_RUNTIME_API": self.api.address},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.api.server.shutdown()

    def cold(self, event):
        self.api.events.put(event)
        while True:
            try:
                path, body, at = self.api.answers.get(timeout=0.5)
                break
            except queue.Empty:
                if self.process.poll() is not None:
                    raise SystemExit(f"the handler ended: {self.process.stderr.read()[-2000:]}")
        if not path.endswith("/response"):
            raise SystemExit(f"the handler failed: {body[:500]}")
        self.answer = json.loads(body)
        return at - self.started, precise_cpu(self.process.pid)


def counts(sandbox):
    with urllib.request.urlopen(f"{sandbox}/_sandbox/counts") as answer:
        counted = json.load(answer)
    return counted["all"], counted["write"] + counted["delete"] + counted["bulk"]


def control(sandbox, method, path):
    urllib.request.urlopen(urllib.request.Request(f"{sandbox}/_sandbox/{path}", method=method)).close()


def cost(handler, sandbox, group, name, locale="en"):
    """Requests and writes a sign-in, of twenty people."""
    people = [f"{group}-{n}" for n in range(20)]
    control(sandbox, "DELETE", "requests")
    for person in people:
        handler.api.invoke(event(person, name, locale))
    requests, writes = counts(sandbox)
    return requests / len(people), writes / len(people)


def measure(name, command, environment, sandbox, queue):
    cold_wall, cold_cpu = [], []
    for n in range(COLD_STARTS):
        control(sandbox, "POST", "reset")
        with Handler(command, environment) as handler:
            wall, used = handler.cold(event(f"cold-{n}"))
            cold_wall.append(wall * 1000)
            cold_cpu.append(used * 1000)
    control(sandbox, "POST", "reset")
    # As it is deployed: with the queue, which is told of a change ahead of it.
    with Handler(command, environment | {"RECONCILE_QUEUE_URL": queue}) as handler:
        handler.cold(event("first"))
        asked = {"new": cost(handler, sandbox, "new", "Jane"), "unchanged, seen just now": cost(handler, sandbox, "new", "Jane")}
        cost(handler, sandbox, "changed", "Jane")
        # One change a person in ten seconds is written at once, a second one goes to the queue.
        time.sleep(10.5)
        asked["changed name"] = cost(handler, sandbox, "changed", "Janet")
        time.sleep(10.5)
        asked["a role more"] = cost(handler, sandbox, "changed", "Janet", "de")
    with Handler(command, environment) as handler:
        handler.cold(event("first"))
        asked["unchanged"] = cost(handler, sandbox, "new", "Jane")
    with Handler(command, environment) as handler:
        handler.cold(event("first"))
        # Each person comes twice, far apart: once as a new one, once as a known one.
        order = [event(f"warm-{n % (WARM // 2)}") for n in range(WARM)]
        before, walls = precise_cpu(handler.process.pid), []
        for one in order:
            walls.append(handler.api.invoke(one)[0] * 1000)
        warm_cpu = (precise_cpu(handler.process.pid) - before) * 1000 / WARM
        memory = peak_memory(handler.process.pid)
    walls.sort()
    return {
        "name": name, "cold wall": statistics.median(cold_wall), "cold cpu": statistics.median(cold_cpu),
        "p50": walls[len(walls) // 2], "p99": walls[int(len(walls) * 0.99)], "cpu": warm_cpu, "memory": memory, "asked": asked,
    }


class Front:
    """TLS in front of the sandbox and of AWS."""

    def __init__(self, command, folder, *upstreams):
        upstreams = [upstream.removeprefix("http://") for upstream in upstreams]
        self.process = subprocess.Popen([command, folder, *upstreams], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.permit, self.aws = [f"https://127.0.0.1:{port}" for port in self.process.stdout.readline().split()]
        certificate = f"{folder}/ca.pem"
        self.environment = {name: certificate for name in ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]}
        self.environment |= {"PERMIT_API_URL": self.permit, "AWS_ENDPOINT_URL": self.aws}

    def handshakes(self, word="count"):
        """How many there were since this was asked last."""
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return sum(int(count) for count in self.process.stdout.readline().split())


def measure_tls(name, command, environment, sandbox, front):
    cold_wall, cold_cpu, cold_handshakes = [], [], []
    for n in range(COLD_STARTS):
        control(sandbox, "POST", "reset")
        front.handshakes()
        with Handler(command, environment | front.environment) as handler:
            wall, used = handler.cold(event(f"cold-{n}"))
            cold_wall.append(wall * 1000)
            cold_cpu.append(used * 1000)
            cold_handshakes.append(front.handshakes())
    control(sandbox, "POST", "reset")
    with Handler(command, environment | front.environment) as handler:
        pid = handler.process.pid
        handler.cold(event("first"))
        front.handshakes()
        before, walls = precise_cpu(pid), []
        for n in range(WARM):
            walls.append(handler.api.invoke(event(f"warm-{n % (WARM // 2)}"))[0] * 1000)
        warm_cpu = (precise_cpu(pid) - before) * 1000 / WARM
        warm_handshakes = front.handshakes()
        thawed, thawed_handshakes = [], []
        for n in range(COLD_STARTS):
            # What Lambda does between two invocations, and what load balancers do meanwhile.
            os.kill(pid, signal.SIGSTOP)
            front.handshakes("close")
            os.kill(pid, signal.SIGCONT)
            thawed.append(handler.api.invoke(event(f"thawed-{n}"))[0] * 1000)
            thawed_handshakes.append(front.handshakes())
    return {
        "name": name, "cold wall": statistics.median(cold_wall), "cold cpu": statistics.median(cold_cpu),
        "cold handshakes": statistics.median(cold_handshakes), "p50": statistics.median(walls), "cpu": warm_cpu,
        "warm handshakes": warm_handshakes, "thawed": statistics.median(thawed), "thawed handshakes": statistics.median(thawed_handshakes),
    }


def floor(name, binary, environment, sandbox):
    """A cold start, and the size of the file."""
    walls, used, memory = [], [], []
    for n in range(COLD_STARTS):
        control(sandbox, "POST", "reset")
        with Handler([binary], environment) as handler:
            wall, cpu = handler.cold(event(f"cold-{n}"))
            walls.append(wall * 1000)
            used.append(cpu * 1000)
            memory.append(peak_memory(handler.process.pid))
    return {"name": name, "cpu": statistics.median(used), "wall": statistics.median(walls), "memory": statistics.median(memory), **sizes(binary)}


def sizes(binary):
    """In MB, as it is and as a Lambda is uploaded."""
    with tempfile.NamedTemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
        return {"size": os.path.getsize(binary) / 1e6, "zip": os.path.getsize(file.name) / 1e6}


def wait_for(url):
    for _ in range(200):
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def aws_call(port, service, version, target, body):
    """A call to the stand-in for AWS, which looks at no signature."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/", json.dumps(body), {
        "X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{version}",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=testing/20260101/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=x"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"{target}: {answer.read()[:500]}")
    return json.loads(answer.read())


def main():
    release, comparators, moto_server = sys.argv[1:]
    binary, sandbox_binary = f"{release}/post-authentication", f"{release}/permit-sandbox"
    running = []
    try:
        port, aws_port = free_port(), free_port()
        sandbox, aws = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{aws_port}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        running.append(subprocess.Popen([sandbox_binary, "--port", str(port), "--limits", "none"], **quiet))
        running.append(subprocess.Popen([moto_server, "-H", "127.0.0.1", "-p", str(aws_port)], **quiet))
        wait_for(f"{sandbox}/_sandbox/counts")
        wait_for(f"{aws}/moto-api/")
        environment = {
            "PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_ENDPOINT_URL": aws,
            "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "PERMIT_API_URL": sandbox, "PERMIT_API_KEY_SECRET_ID": SECRET, "HANDOFF_POLICY": POLICY, "COMPARATORS": comparators,
        }
        aws_call(aws_port, "secretsmanager", "1.1", "secretsmanager.CreateSecret", {"Name": SECRET, "SecretString": "permit_key_sandbox"})
        queue = aws_call(aws_port, "sqs", "1.0", "AmazonSQS.CreateQueue", {"QueueName": "people"})["QueueUrl"]

        handlers = [
            ("permit-handoff", [binary]), ("Node, permitio", ["node", f"{HERE}/sign_in/handler.mjs"]),
            ("Python, permit", [f"{comparators}/venv/bin/python", f"{HERE}/sign_in/handler.py"]),
        ]
        report([measure(name, command, environment, sandbox, queue) for name, command in handlers])
        print()
        least = [("gives back what it was given", "floor"), ("the same, and builds our clients", "floor-clients"), ("post-authentication", "post-authentication")]
        report_floor([floor(name, f"{release}/{file}", environment, sandbox) for name, file in least])
        print()
        report_sizes({name: sizes(f"{release}/{name}") for name in ["post-authentication", "handoff", "reconcile", "bulk-sync"]})
        print()
        with tempfile.TemporaryDirectory() as folder:
            front = Front(f"{release}/tls-front", folder, sandbox, aws)
            running.append(front.process)
            report_tls([measure_tls(name, command, environment, sandbox, front) for name, command in handlers])
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def report_floor(rows):
    print("| a Lambda in Rust that | cold start to the first answer, CPU, ms | wall, ms | peak memory, MiB | file, MB | zip, MB | CPU : the least |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        figures = [row["cpu"], row["wall"], row["memory"], row["size"], row["zip"], row["cpu"] / rows[0]["cpu"]]
        print(f"| {row['name']} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")


def report_sizes(functions):
    print("| function | file, MB | zip, MB |")
    print("| --- | ---: | ---: |")
    for name, size in functions.items():
        print(f"| {name} | {size['size']:.1f} | {size['zip']:.1f} |")


def report_tls(rows):
    print("| over TLS | " + " | ".join(row["name"] for row in rows) + " | Node : ours | Python : ours |")
    print("| --- | " + "---: | " * (len(rows) + 2))
    for title, name, digits in [
        ("cold start over TLS, CPU, ms", "cold cpu", 1), ("cold start over TLS, wall, ms", "cold wall", 1),
        ("handshakes at a cold start", "cold handshakes", 0), ("warm sign-in over TLS, p50, ms", "p50", 2),
        ("CPU a warm sign-in over TLS, ms", "cpu", 2), (f"handshakes in {WARM} warm sign-ins", "warm handshakes", 0),
        ("a sign-in after the connections died while frozen, wall, ms", "thawed", 1), ("handshakes of that", "thawed handshakes", 0),
    ]:
        ratios = [f"{row[name] / rows[0][name]:.1f}" if rows[0][name] else "-" for row in rows[1:]]
        print(f"| {title} | " + " | ".join(f"{row[name]:.{digits}f}" for row in rows) + " | " + " | ".join(ratios) + " |")


def report(rows):
    def line(title, unit, value, digits=1):
        cells = [f"{value(row):.{digits}f}" for row in rows]
        ratios = [f"{value(row) / value(rows[0]):.1f}" if value(rows[0]) else "-" for row in rows[1:]]
        print(f"| {title}{f', {unit}' if unit else ''} | " + " | ".join(cells) + " | " + " | ".join(ratios) + " |")

    print("| | " + " | ".join(row["name"] for row in rows) + " | Node : ours | Python : ours |")
    print("| --- | " + "---: | " * (len(rows) + 2))
    line("cold start to the first answer, CPU", "ms", lambda row: row["cold cpu"])
    line("the same, wall", "ms", lambda row: row["cold wall"])
    line("warm sign-in, p50", "ms", lambda row: row["p50"], 2)
    line("warm sign-in, p99", "ms", lambda row: row["p99"], 2)
    line("CPU a warm sign-in", "ms", lambda row: row["cpu"], 2)
    line("peak memory", "MiB", lambda row: row["memory"])
    for case in ["new", "changed name", "a role more", "unchanged", "unchanged, seen just now"]:
        cells = [f"{row['asked'][case][0]:.1f} / {row['asked'][case][1]:.1f}" for row in rows]
        print(f"| requests / writes a sign-in: {case} | " + " | ".join(cells) + " | | |")

    # Nine of ten sign-ins find nothing changed, and no warm function that remembers them; the tenth is half new
    # people, half changed ones. At worst, each one is the dearest.
    usual = {"unchanged": 0.9, "new": 0.05, "changed name": 0.05}
    for title, mix in [("90% unchanged", usual), ("each new", {"new": 1}), ("at worst: each has a role more", {"a role more": 1})]:
        allowed = [under_limits(row["asked"], mix) for row in rows]
        cells = [f"{value:.0f}" for value in allowed] + [f"1 : {allowed[0] / value:.1f}" for value in allowed[1:]]
        print(f"| sign-ins a minute under Permit's limits, {title} | " + " | ".join(cells) + " |")


def under_limits(asked, mix):
    """Sign-ins a minute that the documented limits allow, where so many of them are of each case."""
    requests = sum(share * asked[case][0] for case, share in mix.items())
    writes = sum(share * asked[case][1] for case, share in mix.items())
    return min(DOCUMENTED_WRITES / writes if writes else float("inf"), DOCUMENTED_ALL / requests if requests else float("inf"))


if __name__ == "__main__":
    main()
