#!/usr/bin/env python3
"""Compares terraform/ with template.yaml: rights, settings, limits, alarms, and the defaults of parameters in both.

Runs in checkov's environment, which has the parser of Terraform's language. `make lint` runs it.
"""

import re
import sys
from pathlib import Path

import hcl2
import yaml

ROOT = Path(__file__).resolve().parent.parent
# Only in template.yaml: the endpoint, which needs an HTTP API, and what only SAM has.
ENDPOINT = {"HttpEndpoint", "HandoffAllowedOrigins"}
ALARMS_OF_TEMPLATE = {"handoff-errors"}
ROLES = {
    "post-authentication": "PostAuthenticationRole",
    "reconcile": "ReconcileRole",
    "bulk-sync": "BulkSyncRole",
    "state-machine": "BulkSyncStateMachineRole",
    "schedule": "BulkSyncScheduleRole",
}  # fmt: skip
FUNCTIONS = {
    "post-authentication": "PostAuthenticationFunction",
    "reconcile": "ReconcileFunction",
    "bulk-sync": "BulkSyncFunction",
}  # fmt: skip
QUEUES = {"overflow": "OverflowQueue", "overflow-dead": "OverflowDeadLetters", "schedule-dead": "ScheduleDeadLetters"}

faults = []


def same(what, terraform, template):
    if terraform != template:
        faults.append(f"{what}:\n    terraform      {terraform}\n    template.yaml  {template}")


def main():
    locals_, variables = {}, {}
    for file in sorted((ROOT / "terraform").glob("*.tf")):
        parsed = hcl2.loads(file.read_text())
        for block in parsed.get("locals", []):
            locals_.update(plain(block))
        for block in parsed.get("variable", []):
            variables.update(plain(block))
    template = Template(yaml.load((ROOT / "template.yaml").read_text(), Loader=Loader))
    rights(locals_, template)
    functions(locals_, template)
    queues(locals_, template)
    alarms(locals_, template)
    changes(locals_, template)
    parameters(variables, template)
    others(template)
    if faults:
        print("terraform/ and template.yaml say different things:\n  " + "\n  ".join(faults))
        return 1
    print("terraform/ and template.yaml say the same rights, settings, limits and alarms")
    return 0


