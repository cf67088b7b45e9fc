#!/usr/bin/env bash
# Builds the four functions for arm64 with installed tools, and runs each under qemu for one event. If it
# cannot, it says what is missing. It installs nothing, and lets no tool fetch a Rust target.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
folder=target/arm64
missing=()

# Rust's library for arm64: the toolchain's own, or Debian's (trixie-backports), unpacked into its own folder.
# It must have the same version as rustc.
library=$(rustc --print target-libdir --target "$target" 2>/dev/null || true)
debian=.local/arm64-rust
if ! compgen -G "$library/libcore-*.rlib" >/dev/null; then
    if compgen -G "$debian/usr/lib/rustlib/$target/lib/libcore-*.rlib" >/dev/null; then
        sysroot=$debian/usr
    else
        missing+=("Rust's library for $target, of rustc $(rustc --version | cut -d' ' -f2): one of
    rustup target add $target
    dpkg --add-architecture arm64 && apt-get update && apt-get download libstd-rust-dev:arm64 -t trixie-backports \\
      && dpkg -x libstd-rust-dev_*_arm64.deb $debian      (with Debian's own rustc of that version)")
    fi
fi
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
[[ -n $qemu ]] || missing+=("qemu for arm64: apt-get install qemu-user-static")
if command -v cargo-lambda >/dev/null && { command -v zig || python3 -m ziglang version; } >/dev/null 2>&1; then
    linker=zig
elif command -v aarch64-linux-gnu-gcc >/dev/null; then
    linker=gcc
else
    missing+=("a linker for arm64: pip install cargo-lambda ziglang, or apt-get install gcc-aarch64-linux-gnu")
fi
if ((${#missing[@]})); then
    echo "arm64 cannot be built and run here. Missing:" >&2
    printf -- '- %s\n' "${missing[@]}" >&2
    exit 1
fi

functions=(post-authentication handoff reconcile bulk-sync)
bins=()
for function in "${functions[@]}"; do bins+=(--bin "$function"); done
flags=(--release --locked --no-default-features "${bins[@]}")
[[ -z ${sysroot:-} ]] || export RUSTFLAGS="--sysroot $PWD/$sysroot"
started=$SECONDS
if [[ $linker == zig ]]; then
    cargo lambda build "${flags[@]}" --arm64 --skip-target-check --lambda-dir "$folder"
    program() { echo "$folder/$1/bootstrap"; }
else
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
    cargo build "${flags[@]}" --target "$target" --target-dir "$folder"
    program() { echo "$folder/$target/release/$1"; }
fi
echo "built in $((SECONDS - started)) s"

# There is no Permit and no AWS here: each function starts, takes an event and answers as it does when it can
# reach neither. The endpoint does not start without a trusted issuer.
printf '\n[[source]]\nname = "local"\nissuer = "https://issuer.example.com"\naudiences = ["local"]\n' |
    cat policy/policy.toml - >"$folder/policy.toml"
export HANDOFF_POLICY_FILE=$folder/policy.toml PERMIT_API_KEY=permit_key_local PERMIT_API_URL=http://127.0.0.1:9 \
    USER_POOL_ID=eu-central-1_Example01 AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local \
    AWS_ENDPOINT_URL=http://127.0.0.1:9 AWS_EC2_METADATA_DISABLED=true
declare -A events=([post-authentication]=post-authentication [handoff]=http-api [reconcile]=sqs [bulk-sync]=bulk-request)
for function in "${functions[@]}"; do
    binary=$(program "$function")
    log=$folder/$function.log
    status=0
    answer=$(scripts/run_once.py "events/${events[$function]}.json" "$qemu" -L /usr/aarch64-linux-gnu "$binary" 2>"$log") || status=$?
    # The bulk sync's run fails, since it can reach neither. Its error counts as an answer.
    if [[ -z $answer || ($status -ne 0 && $function != bulk-sync) ]]; then
        echo "$function: no answer" >&2
        tail -n 20 "$log" >&2
        exit 1
    fi
    echo "$function: $(stat --format %s "$binary") bytes; answered ${#answer} characters under qemu"
done
