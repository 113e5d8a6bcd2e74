"""Latents of later layers that an edit moves: its effect on the rest of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hsae.backbones.base import Backbone, Token
from hsae.errors import InputError
from hsae.steering.deltas import Change
from hsae.steering.editor import Editor, edited_layers
from hsae.steering.edits import Edit


@torch.no_grad()
def latent_changes(
    editor: Editor, edit: Edit, start: Mapping[str, Tensor], *, token: Token = "cls", top: int = 10
) -> tuple[Change, ...]:
    """The `top` latents that moved most, in units of their p999, at layers after the first edited one.

    editor: has the edited layers and those to compare. start: cached activations of one image
    `{layer: [1, tokens, d_in]}` at all of these. token: what the SAEs read; of several patches the largest counts.
    Latents that never fired have no unit and are left out, as are those that did not move.
    """
    layers = later_layers(editor.backbone, edit, editor.saes)
    if not layers:
        return ()
    run = editor.run([edit], start, layers)
    if not run.touches(0):
        return ()
    moves: list[tuple[float, Change]] = []
    for layer in layers:
        before = _strongest(editor, start[layer], layer, token)
        after = _strongest(editor, run.activations[layer], layer, token)
        units = torch.as_tensor(editor.p999[layer]).to(before)
        moved = ((after - before).abs() / units).where(units > 0, 0.0)
        for latent in moved.topk(min(top, len(moved))).indices.tolist():
            change = Change(layer, latent, before[latent].item(), after[latent].item())
            moves += [(moved[latent].item(), change)] if moved[latent] > 0 else []
    return tuple(change for _, change in sorted(moves, key=lambda pair: -pair[0])[:top])


def later_layers(backbone: Backbone, edit: Edit, among: Sequence[str] | Mapping[str, object]) -> tuple[str, ...]:
    """Those `among` the layers that come after the first edited one, in model order."""
    order = backbone.layer_names()
    first = order.index(edited_layers(backbone, [edit])[0])
    unknown = sorted(set(among) - set(order))
    if unknown:
        raise InputError(f"layers {unknown}", f"some of {', '.join(order)}")
    return tuple(layer for layer in order[first + 1 :] if layer in among)


def _strongest(editor: Editor, x: Tensor, layer: str, token: Token) -> Tensor:
    """Latents `[d_sae]` of one image's activations `[1, tokens, d_in]`, the largest over the tokens the SAE reads."""
    return editor.saes[layer].encode(editor.backbone.select_token(x, layer, token)[0]).amax(0)
