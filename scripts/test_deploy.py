#!/usr/bin/env python3
"""Tests what scripts/deploy.py reads, writes and refuses. `make test` runs it. The rehearsal covers the rest."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import deploy  # noqa: E402

RIGHT = {"UserPoolId": "eu-west-1_AbCdEf123", "Architecture": "x86_64"}
ROOT = Path(__file__).resolve().parent.parent


def stack(name="permit-handoff", region="eu-west-1", **parameters):
    return deploy.Stack("default", {"stack_name": name, "region": region}, RIGHT | parameters)


class Deploy(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.before = deploy.CONFIG
        deploy.CONFIG = Path(self.folder.name) / "samconfig.toml"
        self.addCleanup(lambda: setattr(deploy, "CONFIG", self.before))

    def refused(self, stack_, *words):
        with self.assertRaises(deploy.Wrong) as caught:
            stack_.check()
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_what_is_right_passes(self):
        stack().check()
        stack("a" * 44).check()
        stack(Schedule="cron(0 3 * * ? *)", VpcSubnetIds="subnet-1,subnet-2", VpcSecurityGroupIds="sg-1").check()

    def test_what_would_fail_late_is_refused_early(self):
        self.refused(stack("a" * 45), "44")
        self.refused(stack("1st"), "letter")
        self.refused(stack(region="us-east-1"), "eu-west-1", "region")
        self.refused(stack(UserPoolId="people"), "eu-west-1_AbCdEf123")
        self.refused(stack(VpcSubnetIds="subnet-1"), "VpcSecurityGroupIds")
        self.refused(stack(VpcSecurityGroupIds="sg-1"), "VpcSubnetIds")
        self.refused(stack(Architecture="arm"), "x86_64")

    def test_the_longest_name_fits_every_function(self):
        for function in deploy.FUNCTIONS:
            self.assertLessEqual(deploy.LONGEST_STACK + 1 + len(function), 64, function)

    def test_a_schedule_cut_at_a_blank_is_noticed(self):
        deploy.CONFIG.write_text(
            '[default.global.parameters]\nstack_name = "s"\nregion = "eu-west-1"\n[default.deploy.parameters]\n'
            'parameter_overrides = ["UserPoolId=eu-west-1_A", "Schedule=cron(0 3 * * ? *)"]\n'
        )
        self.refused(deploy.Stack.read("default"), "Schedule", "quotes of its own")

    def test_what_is_written_is_read_by_us(self):
        parameters = RIGHT | {
            "Schedule": "cron(0 3 * * ? *)",
            "HandoffAllowedOrigins": 'https://a.example, "b c"',
            "PermitPdpUrl": "",
            "Odd": 'back\\slash "quoted" x',
        }
        deploy.write("default", {"stack_name": "one", "region": "eu-west-1"}, parameters)
        deploy.write("prod", {"stack_name": "two", "region": "eu-west-1", "profile": "live"}, RIGHT)
        read = deploy.Stack.read("default")
        self.assertEqual((read.name, read.region, read.profile), ("one", "eu-west-1", ""))
        self.assertEqual(read.parameters, parameters)
        prod = deploy.Stack.read("prod")
        self.assertEqual((prod.name, prod.profile, prod.parameters), ("two", "live", RIGHT))
        self.assertIsNone(deploy.Stack.read("dev"))

    def test_what_is_written_is_read_by_sam_in_the_same_way(self):
        python = ROOT / ".local/lint/bin/python"
        parameters = RIGHT | {"Schedule": "cron(0 3 * * ? *)", "VpcSubnetIds": "subnet-1,subnet-2", "PermitPdpUrl": ""}
        deploy.write("default", {"stack_name": "one", "region": "eu-west-1"}, parameters)
        program = (
            "import json, sys, tomllib\nfrom samcli.cli.types import CfnParameterOverridesType as T\n"
            "items = tomllib.load(open(sys.argv[1], 'rb'))['default']['deploy']['parameters']['parameter_overrides']\n"
            "print(json.dumps(T().convert(tuple(items), None, None)))"
        )
        done = subprocess.run([python, "-c", program, deploy.CONFIG], stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual(__import__("json").loads(done.stdout), parameters)

    def test_one_parameter_is_set_and_every_other_line_stays(self):
        text = (ROOT / "samconfig.toml.example").read_text()
        deploy.CONFIG.write_text(text)
        for state in ("ENABLED", "DISABLED", "ENABLED"):
            deploy.keep_in_config(deploy.Stack.read("default"), "ScheduleState", state)
            read = deploy.Stack.read("default")
            self.assertEqual(read.parameters["ScheduleState"], state)
            self.assertEqual(read.parameters["UserPoolId"], "eu-west-1_AbCdEf123")
        now = deploy.CONFIG.read_text()
        self.assertEqual([line for line in now.splitlines() if "ScheduleState" not in line], text.splitlines())

    def test_the_example_is_right(self):
        deploy.CONFIG.write_text((ROOT / "samconfig.toml.example").read_text())
        deploy.Stack.read("default").check()

    def test_everybody_is_told_to_install_the_command_line_alone_and_locked(self):
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / "scripts/deploy.py"]:
            for line in page.read_text().splitlines():
                if "cargo install --path" in line:
                    self.assertIn("cargo install --path . --locked --bin permit-handoff", line, page)

    def test_a_rollback_deploys_what_was_deployed_before_as_it_was_built(self):
        folder = Path(self.folder.name)
        before = os.getcwd(), deploy.KEPT, deploy.TEMPLATE, deploy.run_or_fail
        os.chdir(folder)
        deploy.KEPT, deploy.TEMPLATE = folder / ".deploy", folder / ".deploy.template.yaml"
        deployed = []

        def sam(command, _):
            template = Path(command[command.index("--template-file") + 1])
            files = [*(f"target/lambda/{name}/bootstrap" for name in deploy.FUNCTIONS), "policy/policy.toml", "state-machine/x.json"]
            deployed.append([template.read_text(), *((template.parent / file).read_text() for file in files)])

        deploy.run_or_fail = sam
        try:
            with self.assertRaises(deploy.Wrong) as caught:
                deploy.rollback(stack(), False)
            self.assertIn("DetachCommand", str(caught.exception))
            for version in ("one", "two", "three"):
                for part in [*(f"target/lambda/{name}" for name in deploy.FUNCTIONS), "policy", "state-machine"]:
                    Path(part).mkdir(parents=True, exist_ok=True)
                    name = {"policy": "policy.toml", "state-machine": "x.json"}.get(part, "bootstrap")
                    (Path(part) / name).write_text(version)
                deploy.TEMPLATE.write_text(version)
                deploy.deploy(stack(), False, deploy.TEMPLATE)
                deploy.keep(stack())
            Path("policy/policy.toml").write_text("not deployed yet")
            for version in ("two", "three", "two"):
                deploy.rollback(stack(), False)
                self.assertEqual(set(deployed[-1]), {version})
        finally:
            os.chdir(before[0])
            deploy.KEPT, deploy.TEMPLATE, deploy.run_or_fail = before[1:]

    def test_without_a_terminal_nothing_is_asked(self):
        environment = {name: value for name, value in os.environ.items() if name != "DEPLOY_ANSWERS_ON_STDIN"}
        done = subprocess.run(
            [sys.executable, ROOT / "scripts/deploy.py", "--env", "nowhere", "deploy"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertIn("samconfig.toml.example", done.stdout)


if __name__ == "__main__":
    unittest.main()
