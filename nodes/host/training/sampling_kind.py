"""What a network predicts, as its model_sampling says: noise, v or a flow's velocity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import comfy.model_base
import comfy.model_sampling
from torch import Tensor

from ....dti_core.training.objective import noise_error, velocity_error

if TYPE_CHECKING:
    from comfy.model_base import BaseModel

# A class that the host puts together for each model: the noise schedule, and what is predicted.
ModelSampling = Any


def training_error(sampling: ModelSampling) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The error in which the checkpoint was trained, for the host's `model_sampling`.

    Raises ValueError for a kind of sampling whose objective is not known here.
    """
    host = comfy.model_sampling
    # These predict the image itself, whatever they are derived from; older hosts lack the last.
    is_image = isinstance(sampling, (host.X0, getattr(host, "IMG_TO_IMG_FLOW", host.X0)))
    if isinstance(sampling, host.V_PREDICTION):  # and EDM, its subclass
        return partial(velocity_error, sigma_data=float(sampling.sigma_data))
    if isinstance(sampling, (host.CONST, host.EPS)) and not is_image:
        return noise_error
    raise ValueError(
        f"The model's sampling is {kind_of(sampling)}, and DTI trains eps, v-prediction and flow models. "
        "Use such a model, or connect it before the node that changes its sampling."
    )


def kind_of(sampling: ModelSampling) -> str:
    """The names of the host's classes behind it: what is predicted, and how noise levels are told to the network."""
    kinds = [kind.__name__ for kind in type(sampling).__mro__ if kind.__module__ == comfy.model_sampling.__name__]
    return " + ".join(kinds)


def own_sampling(model: BaseModel) -> ModelSampling:
    """The sampling that the checkpoint itself is taken for, whatever nodes have made of it since."""
    return comfy.model_base.model_sampling(model.model_config, model.model_type)


def noise_ratios(sampling: ModelSampling) -> Tensor:
    """The schedule as noise to image, the same measure for every kind: `[n]`."""
    sigmas = sampling.sigmas.float()
    one, none = sigmas.new_ones(len(sigmas), 1, 1, 1), sigmas.new_zeros(len(sigmas), 1, 1, 1)
    noise, image = sampling.noise_scaling(sigmas, one, none), sampling.noise_scaling(sigmas, none, one)
    ratios: Tensor = (noise / image).flatten()
    return ratios
