"""How fast code runs in cells, against the same code in a program built by `cargo build --release`.

    python kernel/bench/runtime.py [--rounds N] [--kernel KERNEL]

Each round runs every function of `workloads.rs` in both, one right after the other, so that what else
the machine does meets both. Printed are the shortest times, which what else the machine does can only
make longer, with their ratio, and the ratio of the medians. Cells run at `:opt 3`, as the
program is built; the program uses the same version of tokio, with as many worker threads.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from jupyter_client.manager import KernelManager

HERE = Path(__file__).parent
WORKLOADS = (HERE / "workloads.rs").read_text()
NAMES = re.findall(r"^async fn (\w+)\(\)", WORKLOADS, re.MULTILINE)

TIMEOUT = 300.0

MANIFEST = """
[package]
name = "workloads"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = {{ version = "={tokio}", features = ["full"] }}

[workspace]
"""

# Runs the functions that are named on its standard input.
MAIN = """
#[tokio::main]
async fn main() {
    let mut names = String::new();
    while { names.clear(); std::io::stdin().read_line(&mut names).unwrap() > 0 } {
        let seconds = match names.trim() {
            ARMS
            other => panic!("{other}"),
        };
        println!("{seconds}");
    }
}
"""


def tokio_version() -> str:
    """The version that the cells share."""
    lock = (HERE.parent.parent / "Cargo.lock").read_text()
    found = re.search(r'name = "tokio"\nversion = "([^"]+)"', lock)
    assert found
    return found[1]


class Program:
    """The functions in a program."""

    def __init__(self, folder: Path) -> None:
        (folder / "src").mkdir()
        (folder / "Cargo.toml").write_text(MANIFEST.format(tokio=tokio_version()))
        arms = "\n".join(f'"{name}" => {name}().await,' for name in NAMES)
        (folder / "src" / "main.rs").write_text(WORKLOADS + MAIN.replace("ARMS", arms))
        target = folder / "target"
        build = ["cargo", "build", "--quiet", "--release", "--target-dir", target]
        subprocess.run(build, cwd=folder, check=True)
        self._process = subprocess.Popen(
            [target / "release" / "workloads"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def run(self, name: str) -> float:
        """The seconds of a function."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{name}\n")
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the program."""
        self._process.communicate()


class Cells:
    """The functions in cells."""

    def __init__(self, kernel: str) -> None:
        self.manager = KernelManager(kernel_name=kernel)
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)
        self._execute(":opt 3")
        self._execute(WORKLOADS)

    def run(self, name: str) -> float:
        """The seconds of a function."""
        return float(self._execute(f'println!("{{}}", {name}().await);'))

    def _execute(self, code: str) -> str:
        printed: list[str] = []

        def take(message: dict) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=TIMEOUT, output_hook=take)
        if reply["content"]["status"] != "ok":
            raise SystemExit("\n".join(reply["content"]["traceback"]))
        return "".join(printed)

    def close(self) -> None:
        """Ends the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kernel", default="morceaux")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program, cells = Program(Path(folder)), Cells(options.kernel)
        seconds = {name: ([], []) for name in NAMES}
        for _ in range(options.rounds):
            for name in NAMES:
                for side, taken in zip((cells, program), seconds[name], strict=True):
                    taken.append(side.run(name))
        program.close()
        cells.close()
    print(f"{'shortest':12} {'cell':>9} {'program':>9} {'ratio':>6} {'of medians':>11}")
    for name, taken in seconds.items():
        (a, b), (c, d) = map(min, taken), map(statistics.median, taken)
        print(f"{name:12} {a:7.3f} s {b:7.3f} s {a / b:6.3f} {c / d:11.3f}")


if __name__ == "__main__":
    main()
