#!/usr/bin/env python3
"""Writes template.release.yaml: template.yaml for people who build nothing.

  scripts/release-template.py VERSION FOLDER [OUTPUT]

FOLDER has the release's zips, post-authentication-arm64.zip and so on. The functions take their code from a bucket of the
user's own, where each zip is stored under its checksum, so the template runs only the code of this release. The template contains
the state machine. YAML's anchors are written out in full, since CloudFormation does not accept them.
scripts/release-deploy.sh, which is in the release too, uploads and deploys.
"""

import hashlib
import json
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = {
    "PostAuthenticationFunction": "post-authentication",
    "HandoffFunction": "handoff",
    "ReconcileFunction": "reconcile",
    "BulkSyncFunction": "bulk-sync",
}  # fmt: skip
ARCHITECTURES = ["arm64", "x86_64"]


class Tagged:
    """A value with one of CloudFormation's short tags."""

    def __init__(self, tag, value):
        self.tag, self.value = tag, value


class Loader(yaml.SafeLoader):
    pass


class Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _):
        return True


def load_tag(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return Tagged(f"!{suffix}", loader.construct_scalar(node))
    if isinstance(node, yaml.SequenceNode):
        return Tagged(f"!{suffix}", loader.construct_sequence(node, deep=True))
    return Tagged(f"!{suffix}", loader.construct_mapping(node, deep=True))


def dump_tag(dumper, tagged):
    if isinstance(tagged.value, str):
        style = "|" if "\n" in tagged.value else '"'
        return dumper.represent_scalar(tagged.tag, tagged.value, style=style)
    if isinstance(tagged.value, list):
        return dumper.represent_sequence(tagged.tag, tagged.value, flow_style=True)
    return dumper.represent_mapping(tagged.tag, tagged.value)


Loader.add_multi_constructor("!", load_tag)
Dumper.add_representer(Tagged, dump_tag)


def main(version, folder, output="template.release.yaml"):
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader=Loader)
    template["Description"] += f" Release {version}."
    template["Parameters"] |= {
        "CodeBucket": {"Type": "String", "Description": "Your bucket, in the region of this stack, with the release's zips (deploy.sh puts them there)."},
        "CodePrefix": {"Type": "String", "Default": "permit-handoff/", "Description": "Folder in that bucket, with / at its end."},
        "PolicyZip": {
            "Type": "String",
            "AllowedPattern": r"^.+\.zip$",
            "Description": "Key, in the same bucket, of a zip with policy.toml in it (deploy.sh makes it; another policy has another name).",
        },
    }  # fmt: skip
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    groups.insert(0, {"Label": {"default": "Release"}, "Parameters": ["CodeBucket", "CodePrefix", "PolicyZip"]})
    # A key of a mapping may have only letters and digits.
    template["Mappings"]["Zips"] = {
        architecture.replace("_", ""): {
            function.replace("-", ""): f"{checksum(folder, function, architecture)}.zip" for function in FUNCTIONS.values()
        }
        for architecture in ARCHITECTURES
    }
    template["Conditions"]["IsArm"] = Tagged("!Equals", [Tagged("!Ref", "Architecture"), "arm64"])
    template["Globals"]["Function"].pop("CodeUri")
    resources = template["Resources"]
    for logical, function in FUNCTIONS.items():
        resource = resources[logical]
        metadata = {key: value for key, value in resource["Metadata"].items() if key not in ("BuildMethod", "BuildProperties")}
        resource["Metadata"] = metadata
        zips = [
            Tagged("!Sub", ["${CodePrefix}${Zip}", {"Zip": Tagged("!FindInMap", ["Zips", name.replace("_", ""), function.replace("-", "")])}])
            for name in ARCHITECTURES
        ]
        resource["Properties"] = {
            "CodeUri": {"Bucket": Tagged("!Ref", "CodeBucket"), "Key": Tagged("!If", ["IsArm", *zips])},
            **resource["Properties"],
        }
    resources["PolicyLayer"]["Properties"]["ContentUri"] = {"Bucket": Tagged("!Ref", "CodeBucket"), "Key": Tagged("!Ref", "PolicyZip")}
    machine = resources["BulkSyncStateMachine"]["Properties"]
    machine["Definition"] = json.loads((ROOT / machine.pop("DefinitionUri")).read_text())
    heading = f"# permit-handoff {version}, made from template.yaml by the release. Not to be edited: docs/deploy.md, \"Without Rust\".\n"
    text = yaml.dump(template, Dumper=Dumper, sort_keys=False, width=130, allow_unicode=True)
    Path(output).write_text(heading + text)


def checksum(folder, function, architecture):
    return hashlib.sha256((Path(folder) / f"{function}-{architecture}.zip").read_bytes()).hexdigest()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
