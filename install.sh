#!/usr/bin/env bash
#
# Installs morceaux, a Jupyter kernel for Rust async cells, from this checkout. See --help.
#
# Kept to what bash 3.2 understands, because that is the bash of macOS.
set -euo pipefail

here=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" >/dev/null && pwd)
notebook=notebooks/les-concepts-de-base.ipynb

usage() {
    cat <<'END'
usage: ./install.sh [--user | --prefix DIR | --sys-prefix] [--lab [-- ARGUMENTS] | --uninstall]
       ./install.sh --test | --bench

Builds the kernel and installs it. Running it again brings everything up to date.

  --user         for you alone: program in ~/.local/bin, kernelspec in Jupyter's user folder (default)
  --prefix DIR   program in DIR/bin, kernelspec in DIR/share/jupyter
  --sys-prefix   the same, in the prefix of the python3 on the PATH (a virtual environment, say)
  --lab          then open the French notebook in JupyterLab; where there is no JupyterLab, get one
                 in an environment of its own; ARGUMENTS go to `jupyter lab`
  --uninstall    remove what this script installed there, and JupyterLab if --lab got it
  --test         get what the tests need and run all of them, away from your own installation
  --bench        get what the benchmarks need, evcxr's own kernel included, and run them: a quarter of
                 an hour on a machine that does nothing else
  --help         show this

CARGO_TARGET_DIR says where to build (default: target/), CHROMIUM which browser --test uses.
END
}

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '==> %s\n' "$*"; }

# die "what happened" "what to do"
die() {
    printf 'error: %s\n   do: %s\n' "$1" "$2" >&2
    exit 1
}

# blame PROGRAM "what happened": for a program that has just said itself what is wrong.
blame() { die "$2" "put right what $1 says above; then run this again"; }

usage_error() {
    printf 'error: %s\n   do: see ./install.sh --help\n' "$1" >&2
    exit 2
}

