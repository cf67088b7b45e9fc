#!/usr/bin/env bash
# Runs the block "Call one function by hand" of README.md as it is, line by line, and compares the function's
# answer with the event. It uses free ports in place of the two in README.md. Its servers end with it.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'for pid in $(jobs -p); do pkill -TERM -P "$pid" || true; kill "$pid" || true; done 2>/dev/null; rm -rf "$folder"' EXIT

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A server of the block must listen before the next line runs: a person waits for that too.
wait_for() {
    for _ in {1..1200}; do
        if listens "$1"; then return; fi
        kill -0 $! 2>/dev/null || break
        sleep 0.5
    done
    echo "nothing listens on port $1:" >&2
    tail -n 30 "$folder/server" >&2
    exit 1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
sandbox=$(free_port)
lambda=$(free_port)

mapfile -t lines < <(awk '/^Call one function by hand/ { here = 1 } here && /^```$/ { exit } here && block; here && /^```sh/ { block = 1 }' README.md | sed "s/\b7000\b/$sandbox/g; s/\b9000\b/$lambda/g")
if [[ ${#lines[@]} -lt 4 ]]; then
    echo "README.md has no block under 'Call one function by hand'" >&2
    exit 1
fi
command=""
for line in "${lines[@]}"; do
    command+=$line$'\n'
    case $line in
    *\\) continue ;;
    *permit-sandbox*) eval "$command" >>"$folder/server" 2>&1; wait_for "$sandbox" ;;
    *"lambda watch"*) eval "$command" >>"$folder/server" 2>&1; wait_for "$lambda" ;;
    *"lambda invoke"*) eval "$command" >"$folder/answer" ;;
    *) eval "$command" ;;
    esac
    command=""
done

python3 - "$folder/answer" events/post-authentication.json "http://127.0.0.1:$sandbox/_sandbox/counts" <<'PYTHON'
import json, sys, urllib.request

answer, event = (json.load(open(path)) for path in sys.argv[1:3])
if answer != event:
    sys.exit(f"the function answered {answer}")
counts = json.load(urllib.request.urlopen(sys.argv[3]))
if counts["write"] != 1:
    sys.exit(f"Permit was not sent one write: {counts}")
PYTHON
echo "README.md's function by hand: ok"
