#!/usr/bin/env bash
# `make bench`: sign-ins and token checks beside Node and Python, and the bulk sync of 100,000 people (BENCH_FULL=1: and
# of 1,000,000). Prints Markdown. Installs what it compares with into .local/bench, once.
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

# The path of a bench's binary is known to cargo alone.
built() {
    cargo bench --no-run --no-default-features --bench "$1" --message-format json 2>/dev/null |
        sed -n "s/.*\"name\":\"$1\".*\"executable\":\"\([^\"]*\)\".*/\1/p" | tail -n 1
}
budget=$(built budget)
bulk_sync=$(built bulk_sync)
verify=$(built verify)
for binary in "$budget" "$bulk_sync" "$verify"; do
    [[ -x $binary ]] || { echo "a benchmark was not built: cargo bench --no-run --no-default-features says why" >&2; exit 1; }
done

# After the benches: cargo builds these beside a bench with the features of the tests, under the same names. What is
# measured must be what is deployed. The release profile takes minutes: fat LTO, one unit.
cargo build --quiet --release -p permit-sandbox
cargo build --quiet --release --no-default-features --bin post-authentication --bin handoff

coproc SANDBOX { exec target/release/permit-sandbox --port 0 --limits none --no-table 2>/dev/null; }
sandbox=$SANDBOX_PID
trap 'kill "$sandbox" 2>/dev/null || true' EXIT
read -r url <&"${SANDBOX[0]}"

section() {
    printf '\n## %s\n\n' "$1"
}

echo "On $(nproc) cores of $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), $(date +%F)."
section "Sign-ins"
python3 benches/sign_in.py target/release/post-authentication target/release/permit-sandbox "$bench" .local/venv/bin/moto_server
section "Sign-ins while Permit fails"
"$budget" "$url"
section "Token checks"
"$bench/venv/bin/python" benches/verify.py "$verify" "$bench"
echo
"$bench/venv/bin/python" benches/token_cold.py target/release/handoff target/release/permit-sandbox "$bench"
section "The bulk sync"
"$bench/venv/bin/python" benches/bulk_guide.py "$url" 1000 "$bulk_sync"
people=(100000)
[[ ${BENCH_FULL:-} ]] && people+=(1000000)
for number in "${people[@]}"; do
    echo
    # A process each, so that the peak of memory is that of this many people.
    "$bulk_sync" "$url" "$number"
done
