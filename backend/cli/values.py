"""Texts of options and of cells to values, where these are the protocol's own."""

from __future__ import annotations

import argparse

from elevator.cli.values import weighted
from shared_protocol.messages import LoraChoice


def lora(text: str) -> LoraChoice:
    """ "ink.safetensors:0.8", or a name alone. For argparse."""
    name, weight = weighted(text)
    if name == text and ":" in text:  # names that a backend knows are names of files, without colons
        raise argparse.ArgumentTypeError(f'"{text.rpartition(":")[2]}" in "{text}" is no weight: write it like ink:0.8')
    return LoraChoice(name=name, weight=weight)
