#!/usr/bin/env python3
"""The sync of everybody that Permit's guide suggests, on Permit's SDK for Python: one person at a time, and by bulk calls.

    COMPARATORS/venv/bin/python benches/bulk_guide.py SANDBOX_URL PEOPLE BULK_SYNC

BULK_SYNC is our benchmark, which is run on the same people beside it. Prints Markdown: each way twice, since a
script that keeps no account sends everything again. No limits are in force; what they would make of it is arithmetic.
"""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request

from permit import Permit
from permit.exceptions import PermitApiError

URL, PEOPLE, BULK_SYNC = sys.argv[1], int(sys.argv[2]), sys.argv[3]
# The most that Permit takes in one call.
USERS, ASSIGNMENTS = 3000, 2000
# Permit's documented limits; bulk calls are counted in ten minutes.
ALL, WRITE, BULK = 1000 / 60, 300 / 60, 100 / 600


def control(method, path):
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/_sandbox/{path}", method=method)) as answer:
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


async def one_at_a_time(permit):
    for n in range(PEOPLE):
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
    print("| 1,000 people | run | seconds | CPU seconds | people a second | reads | writes | bulk calls | people a second under the limits |".replace("1,000", f"{PEOPLE:,}"))
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    ours()
    for name, sync in [("Python, one at a time", one_at_a_time), ("Python, bulk calls", by_bulk_calls)]:
        control("POST", "reset")
        for run in ["first import", "no change"]:
            control("DELETE", "requests")
            permit = Permit(token="permit_key_sandbox", api_url=URL, pdp=URL)
            wall, cpu = time.perf_counter(), time.process_time()
            await sync(permit)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            counts = json.loads(control("GET", "counts"))
            refused = {status: count for status, count in counts["by_status"].items() if status not in ("200", "201", "204", "409")}
            if refused:
                raise SystemExit(f"{name}, {run}: the sandbox refused: {refused}")
            row(name, run, wall, cpu, counts["read"], counts["write"] + counts["delete"], counts["bulk"])


def ours():
    output = subprocess.run([BULK_SYNC, URL, str(PEOPLE)], stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in output.splitlines()[2:]:
        _, run, wall, cpu, _, read, write, bulk, *_, converged = [cell.strip() for cell in line.strip("|").split("|")]
        if converged != "true":
            raise SystemExit(f"our {run} did not converge")
        if run in ("first import", "no change"):
            row("permit-handoff", run, float(wall), float(cpu), int(read), int(write), int(bulk))


def row(name, run, wall, cpu, read, write, bulk):
    # Bulk calls are held to count as writes too: the stricter reading.
    seconds = max((read + write + bulk) / ALL, (write + bulk) / WRITE, bulk / BULK)
    print(
        f"| {name} | {run} | {wall:.2f} | {cpu:.2f} | {PEOPLE / wall:,.0f} | {read} | {write} | {bulk} | {PEOPLE / seconds:,.1f} |"
    )


asyncio.run(main())
