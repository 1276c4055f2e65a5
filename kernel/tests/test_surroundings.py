"""What surrounds the kernel fails: the disk, the home folder, the toolchain, the network, the files that
it has compiled, the clock. The cell says what to do, and works when that is done."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from client import Kernel, program
from conftest import ended
from machine import Disk, Registry, executable

DAY = 24 * 3600


def test_a_full_disk_is_named_and_costs_nothing(cache: Path) -> None:
    disk = Disk(cache, megabytes=600)
    with ended(Kernel(cache, through=disk.through)) as kernel:
        kernel.ok("let mut kept = vec![41]; fn item() -> u8 { 1 }")
        kernel.ok("let ticking = tokio::spawn(std::future::pending::<()>());")
        disk.fill(kernel)
        for code in ("kept.push(1);", "let more = 1;", ':dep itoa = "1"', "async { 1 }.await"):
            cell = kernel.run(code)
            assert cell.status == "error", cell
            assert "disk" in cell.traceback, cell
        disk.free(kernel)
        assert kernel.ok("(&kept, item(), ticking.is_finished())").text == "([41], 1, false)"


def test_a_kernel_that_begins_with_a_full_disk_works_when_there_is_room(cache: Path) -> None:
    disk = Disk(cache, megabytes=600)
    with ended(Kernel(cache, through=disk.through)) as kernel:
        disk.fill(kernel)
        cell = kernel.run("1 + 1")
        assert cell.status == "error", cell
        assert "disk" in cell.traceback, cell
        disk.free(kernel)
        assert kernel.ok("1 + 1").text == "2"


def test_a_home_that_cannot_be_written_to_is_named(cache: Path) -> None:
    disk = Disk(cache, megabytes=600, writable=False)
    with ended(Kernel(cache, through=disk.through)) as kernel:
        cell = kernel.fails("1 + 1", "KernelError")
        assert str(cache) in cell.evalue and "cannot be written to" in cell.evalue
        disk.make_writable(kernel)
        assert kernel.ok("1 + 1").text == "2"


def test_a_toolchain_that_comes_later_is_found(cache: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cc", "ld", "as", "sh"):
        (tools / name).symlink_to(executable(name))
    home = os.environ["HOME"]
    environment = {
        "PATH": str(tools),
        # There is a cargo below the real one.
        "HOME": str(tmp_path),
        "CARGO_HOME": os.environ.get("CARGO_HOME", f"{home}/.cargo"),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", f"{home}/.rustup"),
    }
    with ended(Kernel(cache, environment)) as kernel:
        cell = kernel.fails("1 + 1", "KernelError")
        assert "rustup.rs" in cell.evalue
        for name in ("rustc", "cargo"):
            (tools / name).symlink_to(executable(name))
        assert kernel.ok("1 + 1").text == "2"


def test_a_network_that_is_lost_costs_nothing_but_the_dependency(
    cache: Path, tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    registry.add("far_away", "pub fn answer() -> u8 { 42 }")
    dependency = ':dep far_away = { version = "1", registry = "morceaux_test" }'
    environment = registry.environment | {"CARGO_HOME": str(own_cargo_home(tmp_path))}
    with ended(Kernel(cache, environment)) as kernel:
        kernel.ok("let kept = 41;")
        cell = kernel.run(dependency)
        assert cell.status == "error", cell
        assert "network" in cell.traceback, cell
        assert kernel.ok("kept + async { 1 }.await").text == "42"
        with registry.reachable():
            kernel.ok(dependency)
        assert kernel.ok("(kept, far_away::answer())").text == "(41, 42)"


def own_cargo_home(folder: Path) -> Path:
    """A folder of cargo's in which nothing of the test's registry is kept, but the user's settings."""
    own = folder / "cargo"
    own.mkdir()
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    for name in ("registry", "config.toml", "config"):
        if (home / name).exists():
            (own / name).symlink_to(home / name)
    return own


def test_a_session_folder_that_is_removed_is_named(fresh_kernel: Kernel) -> None:
    fresh_kernel.ok("let kept = 41;")
    # It runs when nothing is left to be done for the one before.
    fresh_kernel.ok("kept")
    shutil.rmtree(session_of(fresh_kernel))
    for code in ("kept + 1", "let next = kept + 1;", ':dep itoa = "1"', "missing"):
        cell = fresh_kernel.fails(code, "KernelError")
        assert "removed" in cell.evalue and "restart the kernel" in cell.evalue, cell


def session_of(kernel: Kernel) -> Path:
    """The kernel's session folder."""
    (folder,) = kernel.sessions()
    return folder


def test_a_clock_that_jumps_back_runs_no_old_cell(fresh_kernel: Kernel) -> None:
    kernel = fresh_kernel
    kernel.ok("let mut kept = 41;")
    for code, result in (("kept + 1", "42"), (':dep itoa = "1"\nkept + 2', "43"), ("kept + 3", "44")):
        # As if everything had been built tomorrow, before the clock was put right.
        tomorrow = time.time() + DAY
        for path in session_of(kernel).rglob("*"):
            if not path.is_symlink():
                os.utime(path, (tomorrow, tomorrow))
        assert kernel.ok(code).text == result


@pytest.fixture
def own_prefix(tmp_path: Path) -> Path:
    """A copy of what was installed, which a test may damage."""
    installed = program().parent.parent
    for folder in ("bin", "share/morceaux"):
        shutil.copytree(installed / folder, tmp_path / folder, symlinks=True)
    return tmp_path


# Each builds a runtime, which takes half a minute.
@pytest.mark.parametrize("damaged", ["build/release/deps/libmorceaux.so", "template/cells/target"])
@pytest.mark.timeout(400)
def test_a_damaged_runtime_is_built_again(cache: Path, own_prefix: Path, damaged: str) -> None:
    runtimes = (own_prefix / "share/morceaux/runtime").iterdir()
    # Others are of other versions of the program.
    runtime = max(runtimes, key=lambda runtime: (runtime / "ready").stat().st_mtime)
    path = runtime / damaged
    if path.is_dir():
        shutil.rmtree(path)
    else:
        os.truncate(path, path.stat().st_size // 2)
    with ended(Kernel(cache, own_program=own_prefix / "bin" / program().name)) as kernel:
        cell = kernel.ok("let kept = async { 41 }.await; kept + 1", timeout=300)
        assert cell.text == "42"
        # It takes long, so it is said.
        assert "compiles its runtime" in cell.stderr
