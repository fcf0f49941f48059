"""All small families. One more is a `Family` in a module of its own, and its module's name here."""

from __future__ import annotations

from . import flux, lumina, pixart, sd1, sd2, sd3, sdxl
from .family import Family

FAMILIES: dict[str, Family] = {
    family.name: family for module in (sd1, sd2, sdxl, sd3, flux, pixart, lumina) for family in module.FAMILIES
}
