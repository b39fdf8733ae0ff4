"""The optimizer: Muon for weight matrices, AdamW for the rest.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/) orthogonalises each matrix's
momentum with five Newton-Schulz steps. Matrices of one shape are stacked and treated together.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Muon", "split_parameters"]


def split_parameters(modules: Iterable[nn.Module]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the matrices for Muon, and all other parameters, embeddings and heads included."""
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for module in modules:
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            inner = parameter.ndim == 2 and "embed" not in name and "head" not in name
            (matrices if inner else rest).append(parameter)
    return matrices, rest


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates, for parameters of two dimensions."""

    def __init__(
        self, parameters: list[Tensor], lr: float = 0.02, momentum: float = 0.95, decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is ever given
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._update(parameters, group)

    def _update(self, parameters: list[Tensor], group: dict[str, float]) -> None:
        momentum = group["momentum"]
        directions = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(parameter.grad, 1 - momentum)
            directions.append(parameter.grad.lerp(state["momentum"], momentum))
        updates = _orthogonalise(torch.stack(directions))
        rows, columns = parameters[0].shape
        scale = group["lr"] * max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["decay"])
            parameter.add_(update.to(parameter.dtype), alpha=-scale)


def _orthogonalise(stack: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration on [count, rows, columns], in bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = stack.bfloat16()
    wide = x.shape[1] <= x.shape[2]
    if not wide:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.transpose(1, 2)
