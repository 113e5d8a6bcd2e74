"""Replacement backward rules for the functions of a block, in one thread and without changing the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Rule = Callable[..., Any]


class Rules(TorchFunctionMode):
    """Calls `table[f]` instead of the torch function `f`, in this thread and inside the `with` block only."""

    def __init__(self, table: Mapping[Any, Rule]) -> None:
        super().__init__()
        self._table = table

    def __torch_function__(self, func: Rule, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._table.get(func, func)(*args, **(kwargs or {}))


class _Sloped(torch.autograd.Function):
    """The value y, and a gradient of `slope` with respect to x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, slope: Tensor | float) -> Tensor:
        ctx.slope = slope
        return y.clone() if y is x else y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.slope, None, None


def scale_gradient(x: Tensor, share: float) -> Tensor:
    """x, with its gradient multiplied by `share`."""
    return _Sloped.apply(x, x, share)


def freeze_slope(function: Rule, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """An activation function y = f(x) with y / x treated as a constant; GELU and SiLU have y / x = 1/2 at 0."""
    with torch.no_grad():
        y = function(x, *args, **kwargs)
        slope = torch.where(x == 0, 0.5, y / x)
    return _Sloped.apply(x, y, slope)


def freeze_std(
    x: Tensor, shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """LayerNorm over the last dimension, with the standard deviation treated as a constant."""
    std = (x.detach().var(-1, keepdim=True, correction=0) + eps).sqrt()
    normal = (x - x.mean(-1, keepdim=True)) / std
    normal = normal if weight is None else normal * weight
    return normal if bias is None else normal + bias


def split_attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    """Attention whose products are shared equally between their factors: 1/2 to the values, 1/4 to query and key."""
    query, key, value = scale_gradient(query, 0.25), scale_gradient(key, 0.25), scale_gradient(value, 0.5)
    return F.scaled_dot_product_attention(query, key, value, **options)


def split_product(function: Rule, a: Any, b: Any, **options: Any) -> Any:
    """A gate: in a product of two values that both depend on the image, each gets half of the gradient."""
    both = all(isinstance(factor, Tensor) and factor.requires_grad for factor in (a, b))
    return scale_gradient(function(a, b, **options), 0.5) if both else function(a, b, **options)


def _constant(function: Rule, *args: Any, **kwargs: Any) -> Tensor:
    return function(*args, **kwargs).detach()


_PRODUCTS = (torch.mul, Tensor.mul, Tensor.__mul__)
_CURVES = (F.gelu, F.silu)

_ATTN_LRP: Mapping[Any, Rule] = {
    F.layer_norm: freeze_std,
    torch.sigmoid: partial(_constant, torch.sigmoid),  # of x * sigmoid(1.702 x): y / x is the constant
    **{curve: partial(freeze_slope, curve) for curve in _CURVES},
    **{product: partial(split_product, product) for product in _PRODUCTS},
}


def attn_lrp(values: list[Tensor]) -> Rules:
    """Gradient x input becomes relevance, which is only roughly conserved; the value vectors go to `values`.

    Achtibat et al., ICML 2024 (arXiv 2402.05602), in the form that changes gradients instead of relevances.
    """

    def attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        values.append(value)
        return split_attention(query, key, value, **options)

    return Rules({**_ATTN_LRP, F.scaled_dot_product_attention: attention})


def direct_write(values: list[Tensor]) -> Rules:
    """Gradients pass only from each block's value vectors (appended to `values`) through its attention write.

    Outputs of normalisation layers are constants, so the MLP, query and key carry no gradient.
    """

    def attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        values.append(value.detach().requires_grad_())
        return F.scaled_dot_product_attention(query, key, values[-1], **options)

    return Rules({F.layer_norm: partial(_constant, F.layer_norm), F.scaled_dot_product_attention: attention})
