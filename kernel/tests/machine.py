"""Parts of a machine that a test can break and mend: a disk, a registry of crates."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from client import Kernel

MEGABYTE = 1 << 20

# What only root may do without is a namespace in which the user is root.
UNSHARE = ["unshare", "--mount"]
if os.geteuid() != 0:
    UNSHARE += ["--user", "--map-root-user"]


class Disk:
    """A disk for a kernel's cache folder, which only this kernel sees."""

    def __init__(self, cache: Path, megabytes: int, writable: bool = True) -> None:
        if subprocess.run([*UNSHARE, "true"], check=False).returncode:
            pytest.skip("this machine lets nobody mount anything")
        mode = "rw" if writable else "ro"
        mount = f'mount -t tmpfs -o size={megabytes}m,{mode} tmpfs "$0" && exec "$@"'
        self.cache = cache
        self.through = [*UNSHARE, "sh", "-c", mount, str(cache)]

    def _seen(self, kernel: Kernel) -> Path:
        """The folder as it is seen from outside."""
        process = kernel.manager.provisioner.pid
        return Path(f"/proc/{process}/root{self.cache}")

    def fill(self, kernel: Kernel) -> None:
        """Leaves no room."""
        with contextlib.suppress(OSError), (self._seen(kernel) / "full").open("wb") as file:
            while True:
                file.write(bytes(MEGABYTE))
                file.flush()

    def free(self, kernel: Kernel) -> None:
        """Takes away what fills it."""
        (self._seen(kernel) / "full").unlink()

    def make_writable(self, kernel: Kernel) -> None:
        """As the owner of the machine would."""
        process = str(kernel.manager.provisioner.pid)
        enter = ["nsenter", "--target", process, "--mount"]
        if os.geteuid() != 0:
            enter += ["--user", "--preserve-credentials"]
        subprocess.run([*enter, "mount", "-o", "remount,rw", str(self.cache)], check=True)


class Registry:
    """A registry of crates that can be reached when the test says so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: ThreadingHTTPServer | None = None
        with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as own:
            self.port = own.server_port
        url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "CARGO_REGISTRIES_MORCEAUX_TEST_INDEX": f"sparse+{url}/index/",
            # The default waits for minutes, with pauses in between.
            "CARGO_NET_RETRY": "1",
        }
        (folder / "index").mkdir()
        (folder / "index" / "config.json").write_text(json.dumps({"dl": f"{url}/crates/{{crate}}"}))

    def add(self, name: str, source: str) -> None:
        """Publishes a crate, as version 1.0.0."""
        manifest = f'[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2024"\n'
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path, text in (("Cargo.toml", manifest), ("src/lib.rs", source)):
                entry = tarfile.TarInfo(f"{name}-1.0.0/{path}")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        (self._folder / "crates").mkdir(exist_ok=True)
        (self._folder / "crates" / name).write_bytes(packed.getvalue())
        entry = {
            "name": name,
            "vers": "1.0.0",
            "deps": [],
            "features": {},
            "cksum": hashlib.sha256(packed.getvalue()).hexdigest(),
            "yanked": False,
        }
        # Where cargo looks for names of four letters and more.
        index = self._folder / "index" / name[:2] / name[2:4] / name
        index.parent.mkdir(parents=True)
        index.write_text(json.dumps(entry))

    @contextlib.contextmanager
    def reachable(self) -> Iterator[None]:
        """Until the end of the block, it answers."""

        class Handler(SimpleHTTPRequestHandler):
            def __init__(handler, *args: object) -> None:
                super().__init__(*args, directory=str(self._folder))

            def log_message(self, *args: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", self.port), Handler) as server:
            threading.Thread(target=server.serve_forever).start()
            try:
                yield
            finally:
                server.shutdown()


def executable(name: str) -> str:
    """The path of a tool that the tests need themselves."""
    path = shutil.which(name)
    assert path, f"{name} is not on the PATH"
    return path
