#!/usr/bin/env bash
# Lints what is deployed and what builds it: template.yaml, the state machine, .github/.
#
#   scripts/lint-template.sh install   fetches the linters into .local/ (about a minute the first time, 700 MB)
#   scripts/lint-template.sh           runs them; needs no network and no AWS account (about 20 s)
set -euo pipefail
cd "$(dirname "$0")/.."

export SAM_CLI_TELEMETRY=0 PIP_DISABLE_PIP_VERSION_CHECK=1
local=.local

# python_tools DIRECTORY REQUIREMENTS: an environment that has just these, made again when they change.
python_tools() {
    cmp -s "$2" "$1/requirements.txt" && return
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --requirement "$2"
    cp "$2" "$1/requirements.txt"
}

install() {
    mkdir -p "$local"
    python_tools "$local/lint" scripts/lint-requirements.txt
    python_tools "$local/checkov" scripts/checkov-requirements.txt
    if ! cmp -s state-machine/package-lock.json "$local/state-machine/package-lock.json"; then
        rm -rf "$local/state-machine"
        mkdir -p "$local/state-machine"
        cp state-machine/package.json "$local/state-machine/"
        # The lock file comes last to stay: an install that was cut short is then made again.
        cp state-machine/package-lock.json "$local/state-machine/npm-shrinkwrap.json"
        npm ci --prefix "$local/state-machine" --no-audit --no-fund --ignore-scripts --loglevel error
        cp state-machine/package-lock.json "$local/state-machine/"
    fi
}

step() { printf '\n== %s\n' "$1"; }

check() {
    if [[ ! -x $local/lint/bin/sam || ! -x $local/checkov/bin/checkov || ! -d $local/state-machine/node_modules ]]; then
        echo "The linters are not installed: run scripts/lint-template.sh install" >&2
        exit 2
    fi
    step "cfn-lint: template.yaml"
    "$local/lint/bin/cfn-lint" template.yaml
    step "sam validate --lint: template.yaml"
    "$local/lint/bin/sam" validate --lint --template template.yaml --region us-east-1
    step "checkov: template.yaml"
    "$local/checkov/bin/checkov" --file template.yaml --framework cloudformation --compact --quiet --skip-download
    step "asl-validator: state-machine/bulk-sync.asl.json"
    node state-machine/run.mjs --validate
    step "zizmor: .github"
    "$local/lint/bin/zizmor" --offline --quiet --persona pedantic .github
}

case ${1:-check} in
install) install ;;
check) check ;;
*)
    sed -n '2,5p' "$0" >&2
    exit 2
    ;;
esac
