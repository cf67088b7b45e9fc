#!/usr/bin/env bash
# Runs the block of README.md "Call one function by hand" as it stands, line by line, and holds what the function answers
# against the event. Its servers end with it. Uses the ports that README.md names.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'for pid in $(jobs -p); do pkill -TERM -P "$pid" || true; kill "$pid" || true; done 2>/dev/null; rm -rf "$folder"' EXIT

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A server of the block has to listen before the next line: a person waits for that too.
wait_for() {
    for _ in {1..1200}; do
        if listens "$1"; then return; fi
        sleep 0.5
    done
    echo "nothing listens on port $1:" >&2
    tail -n 30 "$folder/server" >&2
    exit 1
}

for port in 7000 9000; do
    if listens "$port"; then
        echo "something else listens on port $port, which README.md uses" >&2
        exit 1
    fi
done

mapfile -t lines < <(awk '/^Call one function by hand/ { here = 1 } here && /^```$/ { exit } here && block; here && /^```sh/ { block = 1 }' README.md)
if [[ ${#lines[@]} -lt 4 ]]; then
    echo "README.md has no block under 'Call one function by hand'" >&2
    exit 1
fi
command=""
for line in "${lines[@]}"; do
    command+=$line$'\n'
    case $line in
    *\\) continue ;;
    *permit-sandbox*) eval "$command" >>"$folder/server" 2>&1; wait_for 7000 ;;
    *"lambda watch"*) eval "$command" >>"$folder/server" 2>&1; wait_for 9000 ;;
    *"lambda invoke"*) eval "$command" >"$folder/answer" ;;
    *) eval "$command" ;;
    esac
    command=""
done

python3 - "$folder/answer" events/post-authentication.json http://127.0.0.1:7000/_sandbox/counts <<'PYTHON'
import json, sys, urllib.request

answer, event = (json.load(open(path)) for path in sys.argv[1:3])
if answer != event:
    sys.exit(f"the function answered {answer}")
counts = json.load(urllib.request.urlopen(sys.argv[3]))
if counts["write"] != 1:
    sys.exit(f"Permit was not sent one write: {counts}")
PYTHON
echo "README.md's function by hand: ok"
