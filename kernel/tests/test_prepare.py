"""Building what cells are compiled with, and what is said where a tool is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from client import program
from machine import executable


def folder_with_rustc(folder: Path, commands: str) -> Path:
    """A folder with a rustc that runs these shell commands before it becomes the real one."""
    folder.mkdir()
    rustc = folder / "rustc"
    rustc.write_text(f'#!/bin/sh\n{commands}\nexec "{executable("rustc")}" "$@"\n')
    rustc.chmod(0o755)
    return folder


def own_program(prefix: Path) -> Path:
    """The program in a prefix of its own, where nothing is built yet."""
    own = prefix / "bin" / program().name
    own.parent.mkdir(parents=True)
    shutil.copy2(program(), own)
    return own


def built_runtime(prefix: Path) -> Path:
    """Where runtimes lie in a prefix, with the one that the installed program has built."""
    runtimes = Path("share", "morceaux", "runtime")
    installed = program().parent.parent / runtimes
    return Path(shutil.copytree(installed, prefix / runtimes, symlinks=True))


def prepare(
    kernel_program: Path, data: Path, path: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs `prepare` with this PATH, and with a data folder in which nothing is built."""
    return subprocess.run(
        [kernel_program, "prepare"],
        env=os.environ | {"PATH": path, "XDG_DATA_HOME": str(data)} | environment,
        cwd=data,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def path_before(folder: Path) -> str:
    """The PATH with a folder in front of it."""
    return os.pathsep.join([str(folder), os.environ["PATH"]])


def test_a_toolchain_without_the_librarys_source_is_told_how_to_get_it(tmp_path: Path) -> None:
    empty = tmp_path / "sysroot"
    empty.mkdir()
    shim = folder_with_rustc(
        tmp_path / "shim", f'case "$*" in *sysroot*) echo "{empty}"; echo "{empty}"; exit 0;; esac'
    )
    refused = prepare(program(), tmp_path, path_before(shim))
    assert refused.returncode != 0
    assert "rustup component add rust-src" in refused.stderr


def test_a_machine_without_rust_is_told_where_to_get_it(tmp_path: Path) -> None:
    # Without a home folder too, where a rustc might be found all the same.
    refused = prepare(program(), tmp_path, str(tmp_path), HOME=str(tmp_path))
    assert refused.returncode != 0
    assert "rustup.rs" in refused.stderr


def test_a_rustc_that_does_not_run_is_reported_in_its_own_words(tmp_path: Path) -> None:
    shim = folder_with_rustc(tmp_path / "shim", 'echo "no toolchain is chosen" >&2; exit 1')
    refused = prepare(program(), tmp_path, path_before(shim))
    assert refused.returncode != 0
    assert "no toolchain is chosen" in refused.stderr


def test_a_machine_without_a_linker_is_told_what_to_install(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cargo", "rustc"):
        (tools / name).symlink_to(executable(name))
    refused = prepare(own_program(tmp_path / "prefix"), tmp_path, str(tools))
    assert refused.returncode != 0
    last = refused.stderr.strip().splitlines()[-1]
    assert "linker" in last and "apt install gcc" in last, refused.stderr


@pytest.mark.timeout(400)
def test_another_toolchain_gets_a_runtime_of_its_own(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    own = own_program(prefix)
    runtimes = built_runtime(prefix)
    before = {path.name for path in runtimes.iterdir()}
    present = prepare(own, tmp_path, os.environ["PATH"])
    assert (present.returncode, present.stderr) == (0, ""), "it is built already"

    version = "sed 's/^release: .*/&-other/'"
    shim = folder_with_rustc(
        tmp_path / "shim",
        f'if [ "$*" = -vV ]; then "{executable("rustc")}" -vV | {version}; exit 0; fi',
    )
    built = prepare(own, tmp_path, path_before(shim))
    assert built.returncode == 0, built.stderr
    assert "building the runtime for rustc" in built.stderr
    (new,) = {path.name for path in runtimes.iterdir()} - before
    assert "-other-" in new
    assert (runtimes / new / "ready").exists()
    again = prepare(own, tmp_path, path_before(shim))
    assert (again.returncode, again.stderr) == (0, "")


def test_uninstalling_leaves_nothing(tmp_path: Path) -> None:
    prefix, cache = tmp_path / "prefix", tmp_path / "cache"
    own = own_program(prefix)
    built_runtime(prefix)
    kept = cache / "morceaux" / "dependencies" / "key" / "libitoa.rlib"
    kept.parent.mkdir(parents=True)
    kept.touch()
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    for action in ("install", "uninstall"):
        command = [own, action, "--prefix", prefix]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        is_installed = action == "install"
        assert (prefix / "share/jupyter/kernels/morceaux/kernel.json").exists() == is_installed
    left = [path for folder in (prefix, cache) for path in folder.rglob("*") if path.is_file()]
    assert not left
