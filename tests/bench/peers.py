"""What the comparisons with other software share: running Caldera, taking turns, the table.

The contestants are measured in short rounds, by turns (A B A B ...), so that a machine that grows
slower or faster meanwhile hits them all alike. A figure is the median of its rounds' medians.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NETS = ("resnet18", "resnet50", "vgg16")
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
CALDERA = "caldera"  # Its name in tables.


class PeerError(Exception):
    """What stops a comparison, in one line."""


@dataclass(frozen=True)
class Contestant:
    name: str
    median_ms: Callable[[int], float]  # Of so many runs, after one that does not count.


@dataclass(frozen=True)
class Row:
    labels: dict[str, str | int]      # The columns that say what was run.
    rounds: dict[str, list[float]]    # Each contestant's median of each round, in milliseconds.

    def median(self, contestant: str) -> float:
        return statistics.median(self.rounds[contestant])

    def ratio(self, peer: str) -> float:
        """How many times as fast as the peer Caldera is."""
        return self.median(peer) / self.median(CALDERA)

    def as_json(self) -> dict[str, Any]:
        return {**self.labels,
                "median_ms": {name: self.median(name) for name in self.rounds},
                "ratio": {name: self.ratio(name) for name in self.rounds if name != CALDERA},
                "rounds_ms": self.rounds}


@dataclass(frozen=True)
class Caldera:
    """The program: a process for each measurement."""

    program: str
    device: str | None

    def bench(self, net: str, batch: int, precision: str, repeat: int, train: bool = False,
              environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object of `caldera bench`."""
        command = [*launcher(), self.program, "bench", net, "--batch", str(batch),
                   "--precision", precision, "--repeat", str(repeat), "--json"]
        if train:
            command += ["--train"]
        if self.device is not None:
            command += ["--device", self.device]
        return run_json(command, environment)

    def contestant(self, net: str, batch: int, precision: str, train: bool = False) -> Contestant:
        def median_ms(repeat: int) -> float:
            return float(self.bench(net, batch, precision, repeat, train)["median_ms"])

        return Contestant(CALDERA, median_ms)

    def device_and_driver(self) -> tuple[str, str]:
        """The device that is taken; the smallest net tells."""
        result = self.bench("cifar_resnet20", 1, "fp32", 1)
        return result["device"], result["driver"]


def find_caldera(path: str | None) -> str:
    built = CHECKOUT / "build" / "release" / "tools" / "caldera"
    program = shutil.which(path or (built if built.exists() else "caldera"))
    if program is None:
        raise PeerError(f"no program at {path}" if path else
                        "no caldera: build it (tools/quickstart.sh), or name it with --caldera")
    return program


def launcher() -> list[str]:
    """What tests/on_driver.sh wants before a command line that is to see the same driver."""
    return shlex.split(os.environ.get("CALDERA_TEST_LAUNCHER", ""))


def run_json(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Any:
    """Runs a program that prints one JSON value."""
    done = subprocess.run(command, env={**os.environ, **(environment or {})},
                          capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = said[-1] if said else f"exit code {done.returncode}"
        raise PeerError(f"`{shlex.join(command)}` failed: {reason}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        raise PeerError(f"`{shlex.join(command)}` printed no JSON") from None


def cpu_threads() -> int:
    return len(os.sched_getaffinity(0))


def time_calls(call: Callable[[], object], repeat: int) -> float:
    """The median of so many calls in milliseconds, after one that does not count."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def take_turns(contestants: Sequence[Contestant], rounds: int,
               repeat: int) -> dict[str, list[float]]:
    medians: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for _ in range(rounds):
        for contestant in contestants:
            medians[contestant.name].append(contestant.median_ms(repeat))
    return medians


def print_table(rows: Sequence[Row]) -> None:
    """A line a row; the fastest peer of a row bears an asterisk. All rows have the same columns."""
    peers = [name for name in rows[0].rounds if name != CALDERA]
    lines = [[*rows[0].labels, f"{CALDERA} ms"]]
    for peer in peers:
        lines[0] += [f"{peer} ms", "ratio"]
    for row in rows:
        fastest = min(peers, key=row.median)
        line = [*map(str, row.labels.values()), f"{row.median(CALDERA):.2f}"]
        for peer in peers:
            mark = "*" if peer == fastest and len(peers) > 1 else ""
            line += [f"{row.median(peer):.2f}{mark}", f"{row.ratio(peer):.2f}x"]
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells[1:]]))
    star = "; * the fastest peer" if len(peers) > 1 else ""
    print(f"ratio: how many times as fast Caldera is{star}")


def print_runs(args: argparse.Namespace) -> None:
    print(f"runs: {args.rounds * args.repeat} a figure ({args.repeat} a round, rounds by turns: "
          f"{args.rounds}), the median of the rounds' medians; each round's first run not counted")


def write_json(path: pathlib.Path | None, rows: Sequence[Row], **about: Any) -> None:
    if path is not None:
        result = {**about, "rows": [row.as_json() for row in rows]}
        path.write_text(json.dumps(result, indent=2) + "\n")


def count(text: str) -> int:
    """An argument that is a positive whole number."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def make_parser(description: str | None, batch: str, precision: str,
                more_nets: Sequence[str] = ()) -> argparse.ArgumentParser:
    """`more_nets`: those to be asked for by name, beside NETS."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=(*NETS, *more_nets), default=NETS,
                        metavar="NET", help=f"which of {', '.join((*NETS, *more_nets))} "
                        f"(default: {', '.join(NETS)})")
    parser.add_argument("--batch", nargs="+", type=count, metavar="N",
                        help=f"images at once (default: {batch})")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "fp16"), metavar="P",
                        help=f"fp32, fp16 or both (default: {precision})")
    parser.add_argument("--rounds", type=count, default=3, metavar="N",
                        help="turns of each contestant (default: %(default)s)")
    parser.add_argument("--repeat", type=count, default=3, metavar="N",
                        help="timed runs a turn (default: %(default)s); "
                        "with the rounds, make it 7 runs or more")
    parser.add_argument("--caldera", metavar="PATH",
                        help="the program (default: build/release/tools/caldera, else on PATH)")
    parser.add_argument("--device", metavar="DEVICE",
                        help="Caldera's device by name, index or UUID; see `caldera devices`")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all figures there")
    return parser


def run_main(main: Callable[[], None]) -> None:
    """Calls main; what stops it is told in one line."""
    try:
        main()
    except PeerError as error:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
