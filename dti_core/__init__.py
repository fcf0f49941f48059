"""Directional Textual Inversion: the algorithm, without a host. Needs torch, numpy and safetensors only."""

__version__ = "0.1.0"
