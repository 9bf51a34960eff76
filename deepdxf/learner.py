"""What is trained: the two encoders, what the objectives own, and copies and decoders that the objectives ask for.

`Learner.represent` runs the encoders over views of drawings, `Learner.losses` is the one place where losses are computed:
for training, for validation and inside cached gradients. Between the two there are only named tensors:

    <head>/<view>             (b, d) projections, heads as in `DualEncoder.heads`
    momentum/<head>/<view>    the same by the momentum copy
    teacher/<view>            (b, d′) vectors of a trained model
    <code>/nodes, <code>/nodes_hidden, <code>/owner, <code>/block    nodes of the first view, plain and partly hidden
    <code>/<answer>           answers of the decoder of a code and what is right, see `masking.Decoder`
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from deepdxf import balance, objectives
from deepdxf.collate import Batch
from deepdxf.config import TermConfig, TrainConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.encoders.sequence import Encoded
from deepdxf.errors import DeepDXFError
from deepdxf.gradients import Chunk, Parts
from deepdxf.masking import Decoder, hide
from deepdxf.objectives.parts import MomentumCopy

NODES = frozenset({"nodes_a", "nodes_b", "owner", "block"})
ANSWERS = frozenset(
    {"class_logits", "classes", "bin_logits", "bins", "predicted", "values", "corrupted", "replaced_logits", "replaced"}
)
CODES_ACROSS = ("geometry", "sequence")  # sides of a term across the codes
THIRD = "raster_across"  # and of one that takes more than two, where there is a third code
MOST_BLOCKS = 1 << 20  # of a chunk: numbers of blocks of different drawings never meet
DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Facts:
    """What is known of the b drawings of a batch beside their codes."""

    ids: Tensor  # (b,) int64 number in the training part
    groups: Tensor  # (b,) int64 group of same drawings, −1 = none
    labels: Tensor  # (b,) int64 family, −1 = not known
    same: Tensor  # (b, b) bool, drawings that are no negatives of each other
    step: int = 0
    steps: int = 1

    def to(self, device: torch.device) -> Facts:
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("ids", "groups", "labels", "same")}
        return replace(self, **moved)


class Learner(nn.Module):
    """Encoders and objectives of a run."""

    def __init__(self, model: DualEncoder, config: TrainConfig, count: int, teacher: DualEncoder | None = None) -> None:
        """Make what the terms of the configuration need around a model.

        Args:
            count: drawings in the training part, for memory banks and queues.
            teacher: trained model of objectives that imitate one; never trained here.

        Raises:
            DeepDXFError: there is no term, or a term asks for what the model or the settings do not have.
        """
        super().__init__()
        self.model, self.config = model, config
        if not config.terms:
            raise DeepDXFError("there is no loss: name at least one term, e.g. terms.across.objective=cross-code")
        self.teacher = teacher.requires_grad_(False).eval() if teacher else None
        self.objectives = nn.ModuleDict()
        self.decoders = nn.ModuleDict()
        self.copy: MomentumCopy | None = None
        self._loss: dict[str, objectives.Loss] = {}
        self._inputs: dict[str, tuple[str, ...]] = {}
        chance: dict[str, float] = {}
        for name, term in config.terms.items():
            self._check(name, term)
            settings = self._settings(term)
            needs = objectives.find(term.objective).needs
            vectors = objectives.find(term.objective).level == "vector"
            width = self._width(term.codes) if vectors else self._nodes_width(term.codes)
            loss = objectives.build(term.objective, width=width, count=count, **settings)
            self._loss[name], self._inputs[name] = loss, objectives.inputs(loss)
            if isinstance(loss, nn.Module):
                self.objectives[name] = loss
            if "decoder" in needs and term.codes not in self.decoders:
                self.decoders[term.codes] = Decoder(
                    model.config.width if term.codes == "sequence" else model.config.graph_width
                )
            if "momentum copy" in needs and self.copy is None:
                momentum = objectives.find(term.objective).momentum or (0.996, 1.0)
                self.copy = MomentumCopy(model, momentum)
            level_of_chance = objectives.chance(term.objective, config.batch.drawings, count=count, **settings)
            if level_of_chance:
                chance[name] = level_of_chance
        # codes that some term is about; the others keep the weights that they have
        about = (CODES_ACROSS if term.codes == "across" else (term.codes,) for term in config.terms.values())
        heads = {head.partition("_")[0] for head in self._heads()}
        self._used = frozenset(c for codes in about for c in codes) | heads
        self.chance = chance
        weights = {name: term.weight for name, term in config.terms.items()}
        self.balancer = balance.build(config.balance.name, weights=weights, chance=chance, **config.balance.options)

    def _check(self, name: str, term: TermConfig) -> None:
        """Raise DeepDXFError where a term cannot work on the model."""
        entry = objectives.find(term.objective)
        codes = ("sequence", "geometry") if term.codes == "across" else (term.codes,)
        for code in codes:
            if getattr(self.model, code) is None:
                raise DeepDXFError(
                    f"terms.{name}.codes={term.codes}: the model has no {code} encoder; see encoder.codes"
                )
        if "codes" in entry.needs and term.codes != "across":
            raise DeepDXFError(
                f"terms.{name}: objective {term.objective} compares two codes; set terms.{name}.codes=across"
            )
        if entry.level != "vector" and term.codes == "across":
            raise DeepDXFError(
                f"terms.{name}: objective {term.objective} is about the entities of one code; "
                f"set terms.{name}.codes=geometry or sequence"
            )
        config = self.model.config
        if (
            entry.level != "vector"
            and term.codes == "sequence"
            and (config.mixer, config.vocabulary) != ("set", "rich")
        ):
            raise DeepDXFError(
                f"terms.{name}: objective {term.objective} needs tokens that are entities; set encoder.mixer=set and "
                f"encoder.vocabulary=rich, or terms.{name}.codes=geometry"
            )
        if "decoder" in entry.needs and term.codes == "geometry" and config.graph != "entity":
            raise DeepDXFError(f"terms.{name}: objective {term.objective} needs encoder.graph=entity")
        if "teacher" in entry.needs and self.teacher is None:
            raise DeepDXFError(f"terms.{name}: objective {term.objective} needs a trained model; set teacher=FOLDER")

    def _width(self, codes: str) -> int:
        """Width of the projections that a term reads."""
        return self.model.config.head_across if codes == "across" else self.model.config.head_within

    def _nodes_width(self, code: str) -> int:
        """Width of the nodes that a term reads."""
        if code == "geometry" and self.model.matching is not None:
            return self.model.config.head_within
        return self.model.config.width if code == "sequence" else self.model.config.graph_width

    def _settings(self, term: TermConfig) -> dict[str, Any]:
        """Settings of an objective: its options, and the term's or the run's temperature."""
        settings: dict[str, Any] = dict(term.options)
        if term.temperature is not None:
            settings["temperature"] = term.temperature
        known = inspect.signature(objectives.load(term.objective)).parameters
        if self.config.temperature is not None and "temperature" in known:
            settings.setdefault("temperature", self.config.temperature)
        if term.codes == "across" and "views" in known:  # the codes are its views
            settings.setdefault("views", len(CODES_ACROSS) + (THIRD in self.model.heads))
        return settings

    def branches(self) -> dict[str, list[nn.Parameter]]:
        """Everything for the optimiser, by branch."""
        others = (self.decoders, self.objectives, self.balancer)
        return {**self.model.branches(), "other": [p for module in others for p in module.parameters()]}

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Parameters that `represent` uses, see `gradients.backward`."""
        return [*self.model.parameters(), *self.decoders.parameters()]

    # --- outputs of the encoders -------------------------------------------------------------------------------------

    def represent(self, chunk: Chunk) -> Parts:
        """Outputs for the views of some drawings that the terms ask for; float32, owners counted through the batch."""
        dtype = DTYPES[self.config.precision.name]
        device = next(self.model.parameters()).device
        parts: Parts = {}
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            for number, batch in enumerate(chunk.views):
                encoded = self.model(batch, self._used)
                for head in self._heads():
                    parts[f"{head}/{number}"] = self.model.project(encoded[head.partition("_")[0]], head)
                if self.copy is not None:
                    with torch.no_grad():
                        slow: DualEncoder = self.copy.module  # type: ignore[assignment]  # a copy of the model
                        answers = slow(batch, self._used)
                        for head in self._heads():
                            key = f"momentum/{head}/{number}"
                            parts[key] = slow.project(answers[head.partition("_")[0]], head)
                if self.teacher is not None:
                    with torch.no_grad():
                        parts[f"teacher/{number}"] = self.teacher.eval().embed(batch)
                if number == 0:
                    for code in self._codes_of(NODES | ANSWERS):
                        parts |= self._nodes(code, batch, encoded[code], chunk.first)
        return {name: part.float() if part.is_floating_point() else part for name, part in parts.items()}

    def _nodes(self, code: str, batch: Batch, encoded: Encoded, first: int) -> Parts:
        """Nodes of a code, plain and with some hidden, and what the decoder says of the hidden ones.

        Where there is a matching network, nodes of the geometry code go through it: each looks at the other view of its
        graph, then at the next drawing of the chunk.
        """
        hidden = hide(batch, self.config.hidden)
        other = self.model(hidden.batch)[code]
        views = (encoded.nodes, other.nodes)
        if code == "geometry" and self.model.matching is not None:
            pair = next_drawing(encoded)
            matched = [self.model.matching(encoded, other, pair), self.model.matching(other, encoded, pair)]
            views = tuple(self.model.heads["geometry_nodes"](nodes) for nodes in matched)
        owner = encoded.node_drawing + first
        parts = {f"{code}/nodes": views[0], f"{code}/nodes_hidden": views[1], f"{code}/owner": owner}
        if len(owner) == len(batch.cls):  # its nodes are entities
            parts[f"{code}/block"] = owner * MOST_BLOCKS + batch.block
        if code in self.decoders:
            answers = self.decoders[code](other.nodes, batch, hidden)
            parts |= {f"{code}/{name}": answer for name, answer in answers.items()}
        return parts

    def _heads(self) -> list[str]:
        """Heads that the vector objectives read."""
        heads: dict[str, None] = {}
        for name, term in self.config.terms.items():
            if "z_a" in self._inputs[name]:
                heads |= dict.fromkeys(_heads_of(term))
                if term.codes == "across" and "more" in self._inputs[name] and THIRD in self.model.heads:
                    heads[THIRD] = None
        return list(heads)

    def _codes_of(self, inputs: frozenset[str]) -> list[str]:
        """Codes on which a term asks for one of the inputs."""
        return list(dict.fromkeys(t.codes for name, t in self.config.terms.items() if inputs & set(self._inputs[name])))

    # --- losses ------------------------------------------------------------------------------------------------------

    def losses(self, parts: Parts, facts: Facts) -> dict[str, Tensor]:
        """Every term of the loss, unweighted, of the outputs of a whole batch."""
        return {
            name: self._loss[name](**self._given(term, self._inputs[name], parts, facts))
            for name, term in self.config.terms.items()
        }

    def _given(self, term: TermConfig, inputs: Sequence[str], parts: Parts, facts: Facts) -> dict[str, Any]:
        """Arguments of an objective by name."""
        given: dict[str, Any] = {"step": facts.step, "steps": facts.steps, "same": facts.same}
        given |= {name: parts[f"{term.codes}/{name}"] for name in ANSWERS if f"{term.codes}/{name}" in parts}
        if "nodes_a" in inputs:
            given |= {
                "nodes_a": parts[f"{term.codes}/nodes"],
                "nodes_b": parts[f"{term.codes}/nodes_hidden"],
                "owner": parts[f"{term.codes}/owner"],
            }
            if f"{term.codes}/block" in parts:
                given["block"] = torch.unique_consecutive(parts[f"{term.codes}/block"], return_inverse=True)[1]
        if "z_a" in inputs:
            sides = sides_of(parts, term, keep_more="more" in inputs)
            times = len(sides["z_a"]) // len(facts.ids)  # views that stand below each other as drawings of their own
            given |= sides
            given |= {name: getattr(facts, name).repeat(times) for name in ("ids", "groups", "labels")}
            # the diagonal holds the positives; the same drawing in another pair of views is no negative
            given["same"] = facts.same.repeat(times, times)
            if times > 1:
                given["same"] |= torch.eye(len(facts.ids), dtype=torch.bool, device=facts.same.device).repeat(
                    times, times
                )
        return {name: given[name] for name in inputs if name in given}

    def total(self, losses: Mapping[str, Tensor], parts: Parts, facts: Facts) -> Tensor:
        """The weighted sum that is minimised."""
        shared = [part for name, part in parts.items() if not name.startswith(("momentum/", "teacher/"))]
        total: Tensor = self.balancer.combine(losses, facts.step, facts.steps, shared)
        return total

    def follow(self, step: int, steps: int) -> None:
        """Let the momentum copy follow the model by one step."""
        if self.copy is not None:
            self.copy.update(self.model, step, steps)

    def watched(self, parts: Parts) -> dict[str, tuple[Tensor, Tensor]]:
        """Pairs of projections by term, for the collapse watch."""
        pairs = {}
        for name, term in self.config.terms.items():
            if "z_a" in self._inputs[name]:
                sides = sides_of(parts, term, keep_more=True)
                pairs[name] = (sides["z_a"], sides["z_b"])
        return pairs