# Paths are relative to where the user stands, but the script works in the repository.
absolute() { if [[ $1 == /* ]]; then echo "$1"; else echo "${here%/}/$1"; fi; }

# "1.95.0" -> 1095, to be compared as a number.
version_number() { awk -F. '{print $1 * 1000 + $2}' <<<"$1"; }

# --- the command line -----------------------------------------------------------------------------
action= # lab, test, bench or uninstall; empty: install
scope=  # user, prefix or sys-prefix; empty: user
prefix=
lab_arguments=()

# once VARIABLE VALUE: sets it, unless it was set to something else.
once() {
    [[ -z ${!1} || ${!1} == "$2" ]] || usage_error "--${!1} and --$2 exclude each other"
    printf -v "$1" '%s' "$2"
}

parse_arguments() {
    while (($#)); do
        case $1 in
            --user | --sys-prefix) once scope "${1#--}" ;;
            --prefix)
                shift
                [[ -n ${1-} && $1 != -* ]] || usage_error "--prefix needs a folder"
                once scope prefix
                prefix=$(absolute "$1")
                ;;
            --lab | --test | --bench | --uninstall) once action "${1#--}" ;;
            --help | -h) usage; exit ;;
            --) shift; lab_arguments=("$@"); break ;;
            *) usage_error "unknown option: $1" ;;
        esac
        shift
    done
    [[ $action == lab || ${#lab_arguments[@]} == 0 ]] || usage_error "arguments after -- need --lab"
    [[ $action != test && $action != bench || -z $scope ]] ||
        usage_error "--$action has a prefix of its own, so no --$scope"
}

# Sets `prefix`, and `scope_options`: the same for the kernel program.
resolve_scope() {
    if [[ $scope == sys-prefix ]]; then
        need_python
        prefix=$(python3 -c 'import sys; print(sys.prefix)')
    fi
    scope_options=(--prefix "$prefix")
    if [[ -z $prefix ]]; then
        prefix=$HOME/.local
        scope_options=(--user)
    fi
}

# --- what must be there ---------------------------------------------------------------------------
need_rust() {
    # A rustup that has just been installed is on the PATH only from the next login on.
    have cargo || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if ! have cargo || ! have rustc; then
        die "no cargo or no rustc on the PATH" "install Rust as https://rustup.rs says; then run this again"
    fi
    local wanted version
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)".*/\1/p' Cargo.toml)
    version=$(rustc --version | awk '{print $2}') ||
        die "rustc is there but does not run" "choose a toolchain: rustup default stable"
    (($(version_number "$version") >= $(version_number "$wanted"))) ||
        die "this is Rust $version; the kernel needs $wanted or newer" \
            "rustup update (a Rust that is not from rustup: see https://rustup.rs)"
    # Every cell is linked when it runs, so the linker is needed afterwards too.
    have cc || die "there is no C linker: no cc on the PATH" \
        "Debian, Ubuntu: apt install build-essential; Fedora: dnf install gcc; macOS: xcode-select --install"
}

# rust-analyzer, which infers the types of the cells' variables, reads the standard library's source.
need_rust_sources() {
    if [[ -d $(rustc --print sysroot)/lib/rustlib/src/rust/library ]]; then return; fi
    have rustup || die "the sources of Rust's standard library are missing" \
        "install your distribution's package of them (Debian: rust-src), or Rust from https://rustup.rs"
    say "Adding the sources of Rust's standard library (rust-src)"
    rustup component add rust-src || blame rustup "rust-src could not be added"
}

need_python() {
    have python3 || die "there is no python3 on the PATH" \
        "Debian, Ubuntu: apt install python3 python3-venv; Fedora: dnf install python3"
}

need_node() {
    local version=0
    if have node && have npm; then version=$(node -p 'parseInt(process.versions.node)') || version=0; fi
    ((version >= 20)) || die "the browser test needs node 20 or newer, and npm" \
        "install it from https://nodejs.org or your distribution (Debian: apt install nodejs npm)"
}

# Sets CHROMIUM.
need_chromium() {
    find_chromium && return
    if ((EUID == 0)) && have apt-get; then
        say "Installing Chromium"
        export DEBIAN_FRONTEND=noninteractive
        local install=(apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core)
        # The first try fails where the package lists are missing or old.
        "${install[@]}" || { apt-get update -qq && "${install[@]}"; } || true
        find_chromium && return
    fi
    die "the browser test found no Chromium" \
        "install one (Debian: apt install chromium fonts-dejavu-core), or set CHROMIUM to its path"
}

find_chromium() {
    local name
    for name in "${CHROMIUM-}" chromium chromium-browser google-chrome; do
        if CHROMIUM=$(command -v "$name"); then return; fi
    done
    return 1
}

# Found out before the build, which takes minutes. Of what is not there yet, the folder above counts.
need_writable_prefix() {
    local folder=$prefix/bin
    while [[ ! -e $folder ]]; do folder=$(dirname "$folder"); done
    [[ -d $folder && -w $folder ]] || die "cannot write to $folder" \
        "choose a folder of yours with --prefix DIR, or install for you alone with --user"
}

# --- installing -----------------------------------------------------------------------------------
install_kernel() {
    need_rust
    need_writable_prefix
    need_rust_sources
    say "Building the kernel (some minutes the first time)"
    cargo build --release --locked -p morceaux-kernel --target-dir "$target" ||
        blame cargo "the kernel could not be built"
    [[ -x $built ]] || die "cargo built, but not to $built" \
        "unset CARGO_BUILD_TARGET, and build.target in cargo's configuration"
    say "Installing the kernel in $prefix"
    "$built" install "${scope_options[@]}" || blame it "the kernel could not be installed in $prefix"
}

# The one line that says what to type, for somebody who stands where the script was started.
say_next() {
    local at='' command=
    [[ $here == "$root" ]] || at=$(printf '%q/' "$root")
    if [[ $scope == prefix ]]; then command="JUPYTER_PATH=$(printf '%q' "$prefix/share/jupyter") "; fi
    command+="jupyter lab $at$notebook"
    if ! jupyter lab --version >/dev/null 2>&1; then
        command="${at:-./}install.sh --lab${scope:+$(printf ' %q' "${scope_options[@]}")}"
    fi
    say "Installed. Now type: $command"
}

# make_venv FOLDER PACKAGE…: a new virtual environment, whatever an interrupted run left there.
make_venv() {
    local venv=$1
    shift
    need_python
    python3 -m venv --clear "$venv" || die "python3 could not make a virtual environment in $venv" \
        "Debian, Ubuntu: apt install python3-venv; then run this again"
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" ||
        blame pip "these could not be installed: $*"
}

# A JupyterLab that the user has comes first: it is the one with their settings and extensions.
open_lab() {
    # Where there is no browser to open it in, the address that Jupyter prints leads to the notebook.
    local jupyter options=("--LabApp.default_url=/lab/tree/${notebook##*/}")
    for jupyter in "$(command -v jupyter)" "$lab_venv/bin/jupyter" none; do
        if "$jupyter" lab --version >/dev/null 2>&1; then break; fi
    done
    if [[ $jupyter == none ]]; then
        say "Installing JupyterLab in $lab_venv"
        make_venv "$lab_venv" jupyterlab
        jupyter=$lab_venv/bin/jupyter
    fi
    # Jupyter refuses to be run by root (in containers, mostly) unless told so.
    if ((EUID == 0)); then options+=(--allow-root); fi
    # It looks by itself in the user's folder and in its own prefix, and in no other.
    if [[ $scope == *prefix ]]; then export JUPYTER_PATH=$prefix/share/jupyter${JUPYTER_PATH:+:$JUPYTER_PATH}; fi
    say "Opening $notebook in JupyterLab; to end it, type: Ctrl-C, twice"
    # Written so because an empty array counts as unset in old versions of bash.
    exec "$jupyter" lab "$notebook" "${options[@]}" ${lab_arguments[@]+"${lab_arguments[@]}"}
}

uninstall() {
    # The installed program knows best what it wrote; the built one helps where that one is gone.
    local program=$prefix/bin/morceaux-kernel removed=
    [[ -x $program ]] || program=$built
    if [[ -x $program ]]; then
        say "Removing the kernel from $prefix"
        "$program" uninstall "${scope_options[@]}" || blame it "the kernel could not be removed from $prefix"
        removed=1
    fi
    if [[ -f $lab_venv/pyvenv.cfg ]]; then
        say "Removing JupyterLab from $lab_venv"
        rm -rf "$lab_venv" || die "cannot remove $lab_venv" "remove that folder by hand"
        rmdir "$(dirname "$lab_venv")" 2>/dev/null || true
        removed=1
    fi
    if [[ -n $removed ]]; then
        say "Uninstalled. To have the build's disk space back, type: rm -r $(printf '%q' "$target")"
    else
        say "Nothing is installed in $prefix. To install it, type: ./install.sh"
    fi
}

# --- testing --------------------------------------------------------------------------------------
need_rust_tools() {
    if cargo fmt --version && cargo clippy --version; then return; fi >/dev/null 2>&1
    say "Adding rustfmt and clippy"
    rustup component add rustfmt clippy || die "cargo fmt or cargo clippy is missing" \
        "rustup component add rustfmt clippy (without rustup: your distribution's packages)"
}

# up_to_date STAMP FILE TOOL: whether STAMP was written for this FILE and this version of TOOL. Each
# stamp lies in the folder that it vouches for, so the two go together.
stamp() { cksum <"$1" && "$2" --version; }
up_to_date() { [[ -f $1 && $(<"$1") == "$(stamp "$2" "$3")" ]]; }

# Sets `test_venv`.
install_python_packages() {
    local requirements=kernel/tests/requirements.txt
    test_venv=$target/test-venv
    if ! up_to_date "$test_venv/stamp" "$requirements" python3; then
        say "Installing the tests' Python packages in $test_venv"
        make_venv "$test_venv" -r "$requirements"
        stamp "$requirements" python3 >"$test_venv/stamp"
    fi
}

install_browser_packages() {
    local lab=kernel/tests/lab
    if ! up_to_date "$lab/node_modules/.stamp" "$lab/package-lock.json" node; then
        say "Installing the browser test's packages in $lab/node_modules"
        # The browser is the system's: no package is to bring one of its own.
        export PUPPETEER_SKIP_DOWNLOAD=1 PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
        npm ci --prefix "$lab" --no-audit --no-fund --no-update-notifier ||
            blame npm "the packages of $lab could not be installed"
        stamp "$lab/package-lock.json" node >"$lab/node_modules/.stamp"
    fi
}

# The user's own kernels and settings neither help nor disturb, nothing is written to them, and no
# window that an earlier run left open comes back. The packages of `test_venv` come first.
use_own_folders() {
    local own=$target/test-jupyter
    rm -rf "$own" && mkdir "$own"
    export JUPYTER_CONFIG_DIR=$own/config JUPYTER_DATA_DIR=$own/data JUPYTER_RUNTIME_DIR=$own/runtime
    export JUPYTER_PATH=$prefix/share/jupyter IPYTHONDIR=$own/ipython
    export JUPYTER=$test_venv/bin/jupyter PATH=$test_venv/bin:$PATH
    export PYTHONPYCACHEPREFIX=$target/pycache # Keeps the checkout clean.
}

failed=()
# suite NAME COMMAND…: a suite that fails does not hide what the later ones have to say.
suite() {
    local name=$1 start=$SECONDS result=passed
    shift
    say "$name"
    "$@" || { result=FAILED; failed+=("$name"); }
    say "$name: $result, $((SECONDS - start)) s"
}

run_tests() {
    exec </dev/null # A test that asks for something must fail, not wait.
    # Whatever can be missing is looked for before the minutes of building.
    need_rust; need_rust_tools; need_python; need_node; need_chromium
    install_python_packages
    install_browser_packages
    install_kernel
    use_own_folders
    export CHROMIUM

    local cargo_options=(--release --locked --workspace --target-dir "$target")
    suite "cargo fmt" cargo fmt --all --check
    suite "cargo clippy" cargo clippy "${cargo_options[@]}" --all-targets -- -D warnings
    suite "cargo test" cargo test "${cargo_options[@]}"
    # Two files at a time: a cell keeps one core busy, mostly. In order, the longest are among the first.
    suite "pytest" python -m pytest -o cache_dir="$target/pytest-cache" -n 2 --dist loadfile \
        --no-loadscope-reorder kernel/tests
    # Files, because newer versions of node take no folder; and no file is an error.
    suite "JupyterLab in Chromium" node --test kernel/tests/lab/*.test.mjs

    ((${#failed[@]} == 0)) || die "failed:$(printf ' %s,' "${failed[@]}" | sed 's/,$//')" \
        "see the lines above; each suite's begin with its name"
    say "All tests passed in $SECONDS s. To install the kernel for you, type: ./install.sh"
}

# --- benchmarks -----------------------------------------------------------------------------------
evcxr_version=0.22.0

# evcxr's own kernel, called as evcxr calls it.
install_evcxr() {
    local root=$target/evcxr folder=$JUPYTER_DATA_DIR/kernels/rust
    if [[ ! -x $root/bin/evcxr_jupyter ]]; then
        say "Building evcxr_jupyter $evcxr_version (some minutes)"
        cargo install --locked --version "$evcxr_version" --root "$root" --target-dir "$root/build" \
            evcxr_jupyter || blame cargo "evcxr_jupyter could not be installed"
    fi
    mkdir -p "$folder"
    cat >"$folder/kernel.json" <<END
{
  "argv": ["$root/bin/evcxr_jupyter", "--control_file", "{connection_file}"],
  "display_name": "Rust",
  "language": "rust",
  "interrupt_mode": "message"
}
END
}

run_benchmarks() {
    need_rust; need_python
    install_python_packages
    install_kernel
    use_own_folders
    install_evcxr
    say "morceaux and evcxr_jupyter"
    python kernel/bench/compare.py morceaux rust
    say "Output, of morceaux and ipykernel"
    python kernel/bench/output.py morceaux python3
    say "Code in cells and in a program"
    python kernel/bench/runtime.py
}

# --- main, last, so that bash has read everything before anything runs ----------------------------
main() {
    parse_arguments "$@"
    cd "$root"
    target=$(absolute "${CARGO_TARGET_DIR:-$root/target}")
    built=$target/release/morceaux-kernel
    lab_venv=${XDG_DATA_HOME:-$HOME/.local/share}/morceaux/jupyter
    if [[ $action == test || $action == bench ]]; then prefix=$target/test-prefix; fi
    resolve_scope
    case $action in
        '') install_kernel; say_next ;;
        lab) install_kernel; open_lab ;;
        test) run_tests ;;
        bench) run_benchmarks ;;
        uninstall) uninstall ;;
    esac
}

main "$@"
