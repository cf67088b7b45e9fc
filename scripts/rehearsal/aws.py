"""The part of the AWS CLI that the guide uses, on boto3: `aws SERVICE OPERATION --parameter value`."""

import json
import sys

import boto3
import botocore.exceptions
from botocore import xform_name

service, operation, *rest = sys.argv[1:]
options = {}
for word in rest:
    if word.startswith("--"):
        name = word
        options[name] = []
    else:
        options[name].append(word)
region = options.pop("--region", [None])[0]
profile = options.pop("--profile", [None])[0]
options.pop("--output", None)
client = boto3.Session(profile_name=profile, region_name=region).client(service)
method = operation.replace("-", "_")
model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
shapes = model.input_shape.members if model.input_shape else {}
members = {xform_name(name, "-"): (name, shape) for name, shape in shapes.items()}


def value(shape, words):
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "list":
        if shape.member.type_name != "structure":
            return words
        pairs = [dict(part.split("=", 1) for part in word.split(",")) for word in words]
        return [{key: text == "true" if text in ("true", "false") else text for key, text in pair.items()} for pair in pairs]
    text = " ".join(words)
    return open(text.removeprefix("file://")).read() if text.startswith("file://") else text


parameters = {members[name[2:]][0]: value(members[name[2:]][1], words) for name, words in options.items()}
try:
    answer = getattr(client, method)(**parameters)
except botocore.exceptions.ClientError as error:
    sys.exit(f"An error occurred: {error}")
answer.pop("ResponseMetadata", None)
print(json.dumps(answer, default=str))
