"""Runs the experiment as far as time allows, goes on where it stopped, and writes its report.

python -m paper_tables.run OUT --comfyui COMFYUI [--minutes N] [--workers N] [--estimate] [--cut]
Run it in benchmarks/, in ComfyUI's environment. OUT keeps every result; a second call repeats nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path

from small_world import checkpoint as small_world_checkpoint
from small_world import judge as small_world_judge
from small_world.comfyui import use_comfyui

from . import archive
from .budget import amount, described, measure
from .job import Job, jobs_of
from .main_tables import main_tables
from .plan import CUT, WHOLE, Scale, Table
from .report import write_report
from .results import Results
from .store import Store, digest_of_file
from .sweeps import deciding_tables, showing_tables
from .workers import Places, Workers, start_quiet_log

log = logging.getLogger(__name__)


def jobs(tables: list[Table], scale: Scale) -> list[Job]:
    """Jobs of tables, each training once, in the tables' order."""
    runs = [run for table in tables for run in table.runs()]
    return jobs_of(runs, scale.checkpoint_every)


def run(places: Places, scale: Scale, workers: Workers) -> bool:
    """First what decides, then what shows and reports with what was chosen; True when all is done."""
    results = Results(Store(places.results))
    for table in deciding_tables(scale):
        log.info("%s", table.name)
        if not workers.finish(jobs([table], scale)):
            return False
    # All at once, since a training serves several tables; every table has its first seed before any has more.
    left = jobs([*main_tables(scale, results.axes), *showing_tables(scale)], scale)
    return workers.finish(sorted(left, key=lambda job: job.run.seed > 1))


def places_of(options: argparse.Namespace) -> Places:
    """Paths, made absolute; assembles the checkpoint where none is given. Says what is missing."""
    out = options.out.resolve()
    comfyui = use_comfyui(options.comfyui)
    start_quiet_log()
    judge = options.judge.resolve()
    if not judge.is_file():
        raise ValueError(f"{judge} is not there; train the judge first: python -m small_world.train_judge")
    # The compact file names our own world: rows that it leaves out differ in their last bit from machine to machine.
    source: Path = _there(options.checkpoint or small_world_checkpoint.COMPACT)
    world, file = digest_of_file(source), options.checkpoint
    if file is None:
        file = out / "checkpoints" / f"small_world_{world}.safetensors"
        if not file.is_file():
            small_world_checkpoint.assemble(file, source)
    if not options.cut and (brought := archive.unpack(out)):
        log.info("%d results come from %s.", brought, archive.FILE)
    results = out / f"world_{world}" / f"judge_{digest_of_file(judge)}"
    return Places(comfyui, file.resolve(), judge, results)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path} is not there; train the small world first, or check out the repository whole.")
    return path


def estimate(places: Places, scale: Scale, workers: Workers) -> str:
    """What is left and what all of it is, in hours; the chosen settings are not known before, but their number is."""
    results = Results(Store(places.results))
    speed = measure(workers.world, scale.examination)
    tables = [*deciding_tables(scale), *main_tables(scale, results.axes), *showing_tables(scale)]
    wanted = jobs(tables, scale)
    left, whole = described(amount(wanted, results.store), speed), described(amount(wanted), speed)
    return f"Left: {left}\nIn all: {whole}"


def main() -> None:
    parser = argparse.ArgumentParser(description="The paper's tables on the small world.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="an assembled one, instead of the repository's small world")
    parser.add_argument("--judge", type=Path, default=small_world_judge.FILE)
    parser.add_argument("--minutes", type=float, help="stop starting new runs after this time")
    parser.add_argument("--workers", type=int, default=1, help="processes of one core each")
    parser.add_argument("--cut", action="store_true", help="two subjects, a few steps: does everything run?")
    parser.add_argument("--estimate", action="store_true", help="say how long it would take, and do nothing")
    parser.add_argument("--report", action="store_true", help="write the report of what is there, and do nothing else")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the workers; this process sets its own
    scale = CUT if options.cut else WHOLE
    deadline = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    try:
        places = places_of(options)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    with Workers(places, options.workers, deadline) as workers:
        if options.estimate:
            log.info("%s", estimate(places, scale, workers))
            return
        if not options.report:
            done = run(places, scale, workers)
            log.info("All done." if done else "Stopped; call again to go on.")
        report = write_report(places.results, scale, Results(Store(places.results)), workers)
        log.info("Wrote %s.", report)


if __name__ == "__main__":
    main()
