#!/usr/bin/env bash
# `make bench`: sign-ins and token checks beside Node and Python, and the bulk sync of 100,000 people (BENCH_FULL=1: and
# of 1,000,000). Prints Markdown, and exits 1 where a figure is worse than benches/expected.toml says. Installs what it
# compares with into .local/bench, once.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_NET_OFFLINE=true

bench=$PWD/.local/bench
if ! cmp -s benches/sign_in/package-lock.json "$bench/installed-lock.json" || ! cmp -s benches/sign_in/requirements.txt "$bench/installed.txt"; then
    rm -rf "$bench"
    mkdir -p "$bench"
    cp benches/sign_in/package.json benches/sign_in/package-lock.json "$bench/"
    npm ci --prefix "$bench" --no-audit --no-fund --ignore-scripts --loglevel error
    python3 -m venv "$bench/venv"
    "$bench/venv/bin/pip" install --quiet --requirement benches/sign_in/requirements.txt
    cp benches/sign_in/package-lock.json "$bench/installed-lock.json"
    cp benches/sign_in/requirements.txt "$bench/installed.txt"
fi

# The release profile takes minutes: fat LTO, one unit. The Lambdas are built apart, as they are deployed: beside other
# members of the workspace they would get those members' features too.
cargo build --quiet --release -p permit-sandbox -p benches
cargo build --quiet --release --no-default-features --bins

section() {
    printf '\n## %s\n\n' "$1"
}

measure() {
    coproc SANDBOX { exec target/release/permit-sandbox --port 0 --limits none 2>/dev/null; }
    sandbox=$SANDBOX_PID
    trap 'kill "$sandbox" 2>/dev/null || true' EXIT
    read -r url <&"${SANDBOX[0]}"

    echo "On $(nproc) cores of $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), $(date +%F)."
    section "Sign-ins"
    python3 benches/sign_in.py target/release "$bench" .local/venv/bin/moto_server
    section "Sign-ins while Permit fails"
    target/release/budget "$url"
    section "Token checks"
    "$bench/venv/bin/python" benches/verify.py target/release/verify "$bench"
    echo
    "$bench/venv/bin/python" benches/token_cold.py target/release/handoff target/release/permit-sandbox "$bench"
    section "The bulk sync"
    "$bench/venv/bin/python" benches/bulk_guide.py "$url" 1000 target/release/bulk
    echo
    target/release/answers "$url"
    echo
    if [[ ${BENCH_FULL:-} ]]; then
        target/release/bulk "$url" none 100000 1000000
    else
        target/release/bulk "$url" none 10000 100000
    fi
}

measure | tee "$bench/printed.md"
python3 benches/gate.py "$bench/printed.md"
