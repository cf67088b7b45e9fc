#!/usr/bin/env python3
"""Deploys a stack: asks on the first run, checks everything it can first, builds, deploys, names the next steps.

  scripts/deploy.py [--env NAME] deploy [--yes]     what `make deploy` runs; --yes asks nothing (CI)
  scripts/deploy.py [--env NAME] check              the checks alone
  scripts/deploy.py [--env NAME] rollback           back to the deployment before, without a build
  scripts/deploy.py [--env NAME] outputs            the next steps and addresses again
  scripts/deploy.py [--env NAME] enable-schedule    the nightly bulk sync on (disable-schedule: off)

--env is a section of samconfig.toml: [NAME.deploy.parameters]. Without it, NAME is `default`. The policy is in the folder
policy/NAME if it exists, else in policy/. Downloads nothing.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "samconfig.toml"
TEMPLATE = ROOT / ".deploy.template.yaml"
# Holds the latest two deployments of each stack, as built.
KEPT = ROOT / ".deploy"
FUNCTIONS = ["post-authentication", "handoff", "reconcile", "bulk-sync"]
TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}
POOL = re.compile(r"^([a-z]{2}(?:-[a-z]+)+-[0-9]+)_[0-9A-Za-z]+$")
STACK = re.compile(r"^[A-Za-z][-A-Za-z0-9]*$")
# Lambda's names have at most 64 characters. This is our longest suffix.
LONGEST_STACK = 64 - len("-post-authentication")
PERMIT = {"us": "https://api.permit.io", "eu": "https://api.eu.permit.io"}


class Wrong(Exception):
    """What is wrong and what to do."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="default")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("command", choices=["deploy", "check", "rollback", "outputs", "enable-schedule", "disable-schedule"])
    arguments = parser.parse_args()
    os.chdir(ROOT)
    try:
        if not re.fullmatch(r"[a-z0-9_-]+", arguments.env):
            raise Wrong(f"--env {arguments.env}: use small letters, digits, - and _")
        run(arguments)
    except Wrong as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; run it again, and it goes on", file=sys.stderr)
        return 130
    return 0


def run(arguments):
    may_ask = sys.stdin.isatty() and not arguments.yes or bool(os.environ.get("DEPLOY_ANSWERS_ON_STDIN"))
    stack = Stack.read(arguments.env)
    if stack is None and arguments.command in ("deploy", "check"):
        if not may_ask:
            raise Wrong(
                f"samconfig.toml has no section [{arguments.env}.deploy.parameters] and there is nobody to ask: copy "
                "samconfig.toml.example to samconfig.toml and fill it in"
            )
        stack = ask(arguments.env)
    if stack is None:
        raise Wrong(f"samconfig.toml has no section [{arguments.env}.deploy.parameters]: run make deploy first")
    stack.check()
    if arguments.command == "outputs":
        outputs(stack)
    elif arguments.command == "rollback":
        rollback(stack, may_ask)
    elif arguments.command.endswith("-schedule"):
        schedule(stack, "ENABLED" if arguments.command == "enable-schedule" else "DISABLED")
    else:
        check(stack)
        if arguments.command == "deploy":
            build(stack)
            deploy(stack, may_ask, TEMPLATE)
            keep(stack)
            outputs(stack)


