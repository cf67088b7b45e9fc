"""A sign-in as Permit's guide has it, on its SDK for Python: sync the user, assign the role, each time.

The loop around it is the least that a Lambda runtime does."""

import asyncio
import http.client
import json
import os

import boto3
from permit import Permit
from permit.exceptions import PermitApiError

permit = None


async def handler(event):
    global permit
    if permit is None:
        secrets = boto3.client("secretsmanager")
        secret = secrets.get_secret_value(SecretId=os.environ["PERMIT_API_KEY_SECRET_ID"])
        url = os.environ["PERMIT_API_URL"]
        permit = Permit(token=secret["SecretString"], api_url=url, pdp=url)
    person = event["request"]["userAttributes"]
    await permit.api.users.sync(
        {
            "key": person["sub"],
            "email": person["email"],
            "first_name": person["given_name"],
            "last_name": person["family_name"],
            "attributes": {"locale": person["locale"]},
        }
    )
    for role in ["viewer", "editor"] if person["locale"] == "de" else ["viewer"]:
        try:
            await permit.api.users.assign_role({"user": person["sub"], "role": role, "tenant": "default"})
        except PermitApiError as error:
            if error.status_code != 409:
                raise
    return event


async def main():
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    path = "/2018-06-01/runtime/invocation"
    while True:
        api.request("GET", f"{path}/next")
        response = api.getresponse()
        request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        answer = await handler(json.loads(response.read()))
        api.request("POST", f"{path}/{request_id}/response", json.dumps(answer))
        api.getresponse().read()


asyncio.run(main())