def plain(value):
    """hcl2's values, without its one-item lists and its quotes."""
    if isinstance(value, dict):
        return {str(key).strip('"'): plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        items = [plain(item) for item in value]
        return items[0] if len(items) == 1 and isinstance(items[0], (dict, int, float, bool)) else items
    return value.strip('"') if isinstance(value, str) else value


class Loader(yaml.SafeLoader):
    pass


def tag(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", tag)


class Template(dict):
    def properties(self, name):
        return self["Resources"][name]["Properties"]


def rights(locals_, template):
    same("the roles", sorted(locals_["rights"]), sorted(ROLES))
    for part, role in ROLES.items():
        found = {}
        for policy in template.properties(role)["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
                word = resource(statement["Resource"])
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                if word != "logs":
                    found.setdefault(word, set()).update(actions)
        terraform = {word: set(actions) for word, actions in locals_["rights"][part].items()}
        same(f"the rights of {part}", sorted_sets(terraform), sorted_sets(found))
        principal = template.properties(role)["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
        same(f"who takes on the role of {part}", locals_["trust"][part] + ".amazonaws.com", principal)


def sorted_sets(sets):
    return {key: sorted(value) for key, value in sorted(sets.items())}


def resource(value):
    text = str(value)
    for part, word in [
        ("Logs.Arn", "logs"), ("PermitApiKeySecret", "secret"), ("userpool/", "pool"), ("OverflowQueue.Arn", "queue"),
        ("OverflowDeadLetters", "dead-letters"), ("ScheduleDeadLetters", "schedule-dead"), ("BulkSyncFunction", "function"),
        ("BulkSyncStateMachine", "state-machine"), ("stateMachine:", "state-machine"), ("KmsKeyArn", "key"),
    ]:  # fmt: skip
        if part in text:
            return word
    sys.exit(f"template.yaml grants something on {text}, which this script cannot name")


def functions(locals_, template):
    same("the functions", sorted(locals_["functions"]), sorted(FUNCTIONS))
    shared = set(template["Globals"]["Function"]["Environment"]["Variables"])
    same("settings of every function", sorted(locals_["shared_environment"]), sorted(shared))
    for name, logical in FUNCTIONS.items():
        properties, ours = template.properties(logical), locals_["functions"][name]
        same(f"memory of {name}", ours["memory"], properties["MemorySize"])
        same(f"time-out of {name}", ours["timeout"], properties["Timeout"])
        same(f"settings of {name}", sorted(ours["environment"]), sorted(properties["Environment"]["Variables"]))
    shares = {parts: share["BulkShare"] for parts, share in template["Mappings"]["PartsAtOnce"].items()}
    same("bulk shares", locals_["bulk_share"], shares)
    event = template.properties("ReconcileFunction")["Events"]["Overflow"]["Properties"]
    text = (ROOT / "terraform/main.tf").read_text()
    for word, value in [
        ("batch_size", event["BatchSize"]),
        ("maximum_batching_window_in_seconds", event["MaximumBatchingWindowInSeconds"]),
        ("maximum_concurrency", event["ScalingConfig"]["MaximumConcurrency"]),
        ("maxReceiveCount", template.properties("OverflowQueue")["RedrivePolicy"]["maxReceiveCount"]),
        ("maximum_retry_attempts", template.properties("BulkSyncSchedule")["Target"]["RetryPolicy"]["MaximumRetryAttempts"]),
        ("maximum_event_age_in_seconds", template.properties("BulkSyncSchedule")["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"]),
    ]:  # fmt: skip
        found = re.search(rf"\b{word}\s*=\s*(\d+)", text)
        same(word, found and int(found[1]), value)


def queues(locals_, template):
    for name, logical in QUEUES.items():
        properties, ours = template.properties(logical), locals_["queues"][name]
        same(f"retention of {name}", ours["retention"], properties["MessageRetentionPeriod"])
        same(f"visibility of {name}", ours["visibility"], properties.get("VisibilityTimeout", 30))


def alarms(locals_, template):
    theirs = {}
    for resource_ in template["Resources"].values():
        if resource_["Type"] == "AWS::CloudWatch::Alarm":
            properties = resource_["Properties"]
            theirs[properties["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")] = properties
    ours = {**locals_["alarms"], **locals_["math_alarms"]}
    same("the alarms", sorted(ours), sorted(set(theirs) - ALARMS_OF_TEMPLATE))
    for name in sorted(set(ours) & set(theirs)):
        alarm, properties = {**locals_["usual"], **ours[name]}, theirs[name]
        for word, value in [
            ("description", properties["AlarmDescription"]), ("threshold", properties["Threshold"]),
            ("comparison", properties["ComparisonOperator"]), ("periods", properties["EvaluationPeriods"]),
            ("missing", properties["TreatMissingData"]),
        ]:  # fmt: skip
            same(f"{word} of the alarm {name}", alarm[word], value)
        if "Metrics" not in properties:
            dimensions = {pair["Name"] for pair in properties["Dimensions"]}
            outcome = {pair["Value"] for pair in properties["Dimensions"] if pair["Name"] == "outcome"}
            same(f"metric of {name}", (alarm["namespace"], alarm["metric"]), (properties["Namespace"], properties["MetricName"]))
            same(f"statistic of {name}", alarm["statistic"], properties.get("Statistic") or properties["ExtendedStatistic"])
            same(f"period of {name}", alarm["period"], properties["Period"])
            same(f"dimensions of {name}", sorted(alarm["dimensions"]), sorted(dimensions))
            same(f"outcome of {name}", {alarm["dimensions"].get("outcome")} - {None}, outcome)
            continue
        expression = next(metric["Expression"] for metric in properties["Metrics"] if "Expression" in metric)
        # The endpoint is only in template.yaml.
        same(f"expression of {name}", alarm["expression"], expression.replace("FILL(endpoint, 0) + ", ""))
        metrics = {metric["Id"]: metric["MetricStat"] for metric in properties["Metrics"] if "MetricStat" in metric}
        metrics.pop("endpoint", None)
        same(f"metrics of {name}", sorted(alarm["metrics"]), sorted(metrics))
        for id_, metric in metrics.items():
            one = alarm["metrics"][id_]
            same(f"{id_} of {name}", (alarm["namespace"], one["metric"], alarm["period"], sorted(one["dimensions"])),
                 (metric["Metric"]["Namespace"], metric["Metric"]["MetricName"], metric["Period"],
                  sorted(pair["Name"] for pair in metric["Metric"]["Dimensions"])))  # fmt: skip


def changes(locals_, template):
    rule = template.properties("ChangeRule")
    detail = rule["EventPattern"]["detail"]
    [calls] = locals_["change_events"]
    same("calls that lead to a look", calls, detail["eventName"])
    block = re.search(r'resource "aws_cloudwatch_event_rule" "changes" \{.*?\n\}\n', (ROOT / "terraform/main.tf").read_text(), re.S)[0]
    for word in [*rule["EventPattern"]["source"], *rule["EventPattern"]["detail-type"], *detail["eventSource"]]:
        same("the rule for changes", f'["{word}"]' in block, True)
    retry = rule["Targets"][0]["RetryPolicy"]
    text_ = (ROOT / "terraform/main.tf").read_text()
    for word, value in [("maximum_retry_attempts", retry["MaximumRetryAttempts"]), ("maximum_event_age_in_seconds", retry["MaximumEventAgeInSeconds"])]:
        same(f"{word} of changes", bool(re.search(rf"{word}\s*=\s*{value}\b", text_)), True)


def parameters(variables, template):
    theirs = {snake(name): spec for name, spec in template["Parameters"].items() if name not in ENDPOINT}
    ours = {name: spec for name, spec in variables.items() if name not in ("name", "packages", "policy_file")}
    same("the parameters", sorted(ours), sorted(theirs))
    for name in sorted(set(ours) & set(theirs)):
        # `None` if the parameter has no default.
        default, other = text(ours[name].get("default")), text(theirs[name].get("Default"))
        same(f"default of {name}", default, other)


def text(default):
    if isinstance(default, list):
        default = default[0] if default else ""
    return None if default is None else "" if default == [] else str(default).lower()


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def others(template):
    """Every resource in template.yaml is either in terraform/ or left out on purpose."""
    endpoint = {"HandoffFunction", "HandoffApi", "HandoffAccessLogs", "HandoffRole", "HandoffLogs"}
    known = (
        set(ROLES.values()) | set(FUNCTIONS.values()) | set(QUEUES.values()) | endpoint
        | {"ChangeRule", "PolicyLayer", "PermitApiKeySecret", "CognitoPermission", "QueuePolicy", "BulkSyncStateMachine", "BulkSyncSchedule", "Dashboard"}
    )  # fmt: skip
    for name, resource_ in template["Resources"].items():
        is_known = name in known or name.endswith("Logs") or resource_["Type"] == "AWS::CloudWatch::Alarm"
        if not is_known:
            faults.append(f"template.yaml has {name} ({resource_['Type']}), and this script does not know what stands for it")


if __name__ == "__main__":
    sys.exit(main())
