"""Tiny image and text models, saved as transformers saves them, with a tokenizer of letters and a few words."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tests.backbones.tiny_families import tiny_family
from tests.tiny_models import SIDE

START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WIDTH, HEADS, BLOCKS, LENGTH = 16, 2, 2, 40


def vocabulary() -> dict[str, int]:
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), START, END]
    return {piece: number for number, piece in enumerate(pieces)}


def tiny_towers(family: str, seed: int = 0) -> nn.Module:
    """A CLIPModel or SiglipModel whose image side has the shape of `tiny_family(family)`; weights far from initial."""
    import transformers

    name = {"clip": "CLIP", "siglip": "Siglip"}[family]
    vision, ids = tiny_family(family), vocabulary()
    text = {"hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS, "intermediate_size": 24}
    text |= {"vocab_size": len(ids), "max_position_embeddings": LENGTH}
    text |= {"eos_token_id": ids[END], "bos_token_id": ids[START], "pad_token_id": ids[END]}
    if family == "siglip":
        text |= {"projection_size": vision.config.hidden_size}
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision.config.to_dict())
    torch.manual_seed(seed)
    model = getattr(transformers, f"{name}Model")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def saved_towers(folder: Path, family: str = "clip", seed: int = 0, model: nn.Module | None = None) -> Path:
    """Model, tokenizer and image processor in a folder."""
    from transformers import CLIPImageProcessorPil, CLIPTokenizer

    (model or tiny_towers(family, seed)).save_pretrained(folder)
    CLIPTokenizer(vocab=vocabulary(), merges=[], model_max_length=LENGTH).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SIDE).save_pretrained(folder)
    return folder
