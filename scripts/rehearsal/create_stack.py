"""Transforms a packaged template as CloudFormation's macro does, and creates the stack in moto."""

import json
import os
import re
import sys

import boto3
from samcli.cli.types import CfnParameterOverridesType
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

try:
    import tomllib
except ImportError:
    import tomli as tomllib

packaged, stack, region, env = sys.argv[1:]
template = yaml_parse(open(packaged).read())
config = tomllib.load(open("samconfig.toml", "rb"))[env]
# SAM's own reader reads samconfig.toml, so the values are those of a real deployment.
overrides = CfnParameterOverridesType().convert(tuple(config["deploy"]["parameters"]["parameter_overrides"]), None, None)


overrides["PermitApiUrl"] = os.environ["REHEARSAL_PERMIT"]
parameters = {name: str(spec.get("Default", "")) for name, spec in template["Parameters"].items()} | overrides
unknown = set(overrides) - set(template["Parameters"])
if unknown:
    sys.exit(f"samconfig.toml has parameters that the template lacks: {sorted(unknown)}")

place = template["Resources"]["PolicyLayer"]["Properties"]["ContentUri"]
bucket, key = re.match(r"s3://([^/]+)/(.*)", place).groups()
json.dump({"bucket": bucket, "key": key}, open("layer-place.json", "w"))


class NoPolicies:
    def load(self):
        return {}


plain = json.loads(json.dumps(transform(template, {**parameters, "AWS::Region": region}, NoPolicies()), default=str))


def put(value, name, literal):
    """The template with a literal for each reference to a resource."""
    if isinstance(value, list):
        return [put(item, name, literal) for item in value]
    if not isinstance(value, dict):
        return value.replace(f"${{{name}}}", literal) if isinstance(value, str) else value
    return literal if value == {"Ref": name} else {key: put(item, name, literal) for key, item in value.items()}


# moto's CloudFormation has no secrets, so this creates what the resource asks for: a secret without a value.
secret = plain["Resources"].pop("PermitApiKeySecret")
assert set(secret["Properties"]) <= {"Description", "KmsKeyId"}, "the template gives the secret a value"
made = boto3.client("secretsmanager", region_name=region).create_secret(Name=f"{stack}-PermitApiKeySecret")
plain = put(plain, "PermitApiKeySecret", made["ARN"])

boto3.client("cloudformation", region_name=region).create_stack(
    StackName=stack,
    TemplateBody=json.dumps(plain),
    Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    Capabilities=["CAPABILITY_IAM"],
)

# moto also gives functions no layers, and gives numbers where Lambda has text.
functions = boto3.client("lambda", region_name=region, endpoint_url=os.environ["AWS_ENDPOINT_URL"])
layers = functions.list_layers()["Layers"]
# moto makes up the layers' names.
[layer] = [layer["LatestMatchingVersion"]["LayerVersionArn"] for layer in layers]
for resource in plain["Resources"].values():
    if resource["Type"] == "AWS::Lambda::Function":
        [reference] = resource["Properties"]["Layers"]
        assert plain["Resources"][reference["Ref"]]["Type"] == "AWS::Lambda::LayerVersion", "it has the policy's layer"
        name = resource["Properties"]["FunctionName"]["Fn::Sub"].replace("${AWS::StackName}", stack)
        try:
            variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        except functions.exceptions.ResourceNotFoundException:
            continue
        variables = {key: str(value) for key, value in variables.items()}
        functions.update_function_configuration(FunctionName=name, Layers=[layer], Environment={"Variables": variables})