def next_drawing(encoded: Encoded) -> Encoded:
    """The same drawings in another order: each stands in the place of the one before it, the first in that of the last."""
    b = len(encoded.vector)
    place = (encoded.node_drawing - 1) % b
    order = place.argsort(stable=True)
    return Encoded(encoded.vector.roll(-1, 0), encoded.nodes[order], place[order])


def _heads_of(term: TermConfig) -> tuple[str, ...]:
    """Heads of the two sides of a term."""
    return tuple(f"{code}_across" for code in CODES_ACROSS) if term.codes == "across" else (f"{term.codes}_within",)


def sides_of(parts: Parts, term: TermConfig, keep_more: bool) -> dict[str, Any]:
    """``z_a``, ``z_b`` and their like: two views of one code, or the two codes of the views.

    Across the codes every view is a drawing of its own, and an objective that takes more than two codes gets the third
    as ``more``. Within one, an objective that takes further views gets them as ``more``; for another, pairs of views stand
    below each other.
    """
    views = 1 + max(int(name.rpartition("/")[2]) for name in parts if name.rpartition("/")[2].isdecimal())
    heads = _heads_of(term)
    sides: dict[str, Any] = {}
    for prefix, a, b in (("", "z_a", "z_b"), ("momentum/", "momentum_a", "momentum_b")):
        if f"{prefix}{heads[0]}/0" not in parts:
            continue
        of = [[parts[f"{prefix}{head}/{view}"] for view in range(views)] for head in heads]
        if term.codes == "across":
            sides[a], sides[b] = torch.cat(of[0]), torch.cat(of[1])
            if keep_more and not prefix and f"{THIRD}/0" in parts:
                sides["more"] = [torch.cat([parts[f"{THIRD}/{view}"] for view in range(views)])]
        elif keep_more or views == 2:
            sides[a], sides[b], *more = of[0]
            if more and not prefix:
                sides["more"] = more
        else:
            sides[a], sides[b] = torch.cat(of[0][0::2]), torch.cat(of[0][1::2])
    if "teacher/0" in parts:
        taught = [parts[f"teacher/{view}"] for view in range(views)]
        step = 1 if term.codes == "across" else 2
        sides["teacher"] = taught[0] if keep_more or (views == 2 and step == 2) else torch.cat(taught[::step])
    return sides
