"""Whole runs of DTI Train in this process, its files in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

PIXELS = [torch.rand((64, 64, 3), generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
QUICK = {"initializer": "cat", "steps": 2, "batch_size": 1, "resolution": 64, "save_every": 1, "preview_every": 0}


@dataclass
class WholeRuns:
    """models: model, clip and vae. embeddings, output: the host's folders. shown: what the node said on the way."""

    models: SimpleNamespace
    embeddings: Path
    output: Path
    shown: list[str] = field(default_factory=list)

    def __call__(
        self,
        name: str = "dog",
        pictures: Sequence[torch.Tensor] = PIXELS,
        masks: Sequence[torch.Tensor] = (),
        repeats: Sequence[int] = (),
        **settings: Any,
    ) -> SimpleNamespace:
        """A run by the node's defaults but for QUICK and these."""
        from dti_pack.nodes.train_run import run_training

        return run_training(self.settings(name=name, **settings), pictures, [""], masks, "7", repeats)

    def settings(self, **others: Any) -> dict[str, Any]:
        """The node's defaults but for QUICK and these."""
        from dti_pack.nodes.train_inputs import train_inputs

        one = {entry.id: getattr(entry, "default", None) for entry in train_inputs()}
        return {**one, **vars(self.models), **QUICK, **others}

    def files(self) -> list[str]:
        """Everything in both folders."""
        folders = (self.embeddings, self.output)
        return sorted(path.name for folder in folders for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def whole_run(models: Any, node_mode: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs as the host would call them."""
    import folder_paths
    from dti_pack.nodes import concept_queue, train_run
    from dti_pack.nodes.host.training import notes, run_report
    from dti_pack.nodes.host.training.text_encoder import sub_tokenizers

    runs = WholeRuns(models, tmp_path / "embeddings", tmp_path / "output")
    runs.embeddings.mkdir()
    runs.output.mkdir()
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(runs.embeddings)])
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(runs.output))
    for tokenizer in sub_tokenizers(models.clip).values():
        monkeypatch.setattr(tokenizer, "embedding_directory", [str(runs.embeddings)])
    for module in (concept_queue, train_run, notes, run_report):
        monkeypatch.setattr(module, "show_on_node", lambda text, node_id: runs.shown.append(text))
    for module in (concept_queue, run_report):
        monkeypatch.setattr(module, "notify", runs.shown.append)
    return runs


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch, comfy_modules: None) -> Callable[[int], None]:
    """Makes the host's interrupt come after a step, once."""
    import comfy.model_management
    from dti_pack.nodes.host.training import run_watch

    wanted: list[int] = []
    step = run_watch.RunWatch.step

    def stopping(self: Any, report: Any) -> Any:
        if wanted == [report.step]:
            wanted.clear()
            raise comfy.model_management.InterruptProcessingException
        return step(self, report)

    monkeypatch.setattr(run_watch.RunWatch, "step", stopping)
    return wanted.append
