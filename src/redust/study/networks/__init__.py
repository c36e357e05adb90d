"""The networks of the thesis, beside the one that ReDust ships."""

from __future__ import annotations

from typing import Any

from torch import nn

from redust.models.networks import NETWORKS, build_from

STUDY_NETWORKS = {
    "unet": NETWORKS["unet"],
    "unet-thesis": "redust.study.networks.unet_thesis:ThesisUNet",
    "cnn": "redust.study.networks.cnn:CellCNN",
}


def build_study_network(name: str, **options: Any) -> nn.Module:
    """Make one of the networks that the study compares, with fresh weights.

    Raises
    ------
    SettingsError
        If there is no network of that name, or it has no such option.
    """
    return build_from(STUDY_NETWORKS, name, **options)