class Stack:
    """A section of samconfig.toml."""

    def __init__(self, env, settings, parameters):
        self.env = env
        self.name = settings.get("stack_name", "")
        self.region = settings.get("region", "")
        self.profile = settings.get("profile", "")
        self.parameters = parameters

    @staticmethod
    def read(env):
        if not CONFIG.exists():
            return None
        try:
            config = tomllib.loads(CONFIG.read_text())
        except tomllib.TOMLDecodeError as error:
            raise Wrong(f"samconfig.toml is not TOML: {error}") from error
        section = config.get(env, {})
        settings = section.get("global", {}).get("parameters", {}) | section.get("deploy", {}).get("parameters", {})
        if "stack_name" not in settings:
            return None
        return Stack(env, settings, overrides(settings.get("parameter_overrides", [])))

    @property
    def architecture(self):
        return self.parameters.get("Architecture", "arm64")

    @property
    def policy(self):
        """The policy's folder, as a path for the template."""
        own = Path("policy") / self.env
        return own if own.is_dir() else Path("policy")

    def check(self):
        """Raises `Wrong` for settings that would fail late, or deploy into the wrong place."""
        if not STACK.match(self.name) or len(self.name) > LONGEST_STACK:
            raise Wrong(
                f"stack_name `{self.name}`: use a letter, then letters, digits and -, at most {LONGEST_STACK} characters "
                "in all: the functions' names are made of it, and Lambda takes 64"
            )
        pool = self.parameters.get("UserPoolId", "")
        if not (match := POOL.match(pool)):
            raise Wrong(f"UserPoolId `{pool}`: it looks like eu-west-1_AbCdEf123 (Cognito console, User pool ID)")
        if match[1] != self.region:
            raise Wrong(
                f"the pool {pool} is in {match[1]} and samconfig.toml deploys to {self.region or 'no region'}: Cognito calls "
                f"functions of its own region alone, so set region = \"{match[1]}\""
            )
        if self.architecture not in TARGETS:
            raise Wrong(f"Architecture `{self.architecture}`: use arm64 or x86_64")
        subnets, groups = (self.parameters.get(name, "") for name in ("VpcSubnetIds", "VpcSecurityGroupIds"))
        if bool(subnets) != bool(groups):
            raise Wrong("VpcSubnetIds and VpcSecurityGroupIds: give both, or neither")
        schedule = self.parameters.get("Schedule")
        if schedule is not None and not re.fullmatch(r"(cron|rate)\(.+\)", schedule):
            raise Wrong(
                f"Schedule `{schedule}`: it looks like cron(0 3 * * ? *). Inside of samconfig.toml a value with blanks needs "
                "quotes of its own: 'Schedule=\"cron(0 3 * * ? *)\"'"
            )

    def aws(self, *arguments):
        """Calls the AWS CLI, and returns its JSON."""
        command = ["aws", *arguments, "--region", self.region, "--output", "json"]
        command += ["--profile", self.profile] if self.profile else []
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise Wrong(f"{' '.join(command[:3])}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else {}


def overrides(items):
    """Reads `parameter_overrides` as SAM does: a list of Key=Value, or one text of them. Quotes keep blanks together."""
    found = {}
    for item in [items] if isinstance(items, str) else items:
        for key, quoted, plain in re.findall(r"""([A-Za-z0-9]+)=(?:"((?:\\.|[^"\\])*)"|((?:\\.|[^\s"\\])*))""", item):
            found[key] = re.sub(r"\\(.)", r"\1", quoted or plain)
    return found


def override(key, value):
    """One line of `parameter_overrides`, as TOML."""
    inner = value.replace("\\", "\\\\").replace('"', '\\"')
    return json.dumps(f'{key}="{inner}"')


def ask(env):
    print("The first deployment. Four questions; the answers are kept in samconfig.toml, where the rest can be set.\n")
    pool = answer("Cognito user pool id, as in eu-west-1_AbCdEf123", "", lambda text: POOL.match(text))
    region = POOL.match(pool)[1]
    profile = answer("AWS profile (empty: the environment's credentials)", os.environ.get("AWS_PROFILE", ""), lambda _: True)
    side = answer("Permit in the US or the EU (us, eu)", "us", lambda text: text in PERMIT)
    default = "permit-handoff" if env == "default" else f"permit-handoff-{env}"
    name = answer("Name of the stack", default, lambda text: STACK.match(text) and len(text) <= LONGEST_STACK)
    parameters = {"UserPoolId": pool, "PermitApiUrl": PERMIT[side], "Architecture": architecture()}
    settings = {"stack_name": name, "region": region} | ({"profile": profile} if profile else {})
    write(env, settings, parameters)
    print(f"\nWrote samconfig.toml: the stack {name} in {region}. docs/deploy.md has the other parameters.\n")
    return Stack(env, settings, parameters)


def answer(question, default, is_right):
    while True:
        text = input(f"{question}{f' [{default}]' if default else ''}: ").strip() or default
        if is_right(text):
            return text
        print(f"  `{text}` is not right.")


def architecture():
    """arm64 if its target is installed or if none is, since it costs less; else the installed one."""
    installed = [name for name in TARGETS if has_target(name)]
    return "arm64" if "arm64" in installed or not installed else installed[0]


def write(env, settings, parameters):
    lines = [] if CONFIG.exists() else ["# docs/deploy.md explains the parameters.", "version = 0.1"]
    lines += ["", f"[{env}.global.parameters]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    lines += ["", f"[{env}.deploy.parameters]", 'capabilities = "CAPABILITY_IAM"', "resolve_s3 = true"]
    lines += [f's3_prefix = "{settings["stack_name"]}"', "confirm_changeset = true", "fail_on_empty_changeset = false"]
    lines += ["parameter_overrides = [", *(f"    {override(key, value)}," for key, value in parameters.items()), "]"]
    with CONFIG.open("a") as file:
        file.write("\n".join(lines).lstrip("\n") + "\n" if not CONFIG.exists() or CONFIG.stat().st_size == 0 else "\n".join(lines) + "\n")


def check(stack):
    step("tools")
    missing = []
    for program, how in [
        ("cargo", "https://rustup.rs"),
        ("cargo-lambda", "pip install cargo-lambda ziglang (or https://www.cargo-lambda.info)"),
        ("sam", "pip install aws-sam-cli"),
        ("aws", "https://docs.aws.amazon.com/cli (or pip install awscli)"),
    ]:
        if not shutil.which(program):
            missing.append(f"{program}: {how}")
    if not shutil.which("zig") and not any(run_quietly(python, "-m", "ziglang", "version") for python in ("python3", "python")):
        missing.append("zig: pip install ziglang")
    if missing:
        raise Wrong("these are not installed:\n  " + "\n  ".join(missing))
    if not has_target(stack.architecture):
        target = TARGETS[stack.architecture]
        other = next(name for name in TARGETS if name != stack.architecture)
        advice = f"rustup target add {target}" if shutil.which("rustup") else f"your distribution's Rust library for {target}"
        raise Wrong(
            f"Rust has no library for {target} here, and nothing is downloaded without your knowing. Install it ({advice}), "
            f"or build for the other processor: Architecture={other} in samconfig.toml"
        )
    step("policy")
    policy(stack)
    step("template")
    run_or_fail(["sam", "validate", "--lint", "--template", "template.yaml", "--region", stack.region], "template.yaml is wrong")
    step("account and pool")
    caller = stack.aws("sts", "get-caller-identity")
    print(f"  account {caller['Account']}, as {caller['Arn']}")
    pool = stack.aws("cognito-idp", "describe-user-pool", "--user-pool-id", stack.parameters["UserPoolId"])["UserPool"]
    print(f"  pool {pool['Name']} ({stack.parameters['UserPoolId']}), stack {stack.name} in {stack.region}")
    print(f"  Permit at {stack.parameters.get('PermitApiUrl', PERMIT['us'])}")


def policy(stack):
    file = stack.policy / "policy.toml"
    if not file.exists():
        raise Wrong(f"there is no {file}: it says who gets which role")
    program = command_line()
    os.environ["HANDOFF_POLICY_FILE"] = str(file)
    run_or_fail([*program, "policy", "check", str(file)], f"{file} is wrong")
    cases = stack.policy / "cases.toml"
    if cases.exists():
        run_or_fail([*program, "policy", "test", str(cases), "--policy-file", str(file)], f"{cases} fails")


def command_line():
    """The command line of this checkout's version: an installed or built one, or else a build."""
    version = tomllib.loads(Path("Cargo.toml").read_text())["workspace"]["package"]["version"]
    for program in ("permit-handoff", "target/release/permit-handoff", "target/debug/permit-handoff"):
        found = shutil.which(program)
        if found and run_quietly(found, "--version") == f"permit-handoff {version}":
            return [found]
    print("  building the command line once (some minutes; cargo install --path . --locked --bin permit-handoff keeps it)")
    return ["cargo", "run", "--quiet", "--locked", "--bin", "permit-handoff", "--"]


def has_target(architecture):
    folder = run_quietly("rustc", "--print", "target-libdir", "--target", TARGETS[architecture])
    return bool(folder) and any(Path(folder).glob("libcore-*.rlib"))


def build(stack):
    step(f"build: four functions for {stack.architecture}, at once (two to seven minutes the first time)")
    flag = "--arm64" if stack.architecture == "arm64" else "--x86-64"
    command = ["cargo", "lambda", "build", "--release", "--locked", "--no-default-features", "--skip-target-check", flag]
    for function in FUNCTIONS:
        command += ["--bin", function]
    run_or_fail(command, "the build failed")
    template = Path("template.yaml").read_text()
    for function in FUNCTIONS:
        name = f"      FunctionName: !Sub ${{AWS::StackName}}-{function}\n"
        if template.count(name) != 1:
            raise Wrong(f"template.yaml does not name the function {function} once")
        template = template.replace(name, f"      CodeUri: target/lambda/{function}/\n{name}")
    TEMPLATE.write_text(template.replace("ContentUri: policy/\n", f"ContentUri: {stack.policy}/\n"))


def deploy(stack, may_ask, template):
    step("deploy")
    command = ["sam", "deploy", "--config-file", str(CONFIG), "--config-env", stack.env, "--template-file", str(template)]
    command += ["--stack-name", stack.name, "--region", stack.region]
    command += [] if may_ask else ["--no-confirm-changeset"]
    # SAM prints the outputs in a table as wide as the terminal, cut inside words. Ours follow it.
    run_or_fail(command, "the deployment failed; CloudFormation has put back what was there before")


def keep(stack):
    """Keeps this deployment for a rollback. The one before it becomes `previous`."""
    current, previous = KEPT / stack.env / "current", KEPT / stack.env / "previous"
    if current.exists():
        shutil.rmtree(previous, ignore_errors=True)
        current.rename(previous)
    parts = [*(f"target/lambda/{function}" for function in FUNCTIONS), str(stack.policy), "state-machine"]
    for part in parts:
        shutil.copytree(part, current / part)
    shutil.copy(TEMPLATE, current / TEMPLATE.name)


def rollback(stack, may_ask):
    current, previous = KEPT / stack.env / "current", KEPT / stack.env / "previous"
    if not previous.exists():
        raise Wrong(
            f"no earlier deployment of {stack.name} was made from this folder. Check its version out and run make deploy, "
            "which builds it; until then the output DetachCommand takes the trigger out of the pool in seconds"
        )
    deployed = time.strftime("%Y-%m-%d %H:%M", time.localtime((previous / TEMPLATE.name).stat().st_mtime))
    step(f"back to the deployment of {deployed}: its functions, policy and template; the parameters stay")
    deploy(stack, may_ask, previous / TEMPLATE.name)
    aside = previous.with_name("aside")
    current.rename(aside)
    previous.rename(current)
    aside.rename(previous)
    print(f"{stack.name} is as of {deployed}. `make rollback` again goes forward again.")


def schedule(stack, state):
    described = stack.aws("cloudformation", "describe-stacks", "--stack-name", stack.name)["Stacks"][0]
    keep = [parameter["ParameterKey"] for parameter in described["Parameters"] if parameter["ParameterKey"] != "ScheduleState"]
    parameters = [f"ParameterKey={key},UsePreviousValue=true" for key in keep]
    parameters.append(f"ParameterKey=ScheduleState,ParameterValue={state}")
    stack.aws(
        "cloudformation", "update-stack", "--stack-name", stack.name, "--use-previous-template",
        "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameters", *parameters,
    )  # fmt: skip
    keep_in_config(stack, "ScheduleState", state)
    print(f"The schedule of {stack.name} is {state}; samconfig.toml says so too.")


def keep_in_config(stack, key, value):
    """Sets one parameter in the section, and leaves every other line as it is."""
    text = CONFIG.read_text()
    start = text.index(f"[{stack.env}.deploy.parameters]")
    place = re.compile(r"parameter_overrides\s*=\s*\[").search(text, start)
    if not place:
        raise Wrong(f"samconfig.toml: set {key}={value} in parameter_overrides of [{stack.env}.deploy.parameters] yourself")
    end = text.index("\n]", place.end()) if "\n]" in text[place.end():] else len(text)
    inside = re.sub(rf"""^[ \t]*['"]{key}=.*\n?""", "", text[place.end() : end + 1], flags=re.M)
    CONFIG.write_text(f"{text[: place.end()]}{inside.rstrip()}\n    {override(key, value)},{text[end:]}")


def outputs(stack):
    described = stack.aws("cloudformation", "describe-stacks", "--stack-name", stack.name)["Stacks"][0]
    found = sorted(described.get("Outputs", []), key=lambda output: output["OutputKey"])
    steps = [output for output in found if re.match(r"\d+\. ", output.get("Description", ""))]
    print(f"\n{stack.name}: next steps\n")
    for output in sorted(steps, key=lambda output: output["Description"]):
        print(f"{output['Description']}\n{output['OutputValue']}\n")
    print("Addresses and other commands\n")
    for output in found:
        if output not in steps:
            print(f"{output['OutputKey']}\n{output['OutputValue']}\n")


def step(text):
    print(f"== {text}", flush=True)


def run_quietly(*command):
    """What the command prints; "" if it fails or does not exist."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def run_or_fail(command, message):
    if subprocess.run(command, check=False).returncode:
        raise Wrong(f"{message} (it said why above): {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main())
