"""What goes on inside of a trained model: where its sequence encoder looks, and both codes in the space they share.

Pictures are made of it (`plot`); nothing here is needed to serve a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepdxf.collate import collate
from deepdxf.drawing import Drawing, FloatArray
from deepdxf.encoders.attention import Pool, TransformerLayer, rotary
from deepdxf.encoders.dual import DualEncoder
from deepdxf.encoders.ragged import buckets, lowest_outside
from deepdxf.encoders.sequence import Funnel, SequenceEncoder
from deepdxf.errors import EncoderError
from deepdxf.graph import DrawingCode
from deepdxf.loader import code_of

AT_ONCE = 32  # drawings of a batch


def shared_codes(model: DualEncoder, drawings: Sequence[Drawing]) -> tuple[FloatArray, FloatArray]:
    """(n, d) sequence and (n, d) geometry codes of drawings after the heads that training compares them by.

    The vectors that are served have other axes for each code and, whitened, are centred already; only behind the heads
    for the contrast across codes does it mean something whether the two lie in the same place.

    Raises:
        EncoderError: the model has not both codes.
    """
    if model.sequence is None or model.geometry is None:
        raise EncoderError(f"the model has no other code than {model.config.codes}; two codes are to be compared")
    parts = []
    with torch.inference_mode():
        for first in range(0, len(drawings), AT_ONCE):
            codes = [code_of(drawing, "", model.config) for drawing in drawings[first : first + AT_ONCE]]
            encoded = model(collate(codes), ("sequence", "geometry"))
            parts.append([model.project(encoded[c], f"{c}_across").double().numpy() for c in ("sequence", "geometry")])
    sequence, geometry = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sequence, geometry


# --- attention -------------------------------------------------------------------------------------------------------


def attention(model: DualEncoder, drawing: Drawing) -> FloatArray:
    """(n,) share of the attention that each row of a drawing gets in the sequence encoder; see `code_attention`.

    Rows that the code leaves out (INSERT in the rich code, content of blocks in the classic one, rows beyond the limit)
    have 0, the others sum to 1.

    Raises:
        EncoderError: the model has no sequence encoder, or the drawing nothing that it reads.
    """
    if model.sequence is None:
        raise EncoderError("the model has no sequence encoder; name one that has (encoder.codes: both or sequence)")
    code = code_of(drawing, "", model.config)
    rows = np.flatnonzero(drawing.depth == 0) if model.sequence.classic else code.rich.row
    found = code_attention(model.sequence, [code])[0]
    if not len(found):
        raise EncoderError("the drawing has no entities that the model reads")
    share = np.zeros(len(drawing))
    share[rows[: len(found)]] = found
    return share


def code_attention(encoder: SequenceEncoder, codes: Sequence[DrawingCode]) -> list[FloatArray]:
    """Of each drawing (m,) the share of the attention that each row of its sequence code gets; each sums to 1.

    What the pool's attention weighs, traced back through the layers by rollout (Abnar and Zuidema, Quantifying
    Attention Flow in Transformers, ACL 2020): A = (I + mean over heads of the attention) / 2, multiplied up to the
    tokens. A token that stands for several rows (a patch, or what a funnel has halved) shares its part evenly among
    them. The pool's mean and maximum, which look at everything, are not in it.
    """
    layers = [module for module in encoder.modules() if isinstance(module, TransformerLayer)]
    seen: list[list[Tensor]] = [[] for _ in layers]  # by layer and bucket: (b, s, s)
    pooled: list[Tensor] = []  # by bucket: (b, s)
    there: list[Tensor] = []  # by bucket: (b, s)

    def look(layer: TransformerLayer, number: int) -> Any:
        return layer.register_forward_pre_hook(lambda _, given: seen[number].append(_attention_of(layer, *given)))

    def look_at_pool(pool: Pool, given: tuple[Tensor, Tensor]) -> None:
        x, mask = given
        weight = lowest_outside(pool.score(pool.norm(x)), mask[:, :, None]).softmax(dim=1)
        pooled.append(weight.mean(dim=2) * mask)
        there.append(mask)

    was_training = encoder.training
    encoder.eval()
    with ExitStack() as hooks, torch.inference_mode():
        for number, layer in enumerate(layers):
            hooks.callback(look(layer, number).remove)
        hooks.callback(encoder.pool.register_forward_pre_hook(look_at_pool).remove)
        batch = collate(codes)
        encoder(batch)
    encoder.train(was_training)

    rows = (batch.classic_start if encoder.classic else batch.start).diff()
    size = encoder.patches.size if encoder.patches is not None else 1
    result: list[FloatArray] = [np.zeros(0)] * len(codes)
    for bucket, members in enumerate(buckets((rows + size - 1) // size)):
        share = pooled[bucket][:, None]  # (b, 1, s)
        for layer_seen in reversed(seen):
            share = (share + share @ layer_seen[bucket]) / 2.0
        for member, of_tokens, mask in zip(members.tolist(), share[:, 0], there[bucket], strict=True):
            result[member] = _by_row(encoder, of_tokens[mask].double().numpy(), int(rows[member]), size)
    return result


def _attention_of(layer: TransformerLayer, x: Tensor, mask: Tensor) -> Tensor:
    """(b, s, s) mean over heads of how much each token takes from each other one; as `TransformerLayer.forward`."""
    norm = layer.norm(x)
    query, key = (part(norm).unflatten(2, (layer.heads, -1)).transpose(1, 2) for part in (layer.query, layer.key))
    if layer.rotate:
        query, key = rotary(query), rotary(key)
    score = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    seen = (mask | ~mask.any(dim=1, keepdim=True))[:, None, None, :]
    return lowest_outside(score, seen).softmax(dim=3).mean(dim=1)


def _by_row(encoder: SequenceEncoder, tokens: FloatArray, rows: int, size: int) -> FloatArray:
    """(rows,) shares out of those of tokens (t,), each of which stands for as many rows as the mixer has put together."""
    if isinstance(encoder.mixer, Funnel):
        left = rows
        while left > encoder.mixer.most:
            left, size = -(-left // 2), 2 * size
    token = np.arange(rows) // size
    share = tokens[token] / np.bincount(token)[token]
    result: FloatArray = share / max(float(share.sum()), 1e-12)
    return result
