"""The same of DTI Train in a real ComfyUI: the Stop button at any moment of a workflow, and its process killed.

The time from a workflow's start to Stop is drawn from all that it takes: images are encoded, models loaded and tried,
steps done under several memory plans, previews made, states and embeddings saved, the result drawn.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from benchmarks.interruptions.count import Vectors
from benchmarks.small_host import PLANS, SmallHost
from comfy_host.client import Client, Event, HostError, InterruptedPromptError
from comfy_host.graphs import Graph, text_to_image

STEPS = 6
# Each has its turn, as PLANS have; runs of one recipe have the same seed too.
METHODS = ("DTI", "Textual Inversion", "DTI", "projected AdamW")
RECIPES = 6
PROMPT = "a photo of a cat on the beach"


class Runs:
    """Runs of DTI Train on a host that stays, and on others that are killed.

    stays, client: the host that stays, and a session with it. batch_size: the default makes steps that take longer
    than twenty times what their states take to write, so that each is written.
    """

    def __init__(self, stays: SmallHost, client: Client, chance: random.Random, batch_size: int = 12) -> None:
        self._stays, self._client, self._chance, self._batch_size = stays, client, chance, batch_size
        self._alone: dict[int, Vectors] = {}
        self._seconds = 0.0
        self.stopped_at: list[str] = []
        self.images: list[bool] = []  # whether the host drew PROMPT as at first, after each run that came to its end
        self._image = self._drawn(client)

    def left_alone(self, number: int) -> Vectors:
        """The vectors of a run that nothing disturbs."""
        recipe = number % RECIPES
        if recipe not in self._alone:
            begun = time.monotonic()
            self._client.run(self._graph(recipe, f"alone_{recipe}"))
            self._seconds = time.monotonic() - begun
            self._alone[recipe] = self._stays.vectors(f"alone_{recipe}")
        return self._alone[recipe]

    def stopped(self, number: int) -> tuple[list[int], Vectors | None]:
        """An attempt that Stop ends at any moment, or that comes to its end before."""
        steps: list[int] = []
        prompt = self._client.submit(self._graph(number, f"cut_{number}"))
        timer = threading.Timer(self._chance.random() * self._seconds, self._client.interrupt)
        timer.start()
        try:
            self._client.wait(prompt, _noting(steps))
        except InterruptedPromptError:
            self.stopped_at.append("before" if not steps else "after" if steps[-1] == STEPS else "during")
            return steps, None
        finally:
            timer.cancel()
            timer.join()
        self._look_again(self._client)
        return steps, self._stays.vectors(f"cut_{number}")

    def killed(self, number: int, other: SmallHost) -> tuple[list[int], Vectors | None]:
        """An attempt in another host, started for it and killed some moments after a step drawn by chance.

        It comes to its end where fewer steps are left, and where the result is on the disk before the process dies.
        """
        steps: list[int] = []
        name = f"cut_{number}"
        until, seconds = self._chance.randint(1, STEPS), self._chance.random() * self._seconds / STEPS
        with other.started() as client:
            note = _noting(steps)
            timer = threading.Timer(seconds, client.host.process.kill)

            def on_event(event: Event) -> None:
                note(event)
                if steps and steps[-1] - steps[0] >= until and not timer.ident:
                    timer.start()

            try:
                client.run(self._graph(number, name), on_event)
            except HostError:
                if not timer.ident:
                    raise
                return steps, other.vectors(name) if other.has(name) else None
            finally:
                timer.cancel()
            self._look_again(client)
        return steps, other.vectors(name)

    def _graph(self, number: int, name: str) -> Graph:
        return self._stays.training(
            name,
            steps=STEPS,
            batch_size=self._batch_size,
            microbatch_size=4,
            resolution=128,
            seed=number % RECIPES,
            method=METHODS[number % RECIPES % len(METHODS)],
            memory_plan=PLANS[number % RECIPES % len(PLANS)],
            save_every=2,
            preview_every=1,
        )

    def _drawn(self, client: Client) -> bytes:
        # Another prompt before it, since the host keeps what it has drawn.
        client.run(text_to_image(self._stays.checkpoint, "a house"))
        (image,) = client.images(client.run(text_to_image(self._stays.checkpoint, PROMPT)))
        return image.tobytes()

    def _look_again(self, client: Client) -> None:
        self.images.append(self._drawn(client) == self._image)


def _noting(steps: list[int]) -> Callable[[Event], None]:
    """Notes the steps that the progress bar shows: that from which a run goes on, and those that are done then."""

    def on_event(event: Event) -> None:
        if event["type"] == "progress" and event["data"]["node"] == "train":
            steps.append(int(event["data"]["value"]))

    return on_event
