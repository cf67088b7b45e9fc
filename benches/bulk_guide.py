#!/usr/bin/env python3
"""The sync of everybody that Permit's guide suggests, on Permit's SDK for Python: one person at a time, and by bulk calls.

    COMPARATORS/venv/bin/python benches/bulk_guide.py SANDBOX_URL PEOPLE BULK

BULK is our benchmark, which is run on the same people beside it. Prints two tables in Markdown, without limits and with the
documented ones in force: each way twice, since a script that keeps no account sends everything again.
"""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request

from permit import Permit
from permit.exceptions import PermitApiError

URL, PEOPLE, BULK = sys.argv[1], int(sys.argv[2]), sys.argv[3]
# The most that Permit takes in one call.
USERS, ASSIGNMENTS = 3000, 2000
# Permit's documented limits a minute, and how long they make a sync take that keeps to them. Bulk calls are counted in ten minutes.
DOCUMENTED = {"all": 1000, "write": 300, "delete": 60, "bulk": 100}


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/_sandbox/{path}", data, method=method)) as answer:
        return answer.read()


def person(n):
    return {
        "key": f"{n:08x}-0000-4000-8000-000000000000",
        "email": f"person-{n}@example.com",
        "first_name": "Given0",
        "last_name": f"Family{n}",
        "attributes": {"locale": "en"},
    }


def roles(n):
    return ["viewer", "admin"] if n % 10 == 0 else ["viewer"]


# How many people one_at_a_time has brought in.
done = [0]


async def one_at_a_time(permit):
    for n in range(PEOPLE):
        done[0] = n
        user = person(n)
        await permit.api.users.sync(user)
        for role in roles(n):
            try:
                await permit.api.users.assign_role({"user": user["key"], "role": role, "tenant": "default"})
            except PermitApiError as error:
                if error.status_code != 409:
                    raise


async def by_bulk_calls(permit):
    everybody = [person(n) for n in range(PEOPLE)]
    for start in range(0, PEOPLE, USERS):
        await permit.api.users.bulk_replace(everybody[start : start + USERS])
    assignments = [{"user": person(n)["key"], "role": role, "tenant": "default"} for n in range(PEOPLE) for role in roles(n)]
    for start in range(0, len(assignments), ASSIGNMENTS):
        await permit.api.role_assignments.bulk_assign(assignments[start : start + ASSIGNMENTS])


async def main():
    table("without limits")
    ours("none")
    await theirs()
    control("PUT", "limits", DOCUMENTED)
    print()
    table("with the documented limits in force")
    ours("documented")
    await theirs()
    control("PUT", "limits", {})


def table(limits):
    print(f"| {PEOPLE:,} people, {limits} | run | people in | seconds | CPU seconds | people a second | reads | writes | bulk calls | 429 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")


async def theirs():
    """A 429 ends the script: the SDK raises it, and the guide's script has no answer to it."""
    for name, sync in [("Python, one at a time", one_at_a_time), ("Python, bulk calls", by_bulk_calls)]:
        control("POST", "reset")
        for run in ["first import", "no change"]:
            control("DELETE", "requests")
            permit = Permit(token="permit_key_sandbox", api_url=URL, pdp=URL)
            wall, cpu = time.perf_counter(), time.process_time()
            synced = PEOPLE
            try:
                await sync(permit)
            except PermitApiError as error:
                if error.status_code != 429:
                    raise
                synced = done[0]
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            counts = json.loads(control("GET", "counts"))
            refused = {status: count for status, count in counts["by_status"].items() if status not in ("200", "201", "204", "409", "429")}
            if refused:
                raise SystemExit(f"{name}, {run}: the sandbox refused: {refused}")
            row(name, run, synced, wall, cpu, counts["read"], counts["write"] + counts["delete"], counts["bulk"], counts["by_status"].get("429", 0))


def ours(limits):
    control("POST", "reset")
    output = subprocess.run([BULK, URL, limits, str(PEOPLE)], stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in output.splitlines()[2:]:
        _, run, wall, cpu, _, read, write, bulk, *_, throttled, converged = [cell.strip() for cell in line.strip("|").split("|")]
        if converged != "true":
            raise SystemExit(f"our {run} did not converge")
        if run in ("first import", "no change"):
            row("permit-handoff", run, PEOPLE, float(wall), float(cpu), int(read), int(write), int(bulk), int(throttled))


def row(name, run, synced, wall, cpu, read, write, bulk, throttled):
    print(
        f"| {name} | {run} | {synced:,} | {wall:.2f} | {cpu:.2f} | {synced / wall:,.0f} | {read} | {write} | {bulk} | {throttled} |"
    )


asyncio.run(main())
