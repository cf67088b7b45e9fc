#!/usr/bin/env python3
"""Follows the guide as a new user does, against moto and the Permit stand-in: a clean checkout, `make deploy`, and then the
commands that it prints, exactly as printed. No variable is copied by hand.

These parts are replaced: AWS itself (moto), Permit (permit-sandbox), the deployment (`sam package` is the real one; then SAM's
own translator transforms the template, and moto's CloudFormation creates it), and the cross build (the debug binaries of this
machine). The rehearsal then starts the four programs with exactly the environment that the stack gives them, and compares the
metrics that they print with the stack's alarms and widgets.

`make test` runs it. It needs scripts/install-stand-ins.sh, scripts/lint-template.sh install, cargo build --workspace --bins.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".local/venv/bin"
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
if __name__ == "__main__" and Path(sys.prefix) != ROOT / ".local/venv":
    os.execv(VENV / "python", [str(VENV / "python"), *sys.argv])

import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402

import deploy  # noqa: E402
import run_once  # noqa: E402

REGION = "eu-west-1"
# A key of each of Permit's levels.
KEYS = {"environment": "permit_key_rehearsal", "project": "permit_key_project", "organization": "permit_key_organization"}
FUNCTIONS = ["post-authentication", "bulk-sync", "reconcile", "handoff"]

started = []


def main():
    for level in KEYS:
        folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
        try:
            Rehearsal(folder, level).run()
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
            started.clear()
            shutil.rmtree(folder, ignore_errors=True)


class Rehearsal:
    def __init__(self, folder, level):
        self.folder = folder
        self.level = level
        self.key = KEYS[level]
        self.checkout = folder / "checkout"
        self.moto = f"http://127.0.0.1:{free_port()}"
        self.permit = f"http://127.0.0.1:{free_port()}"
        self.lambda_port = free_port()
        self.logs = {}

    def run(self):
        self.stand_ins()
        self.clean_checkout()
        pool = self.user_pool()
        if self.level != "environment":
            self.wider_key(pool)
            return
        said = self.sh("make deploy", answers=[pool, "", "eu", "rehearsal"])
        say("make deploy asked four questions, and ended with the next steps")
        steps = re.findall(r"^(\d)\. [^\n]*\n([^\n]+)$", said, re.M)
        check([number for number, _ in steps] == list("123456"), f"the next steps are numbered 1 to 6: {steps}")
        outputs = self.sh("make outputs")
        for _, command in steps:
            check(f"\n{command}\n" in outputs, f"`make outputs` prints it whole: {command}")
        put_key, doctor, plan, attach, sync, enable = (command for _, command in steps)

        before = self.sh(doctor, expect=(1,))
        check("put the" in before.lower() or "is empty" in before, f"the doctor says that the secret is empty: {before}")
        self.sh(put_key, typed=self.key)
        self.sh(doctor, expect=(0, 1))
        self.sh(plan, expect=(0, 1))
        check(self.permit_users() == [], "a plan writes nothing")
        say("doctor and plan took their settings and the policy from the stack, and wrote nothing")

        self.trigger_missing(pool)
        self.sh(f"{attach} --yes")
        config = self.client("cognito-idp").describe_user_pool(UserPoolId=pool)["UserPool"]["LambdaConfig"]
        arn = self.configuration("post-authentication")["FunctionArn"]
        check(config.get("PostAuthentication") == config.get("PostConfirmation") == arn, f"both triggers call it: {config}")
        say("attach attached both triggers to the pool")
        self.sign_in(pool)
        self.sh(f"{sync} --yes", expect=(0, 1))
        check(len(self.permit_users()) == 3, f"everybody is in Permit: {self.permit_users()}")
        say("a sign-in and a sync brought everybody in")
        self.schedule(enable)
        self.functions(pool)
        self.metrics()
        detach = re.search(r"^DetachCommand\n(.*)$", outputs, re.M)[1]
        self.sh(f"{detach} --yes")
        config = self.client("cognito-idp").describe_user_pool(UserPoolId=pool)["UserPool"].get("LambdaConfig", {})
        check(not config.get("PostAuthentication"), f"the triggers are gone: {config}")
        say("detach took them away again")

    def wider_key(self, pool):
        """Deploys with a key that reaches more than one environment: from CI, without questions, the environment in samconfig.toml."""
        deploy.CONFIG = self.checkout / "samconfig.toml"
        parameters = {"UserPoolId": pool, "PermitApiUrl": "https://api.permit.io", "Architecture": "x86_64"}
        environment = {"PermitProject": "default", "PermitEnvironment": "dev"}
        deploy.write("default", {"stack_name": "rehearsal", "region": REGION}, parameters | environment)
        said = self.sh("make deploy DEPLOY_FLAGS=--yes")
        put_key, doctor, plan, _, sync, _ = (command for _, command in re.findall(r"^(\d)\. [^\n]*\n([^\n]+)$", said, re.M))
        self.sh(put_key, typed=self.key)
        self.sh(doctor, expect=(0, 1))
        self.sh(plan, expect=(0, 1))
        self.sh(f"{sync} --yes", expect=(0, 1))
        check(len(self.permit_users()) == 3, f"everybody is in Permit: {self.permit_users()}")
        self.lambda_service()
        self.function("bulk-sync")
        status, report = self.invoke("bulk-sync", {})
        check(status == 200 and report["complete"], f"the function reads the same settings: {report}")
        self.stop("bulk-sync")
        self.function("bulk-sync", {"PERMIT_PROJECT": "", "PERMIT_ENVIRONMENT": ""})
        status, report = self.invoke("bulk-sync", {})
        check(status != 200 and "PERMIT_PROJECT" in json.dumps(report), f"without them the error names them: {report}")
        self.stop("bulk-sync")
        say(f"a key of {self.level} level does the same, and says which settings it needs")

    # ------------------------------------------------------------ Stand-ins for the world

    def stand_ins(self):
        port = self.moto.rsplit(":", 1)[1]
        self.start("moto", [VENV / "moto_server", "-H", "127.0.0.1", "-p", port], port)
        port = self.permit.rsplit(":", 1)[1]
        binary = BUILT / "permit-sandbox"
        self.start("permit", [binary, "--port", port, "--key", KEYS["environment"], "--project-key", KEYS["project"],
                               "--organization-key", KEYS["organization"]], port)  # fmt: skip
        self.door = Door(self)
        for name in ["aws", "sam", "cargo", "zig"]:
            shim = self.folder / "bin" / name
            shim.parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / "scripts/rehearsal" / name, shim)
        (self.folder / "bin/permit-handoff").symlink_to(BUILT / "permit-handoff")
        self.environment = {name: os.environ[name] for name in ("HOME", "CARGO_HOME", "RUSTUP_HOME") if name in os.environ} | {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}:{VENV}",
            "REAL_PATH": os.environ["PATH"],
            "REHEARSAL_ROOT": str(ROOT),
            "REHEARSAL_BUILT": str(BUILT),
            "REHEARSAL_PERMIT": self.permit,
            "AWS_ENDPOINT_URL": self.moto,
            "AWS_ENDPOINT_URL_LAMBDA": self.door.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "NO_COLOR": "1",
            "COLUMNS": "80",
        }  # fmt: skip

    def clean_checkout(self):
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        for name in files.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.checkout / name)

        # Step 1 of the guide: write who gets which role, and who loses it.
        policy = self.checkout / "policy/policy.toml"
        text = policy.read_text()
        check(text.count('missing = "keep"') == 1, "the policy keeps the people who left, as shipped")
        policy.write_text(text.replace('missing = "keep"', 'missing = "unassign"'))

    def user_pool(self):
        cognito = self.client("cognito-idp")
        pool = cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
        cognito.create_group(UserPoolId=pool, GroupName="acme/editor")
        cognito.create_group(UserPoolId=pool, GroupName="nowhere/editor")
        for name in ["jane", "kim", "lee"]:
            attributes = [{"Name": "email", "Value": f"{name}@example.com"}, {"Name": "email_verified", "Value": "true"}]
            cognito.admin_create_user(UserPoolId=pool, Username=name, UserAttributes=attributes)
        cognito.admin_add_user_to_group(UserPoolId=pool, Username="jane", GroupName="acme/editor")
        cognito.admin_add_user_to_group(UserPoolId=pool, Username="kim", GroupName="nowhere/editor")
        self.tenant()
        return pool

    def tenant(self):
        self.call("POST", f"{self.permit}/_sandbox/seed", {"tenants": ["acme"]})

    # ------------------------------------------------------------ Checks

    def sign_in(self, pool):
        self.lambda_service()
        self.function("post-authentication")
        check(self.invoke("post-authentication", self.event(pool)) == (200, self.event(pool)), "the event comes back")
        check(len(self.permit_users()) >= 1, "who signs in is in Permit")
        self.invoke("post-authentication", self.event(pool))
        self.stop("post-authentication")

    def trigger_missing(self, pool):
        """Runs before `attach`: a dry run counts nothing."""
        self.lambda_service()
        self.function("bulk-sync")
        status, report = self.invoke("bulk-sync", {"dry_run": True})
        check(status == 200 and report["dry_run"], f"the dry run answers: {report}")
        self.stop("bulk-sync")

    def schedule(self, enable):
        # moto's CloudFormation has no schedules, so this checks the stack's parameter.
        check(self.parameter("ScheduleState") == "DISABLED", "the schedule starts off")
        self.sh(enable)
        check(self.parameter("ScheduleState") == "ENABLED", "make enable-schedule turns it on")
        config = (self.checkout / "samconfig.toml").read_text()
        check(config.count("ScheduleState") == 1, f"samconfig.toml keeps it: {config}")
        say("the schedule was off until make enable-schedule")

    def functions(self, pool):
        """Runs each deployed program through everything that alarms and widgets count."""
        event = self.event(pool)
        # The stand-in for Permit is a PDP too.
        self.function("bulk-sync", {"PERMIT_PDP_URL": self.permit})
        self.call("POST", f"{self.permit}/_sandbox/reset")
        self.tenant()
        # Many users at once go by bulk calls, one user by a write.
        cognito = self.client("cognito-idp")
        for number in range(30):
            attributes = [{"Name": "email", "Value": f"p{number}@example.com"}]
            cognito.admin_create_user(UserPoolId=pool, Username=f"p{number}", UserAttributes=attributes)
        check(self.invoke("bulk-sync", {})[1]["complete"], "a run")
        cognito.admin_update_user_attributes(UserPoolId=pool, Username="p7", UserAttributes=[{"Name": "email", "Value": "new@example.com"}])
        check(self.invoke("bulk-sync", {})[1]["complete"], "another")
        with self.fault({"fault": "status", "status": 429, "headers": {"retry-after": "0"}, "at": {"first": 1}}):
            self.invoke("bulk-sync", {})
        with self.fault({"fault": "status", "status": 403}):
            check(self.invoke("bulk-sync", {})[0] != 200, "a run that breaks off is an error")
        self.stop("bulk-sync")
        self.disobedience(pool)
        self.out_of_time()

        trigger = "post-authentication"
        with self.fault({"fault": "status", "status": 503}):
            self.function(trigger)
            check(self.invoke(trigger, event)[0] == 200, "Permit is away, and the person passes")
            self.stop(trigger)
            self.function(trigger, {"SIGN_IN_ON_FAILURE": "deny"})
            check(self.invoke(trigger, event)[0] != 200, "or is asked to wait")
            self.stop(trigger)
        with self.fault({"fault": "status", "status": 429, "headers": {"retry-after": "60"}}):
            self.function(trigger)
            self.invoke(trigger, event)
            self.stop(trigger)
        with self.fault({"fault": "status", "status": 422, "body": "{}"}):
            self.function(trigger)
            self.invoke(trigger, event)
            self.stop(trigger)
        self.function(trigger)
        self.invoke(trigger, event | {"userPoolId": f"{REGION}_Another01"})
        self.stop(trigger)
        self.function(trigger, {"HANDOFF_POLICY_FILE": "/nowhere/policy.toml"})
        check(self.invoke(trigger, event)[0] == 200, "a bad deployment lets people in")
        self.stop(trigger)
        self.queue()
        self.change_events(pool)
        if self.configuration("handoff") is not None:
            self.function("handoff")
            request = json.loads((ROOT / "events/http-api.json").read_text())
            request["headers"] = {"authorization": "Bearer not.a.token"}
            status, answer = self.invoke("handoff", request)
            check(status == 200 and answer["statusCode"] == 401, f"a bad token is refused: {answer}")
            self.stop("handoff")
        say("each function ran with the environment that the stack gives it")

    def disobedience(self, pool):
        """Permit says that it took a change, but did not: a run finds that when it reads back."""
        cognito = self.client("cognito-idp")
        change = [{"Name": "email", "Value": "p8-new@example.com"}]
        cognito.admin_update_user_attributes(UserPoolId=pool, Username="p8", UserAttributes=change)
        users = self.call("GET", f"{self.permit}/v2/facts/default/dev/users?per_page=100", key=self.key)[1]["data"]
        p8 = next(user for user in users if user["email"] == "p8@example.com")
        # A new environment: an old one remembers a bulk call, and waits a minute for Permit to show it.
        self.function("bulk-sync")
        taken = {"fault": "status", "status": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(p8)}
        with self.fault(taken | {"method": "PUT", "path": "*/users/*"}):
            status, report = self.invoke("bulk-sync", {})
        check(status == 200 and not report["converged"] and report["verified"]["drifted"] == 1, f"the run says so: {report}")
        self.stop("bulk-sync")

    def out_of_time(self):
        """A run that Lambda gives too little time says how far it came."""
        log = self.log("bulk-sync")
        with log.open("w") as output, self.fault({"fault": "latency", "ms": 2000}):
            answer = run_once.run("{}", [BUILT / "bulk-sync"], self.settings("bulk-sync"), seconds=1, errors=output)
        report = json.loads(answer.body)
        check(not answer.failed and not report["complete"], f"the run says that it is not complete: {report}")

    def change_events(self, pool):
        """Sends events as CloudTrail would, through the stack's rule to its queue, and from there to `reconcile`."""
        cognito, events = self.client("cognito-idp"), self.client("events")
        subs = {user["Username"]: {pair["Name"]: pair["Value"] for pair in user["Attributes"]}["sub"]
                for user in cognito.list_users(UserPoolId=pool)["Users"]}  # fmt: skip
        # moto would give the messages to the function's code itself, which it cannot run.
        functions = self.client("lambda")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        self.function("reconcile")

        def tell(call, *people, **more):
            entries = []
            for sub in people:
                detail = {"eventSource": "cognito-idp.amazonaws.com", "eventName": call, "additionalEventData": {"sub": sub},
                          "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "managementEvent": True,
                          "requestParameters": {"userPoolId": pool, "username": "HIDDEN_DUE_TO_SECURITY_REASONS"}}  # fmt: skip
                entry = {"Source": "aws.cognito-idp", "DetailType": "AWS API Call via CloudTrail", "Detail": json.dumps(detail | more)}
                entries.append(entry)
            for start in range(0, len(entries), 10):
                events.put_events(Entries=entries[start : start + 10])
            records = self.waiting()
            check(len(records) == len(people), f"{call}: the rule brings {len(people)} events to the queue: {len(records)}")
            status, answer = self.invoke("reconcile", {"Records": records})
            check(status == 200, f"reconcile takes them: {answer}")

        cognito.admin_add_user_to_group(UserPoolId=pool, Username="lee", GroupName="acme/editor")
        tell("AdminAddUserToGroup", subs["lee"])
        lee = self.call("GET", f"{self.permit}/_sandbox/state")[1]["users"][subs["lee"]]
        check("acme/editor" in lee["roles"], f"a change is in Permit at once: {lee}")
        tell("AdminDisableUser", "HIDDEN_DUE_TO_SECURITY_REASONS")
        gone = [f"p{number}" for number in range(12)]
        for name in gone:
            cognito.admin_delete_user(UserPoolId=pool, Username=name)
        tell("AdminDeleteUser", *(subs[name] for name in gone))
        users = self.call("GET", f"{self.permit}/_sandbox/state")[1]["users"]
        kept = [sub for name, sub in subs.items() if name in gone and users[sub].get("roles")]
        check(0 < len(kept) < len(gone), f"the breaker lets a few of those leave who were deleted all at once: {len(kept)} stay")
        self.stop("reconcile")
        say("a change event went from the rule to Permit; too many departures at once were refused")

    def waiting(self):
        """All messages of the queue, in the form that Lambda hands over."""
        sqs = self.client("sqs")
        url = self.configuration("post-authentication")["Environment"]["Variables"]["RECONCILE_QUEUE_URL"]
        records = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                records.append({"messageId": message["MessageId"], "body": message["Body"], "eventSource": "aws:sqs", "attributes": {}})
        return records

    def queue(self):
        """Gives `reconcile` what the sign-ins above queued, and one message that is not readable."""
        sqs = self.client("sqs")
        url = self.configuration("post-authentication")["Environment"]["Variables"]["RECONCILE_QUEUE_URL"]
        sqs.send_message(QueueUrl=url, MessageBody="not JSON")
        records = self.waiting()
        check(len(records) >= 2, f"sign-ins waited in the queue: {len(records)}")
        self.function("reconcile")
        status, answer = self.invoke("reconcile", {"Records": records})
        check(status == 200 and answer == {"batchItemFailures": []}, f"reconcile settles all: {answer}")
        self.stop("reconcile")
        dead = self.configuration("reconcile")["Environment"]["Variables"]["DEAD_LETTER_QUEUE_URL"]
        check(len(sqs.receive_message(QueueUrl=dead).get("Messages", [])) == 1, "poison is set aside")

    def metrics(self):
        printed = set()
        for log in self.logs.values():
            for line in log.read_text().splitlines():
                try:
                    document = json.loads(line)
                except ValueError:
                    continue
                for directive in document.get("_aws", {}).get("CloudWatchMetrics", []):
                    for dimensions in directive["Dimensions"]:
                        values = frozenset((name, document[name]) for name in dimensions)
                        printed |= {(directive["Namespace"], metric["Name"], values) for metric in directive["Metrics"]}
        watched = self.watched()
        check(len(watched) > 20, f"alarms and widgets watch metrics: {len(watched)}")
        functions = {name for name in FUNCTIONS if self.configuration(name) is not None}
        missing = []
        for namespace, name, dimensions in sorted(watched, key=str):
            values = dict(dimensions)
            function = values.get("function", "").removeprefix("rehearsal-")
            if namespace != "PermitHandoff" or function not in functions:
                continue
            # The endpoint only refuses one token here: it counts sign-ins by the same code as the trigger.
            if function == "handoff" and name != "TokensRefused":
                continue
            if (namespace, name, frozenset(dimensions)) not in printed:
                missing.append(f"{name} {values}")
        check(not missing, "alarms or widgets watch what no program printed:\n  " + "\n  ".join(missing))
        say(f"the programs printed what {len(watched)} alarms' and widgets' metrics watch")

    def watched(self):
        cloudwatch = self.client("cloudwatch")
        found = set()
        for alarm in cloudwatch.describe_alarms(MaxRecords=100)["MetricAlarms"]:
            metrics = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
            for metric in metrics or [alarm]:
                dimensions = tuple((pair["Name"], pair["Value"]) for pair in metric.get("Dimensions", []))
                found.add((metric["Namespace"], metric["MetricName"], dimensions))
        body = json.loads(cloudwatch.get_dashboard(DashboardName="rehearsal")["DashboardBody"])
        for widget in body["widgets"]:
            previous = []
            for row in widget["properties"].get("metrics", []):
                own = [value for value in row if isinstance(value, str)]
                if own and own[0] == "...":
                    own = previous[: len(previous) - len(own) + 1] + own[1:]
                own = [previous[place] if value == "." else value for place, value in enumerate(own)]
                found.add((own[0], own[1], tuple(zip(own[2::2], own[3::2]))))
                previous = own
        return found

    # ------------------------------------------------------------ Means

    def configuration(self, function):
        client = self.client("lambda")
        try:
            return client.get_function_configuration(FunctionName=f"rehearsal-{function}")
        except client.exceptions.ResourceNotFoundException:
            return None

    def parameter(self, name):
        [stack] = self.client("cloudformation").describe_stacks(StackName="rehearsal")["Stacks"]
        return next(pair["ParameterValue"] for pair in stack["Parameters"] if pair["ParameterKey"] == name)

    def lambda_service(self):
        if hasattr(self, "lambda_url"):
            return
        folder = self.folder / "lambda"
        folder.mkdir()
        names = [f"rehearsal-{name}" for name in FUNCTIONS]
        binaries = "".join(f'\n[[bin]]\nname = "{name}"\npath = "{name}.rs"\n' for name in names)
        (folder / "Cargo.toml").write_text(f'[package]\nname = "functions"\n\n[workspace]\n{binaries}')
        command = [VENV / "cargo-lambda", "lambda", "watch", "-A", "127.0.0.1", "-P", str(self.lambda_port), "--only-lambda-apis"]
        self.start("cargo-lambda", command, self.lambda_port, cwd=folder, env=os.environ | {"CARGO_NET_OFFLINE": "true"})
        self.lambda_url = f"http://127.0.0.1:{self.lambda_port}"

    def log(self, name):
        log = self.folder / f"{name}-{len(self.logs)}.log"
        self.logs[name, len(self.logs)] = log
        return log

    def function(self, name, more=None):
        """Starts a program with the environment of its function."""
        log = self.log(name)
        with log.open("w") as output:
            process = subprocess.Popen([BUILT / name], env=self.settings(name) | (more or {}), stdout=output, stderr=output)
        started.append(process)
        self.running = (name, process, log)

    def settings(self, name):
        """The environment of a function, with its layer unpacked, and the variables that AWS adds."""
        configuration = self.configuration(name)
        layer = self.folder / "opt"
        shutil.unpack_archive(self.door.layer_zip(configuration["Layers"][0]["Arn"]), layer, "zip")
        settings = dict(configuration["Environment"]["Variables"])
        # Lambda unpacks layers into /opt.
        settings["HANDOFF_POLICY_FILE"] = settings["HANDOFF_POLICY_FILE"].replace("/opt/", f"{layer}/")
        lambda_gives = {
            "AWS_LAMBDA_RUNTIME_API": f"http://127.0.0.1:{self.lambda_port}/.rt/rehearsal-{name}",
            "AWS_LAMBDA_FUNCTION_NAME": configuration["FunctionName"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "local",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_ENDPOINT_URL": self.moto,
        }  # fmt: skip
        return lambda_gives | settings

    def stop(self, name):
        running, process, log = self.running
        assert running == name
        check(process.poll() is None, f"{name} still runs: {log.read_text()[-2000:]}")
        process.terminate()
        process.wait(10)
        started.remove(process)

    def invoke(self, name, event):
        return self.call("POST", f"{self.lambda_url}/2015-03-31/functions/rehearsal-{name}/invocations", event, may_fail=True)

    def event(self, pool):
        jane = self.client("cognito-idp").admin_get_user(UserPoolId=pool, Username="jane")
        event = json.loads((ROOT / "events/post-authentication.json").read_text())
        event |= {"userPoolId": pool, "region": REGION, "userName": "jane"}
        event["request"]["userAttributes"] = {pair["Name"]: pair["Value"] for pair in jane["UserAttributes"]}
        return event

    def permit_users(self):
        users = self.call("GET", f"{self.permit}/_sandbox/state")[1]["users"]
        return list(users)

    def fault(self, fault):
        rehearsal = self

        class Fault:
            def __enter__(self):
                rehearsal.call("POST", f"{rehearsal.permit}/_sandbox/faults", fault)

            def __exit__(self, *_):
                rehearsal.call("DELETE", f"{rehearsal.permit}/_sandbox/faults")

        return Fault()

    def client(self, service):
        url = self.moto
        return boto3.client(service, region_name=REGION, endpoint_url=url, aws_access_key_id="local",
                            aws_secret_access_key="local", config=Config(retries={"max_attempts": 1}))  # fmt: skip

    def call(self, method, url, body=None, may_fail=False, key=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        check(may_fail or status < 300, f"{method} {url}: {status} {text[:500]}")
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def sh(self, command, answers=None, typed=None, expect=(0,)):
        environment = dict(self.environment)
        given = typed
        if answers is not None:
            environment["DEPLOY_ANSWERS_ON_STDIN"] = "1"
            given = "".join(f"{answer}\n" for answer in answers)
        done = subprocess.run(["bash", "-c", command], cwd=self.checkout, env=environment, input=given or "", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)  # fmt: skip
        check(done.returncode in expect, f"$ {command}\nended with {done.returncode}:\n{done.stdout[-4000:]}")
        return done.stdout

    def start(self, name, command, port, **options):
        log = self.folder / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, **options)
        started.append(process)
        for _ in range(600):
            check(process.poll() is None, f"{name} ended: {log.read_text()[-2000:]}")
            if listens(int(port)):
                return
            time.sleep(0.1)
        raise SystemExit(f"{name} does not listen")


class Door:
    """A proxy of moto's Lambda for the one call that it lacks: GetLayerVersion by ARN, and the zip that it points to."""

    def __init__(self, rehearsal):
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                door.answer(self, rehearsal)

            def log_message(self, *_):
                pass

        self.rehearsal = rehearsal
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def answer(self, request, rehearsal):
        url = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/2018-10-31/layers" and query.get("find") == "LayerVersion":
            body = json.dumps({"Content": {"Location": f"{self.url}/zip?arn={query['Arn']}"}}).encode()
        elif url.path == "/zip":
            body = Path(self.layer_zip(query["arn"])).read_bytes()
        else:
            status, answer = self.pass_on(request)
            request.send_response(status)
            request.send_header("content-length", str(len(answer)))
            request.end_headers()
            request.wfile.write(answer)
            return
        request.send_response(200)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def pass_on(self, request):
        check("AWS4-HMAC-SHA256" in request.headers.get("authorization", ""), "the call is signed")
        passed = urllib.request.Request(self.rehearsal.moto + request.path, headers=dict(request.headers))
        passed.headers.pop("Host", None)
        try:
            with urllib.request.urlopen(passed, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def layer_zip(self, arn):
        name, version = arn.split(":")[-2:]
        layer = self.rehearsal.client("lambda").get_layer_version(LayerName=name, VersionNumber=int(version))
        check(layer["LayerVersionArn"] == arn, f"the layer is there: {arn}")
        # moto keeps the zip where `sam package` put it. The stack's template says where.
        zipped = self.rehearsal.folder / "layer.zip"
        place = json.loads((self.rehearsal.checkout / "layer-place.json").read_text())
        self.rehearsal.client("s3").download_file(place["bucket"], place["key"], str(zipped))
        return str(zipped)


def check(holds, what):
    if not holds:
        raise SystemExit(f"rehearsal: this does not hold: {what}")


def say(text):
    print(f"  {text}", flush=True)


def listens(port):
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
    print("the rehearsal went well")
