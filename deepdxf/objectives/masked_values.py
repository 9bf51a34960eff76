"""Masked modelling in values: restore the continuous parameters of hidden entities (MAE's form, He et al., CVPR 2022).

Mean squared error on hidden entities only, over the values that an entity has; what its class does not use is not asked.
"""

from __future__ import annotations

from torch import Tensor

from deepdxf.objectives.parts import average, fp32


@fp32
def masked_values(predicted: Tensor, values: Tensor, corrupted: Tensor) -> Tensor:
    """Mean over the hidden ones of m entities of their mean squared error.

    ``predicted``, ``values`` (m, w), NaN = absent; ``corrupted`` (m,) bool, the hidden ones.
    """
    errors, has = row_errors(predicted, values)
    return average(errors[has & corrupted])


def row_errors(predicted: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """(m,) mean squared error over the present values of each row, and (m,) bool, which rows have any."""
    absent = values.isnan()
    present = (~absent).sum(-1)
    squares = (predicted - values.nan_to_num()).masked_fill(absent, 0.0).square().sum(-1)
    return squares / present.clamp(min=1), present > 0
