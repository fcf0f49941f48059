"""Runs the experiment as far as time allows, goes on where it stopped, and writes its report.

python -m paper_tables.run OUT --comfyui COMFYUI [--only STAGE ...] [--minutes N] [--workers N] [--estimate] [--cut]
Run it in benchmarks/, in ComfyUI's environment. OUT keeps every result; a second call repeats nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from small_world import checkpoint as small_world_checkpoint
from small_world import judge as small_world_judge

from . import archive
from .budget import Amount, amount, described, measure
from .job import jobs_of, unscored
from .plan import CUT, WHOLE, Run, Scale
from .recipe import changes, improved_settings
from .report import write_report
from .results import Results
from .stages import NAMES, stage
from .store import Store
from .workers import Places, Workers, places_in

log = logging.getLogger(__name__)


def run(places: Places, scale: Scale, workers: Workers, names: Sequence[str]) -> bool:
    """The stages, one after the other; True when all is done."""
    results = Results(Store(places.results))
    for name in names:
        # What pays is known when the stage before is done.
        wanted = stage(name, scale, improved_settings(scale, results))
        log.info("Stage %s%s", name, "." if wanted.tables else ": nothing to do.")
        if not workers.finish(jobs_of(wanted.runs(), scale.checkpoint_every)):
            return False
    return True


def places_of(options: argparse.Namespace) -> Places:
    """Paths, made absolute; assembles the checkpoint where none is given. Says what is missing."""
    if not options.judge.is_file():
        raise ValueError(f"{options.judge} is not there; train the judge first: python -m small_world.train_judge")
    source: Path = options.checkpoint or small_world_checkpoint.COMPACT
    if not source.is_file():
        raise ValueError(f"{source} is not there; train the small world first, or check out the repository whole.")
    places = places_in(options.out, options.comfyui, options.checkpoint, options.judge)
    if not options.cut and (brought := archive.unpack(options.out)):
        log.info("%d results come from %s.", brought, archive.FILE)
    return places


def estimate(places: Places, scale: Scale, workers: Workers, names: Sequence[str]) -> str:
    """What is left of every stage, in its order: what an earlier one does, a later one finds."""
    results = Results(Store(places.results))
    speed = measure(workers.world, scale.examination)
    improved = improved_settings(scale, results)
    recipe = jobs_of(stage("recipe", scale, None).runs(), scale.checkpoint_every)
    if any(unscored(job, results.store) for job in recipe):
        improved = next(iter(changes(scale.of("dti")).values()))  # as if something paid
    lines, before = [], Amount(0, 0, 0)
    runs: list[Run] = []
    for name in names:
        runs += stage(name, scale, improved).runs()
        total = amount(jobs_of(runs, scale.checkpoint_every), results.store)
        lines.append(f"{name:10} {described(total - before, speed)}")
        before = total
    whole = amount(jobs_of(runs, scale.checkpoint_every))
    ends = [f"{'in all':10} {described(before, speed)}", f"{'from none':10} {described(whole, speed)}"]
    return "\n".join(["Left:", *lines, *ends])


def main() -> None:
    parser = argparse.ArgumentParser(description="The paper's tables on the small world.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="an assembled one, instead of the repository's small world")
    parser.add_argument("--judge", type=Path, default=small_world_judge.FILE)
    parser.add_argument("--minutes", type=float, help="stop starting new runs after this time")
    parser.add_argument("--workers", type=int, default=1, help="of one core each; more than one need Ray")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="STAGE", help=", ".join(NAMES))
    parser.add_argument("--cut", action="store_true", help="two subjects, a few steps: does everything run?")
    parser.add_argument("--estimate", action="store_true", help="say how long it would take, and do nothing")
    parser.add_argument("--report", action="store_true", help="write the report of what is there, and do nothing else")
    options = parser.parse_args()
    if options.workers > 1 and find_spec("ray") is None:
        parser.error("more than one worker need Ray: pip install ray")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the workers; this process sets its own
    scale = CUT if options.cut else WHOLE
    deadline = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    try:
        places = places_of(options)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    with Workers(places, options.workers, deadline) as workers:
        if options.estimate:
            log.info("%s", estimate(places, scale, workers, options.only))
            return
        if not options.report:
            done = run(places, scale, workers, options.only)
            log.info("All done." if done else "Stopped; call again to go on.")
        report = write_report(places.results, scale, Results(Store(places.results)), workers)
        log.info("Wrote %s.", report)


if __name__ == "__main__":
    main()
