"""Training: time and memory of a step against the length of drawings, and against a dense form padded to 4,096 entities.

The peer (`Dense`) is what the ragged batches replace: every drawing padded to 4,096 rows, attention over all of them, and
a 4,096 × 4,096 matrix for the graph. It has the same embedding of entities and the same widths, depths and heads, written
in plain torch. Where forms could differ, it has the cheaper choice: no edge features, no codebook, no blocks, no dropout
inside attention, one pass instead of the two of cached gradients.
"""

from __future__ import annotations

import copy
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks.codes import sheet
from benchmarks.common import Goal, Result, Table, drawing_files, processor_seconds
from benchmarks.reading import synthetic_sheets
from deepdxf import reader
from deepdxf.errors import ReadError
from deepdxf.graph import DrawingCode, encode

LENGTHS = (64, 256, 1_024, 4_096, 16_384)
BUDGET = 32_768  # entities of a step of the first table
SIZES = ("small", "base")  # of the encoders; the shipped model has the first
BATCH = 128  # drawings of a step of the second table, as in the configuration `base`
PADDED = 4_096  # rows of the dense form
DENSE_BATCH = 2  # its drawings of a step: the least that can be told apart
REPEATS = 2
GOAL = 10.0  # times the time of ours that the dense form takes
GOAL_LINEAR = 2.0  # times the time an entity that drawings 16 times as long may take
SAMPLE_S = 0.002  # memory is looked at so often


@dataclass(frozen=True)
class Cost:
    """What a step takes."""

    seconds: float  # processor time of one thread
    peak_mb: float  # resident memory above that before the first step


def measure(corpus: Path | None) -> Result:
    """Both tables; every row in a process of its own, for memory that was freed once is not asked for again."""
    by_length = Table(
        "A training step by length of drawings",
        ("encoders", "entities a drawing", "drawings", "s a step", "ms a drawing", "µs an entity", "peak MB"),
        note=f"{BUDGET:,} entities a step whatever the length, so that equal times an entity mean linear ones. The settings "
        "of `base` but for the size of the encoders and the limit of rows; two views, all losses, optimiser included; "
        f"views and codes are made before. Processor time of one thread, best of {REPEATS}; memory above what the process "
        "had before its first step. Sheets are those of the codes' table.",
    )
    goals = []
    for size in SIZES:
        times = {}
        for n in LENGTHS:
            drawings = BUDGET // n
            cost = alone(ours, size, "patch", [encode(sheet(n), "", n)] * drawings, chunk=drawings, entities=BUDGET)
            times[n] = 1e6 * cost.seconds / BUDGET
            by_length.rows.append(
                (size, n, drawings, cost.seconds, 1e3 * cost.seconds / drawings, times[n], cost.peak_mb)
            )
        ratio = times[LENGTHS[-1]] / times[LENGTHS[-3]]
        goals.append(
            Goal(f"training, {size}: time an entity, {LENGTHS[-1]:,} against {LENGTHS[-3]:,}", ratio, GOAL_LINEAR, "×")
        )

    codes = spread(corpus)
    lengths = np.array([len(code.rich) for code in codes])
    against = Table(
        f"A training step against a form padded to {PADDED:,}",
        ("encoders", "form", "drawings", "s a step", "ms a drawing", "× ours", "peak MB"),
        note=f"{len(codes)} drawings spread over {'the corpus' if corpus else 'synthetic sheets'}: "
        f"{np.median(lengths):.0f} entities in the median, {lengths.mean():.0f} in the mean, at most {lengths.max()}. "
        "`ours`: as above, drawings of like length together, gradients cached over chunks of 16. `full attention`: the same "
        f"with attention over all entities instead of patches of 16, at most {PADDED:,} entities a chunk. `padded`: see "
        "`benchmarks/training.py`; its time does not depend on the drawings. Same machine, one after the other.",
    )
    for size in SIZES:
        forms: dict[str, tuple[int, Cost]] = {
            "ours": (len(codes), alone(ours, size, "patch", codes)),
            "ours, full attention": (len(codes), alone(ours, size, "full", codes, entities=PADDED)),
            "padded": (DENSE_BATCH, alone(dense, size, codes[:: len(codes) // DENSE_BATCH][:DENSE_BATCH])),
        }
        per = {name: cost.seconds / drawings for name, (drawings, cost) in forms.items()}
        for name, (drawings, cost) in forms.items():
            row = (cost.seconds, 1e3 * per[name], per[name] / per["ours"], cost.peak_mb)
            against.rows.append((size, name, drawings, *row))
        goals.append(
            Goal(f"training, {size}: padded against ours, a drawing", per["padded"] / per["ours"], GOAL, "×", True)
        )
    return Result([by_length, against], goals)


def spread(corpus: Path | None) -> list[DrawingCode]:
    """The codes of a batch of drawings, spread over the corpus, or of synthetic sheets."""
    paths = drawing_files(corpus) if corpus else []
    data = [paths[i].read_bytes() for i in np.linspace(0, len(paths) - 1, BATCH).astype(int)] if paths else []
    codes = []
    for content in data or [content for _, content in synthetic_sheets()]:
        try:
            codes.append(encode(reader.parse(content), "", PADDED))
        except ReadError:
            continue
    return codes


def alone(task: Callable[..., Cost], *words: object, **named: object) -> Cost:
    """What a task gives in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(task, *words, **named).result()


def ours(
    size: str, mixer: str, codes: Sequence[DrawingCode], *, chunk: int | None = None, entities: int | None = None
) -> Cost:
    """A step of `train`; chunks as `base` has them where nothing else is said."""
    import torch

    from deepdxf import config as configuration
    from deepdxf.collate import collate
    from deepdxf.encoders.dual import DualEncoder
    from deepdxf.gradients import Chunk
    from deepdxf.learner import Facts, Learner
    from deepdxf.optim import optimiser_for
    from deepdxf.processes import Processes
    from deepdxf.sampler import buckets
    from deepdxf.train import Progress, State, train_step
    from deepdxf.watch import Watch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    n = len(codes)
    lengths = np.array([len(code.rich) for code in codes])
    overrides = [f"encoder.size={size}", f"encoder.mixer={mixer}", f"encoder.limit={max(PADDED, lengths.max())}"]
    config = configuration.load("base", [*overrides, "encoder.pixels=0", f"batch.drawings={n}"])
    parts = buckets(lengths, entities or config.batch.entities, chunk or config.batch.chunk, 0, 0)
    first = np.cumsum([0, *map(len, parts)])
    batches = [collate([codes[i] for i in part]) for part in parts]
    chunks = [Chunk(k, int(first[k]), (batch, batch)) for k, batch in enumerate(batches)]
    learner = Learner(DualEncoder(config.encoder), config, n).train()
    averaged = copy.deepcopy(learner.model).requires_grad_(False).eval()
    optimiser = optimiser_for(learner.branches(), config.optimiser, n)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    state = State(config, learner, averaged, optimiser, scaler, Watch(learner.chance), Progress())
    none = torch.full((n,), -1)
    # in the middle of a run, when all losses count
    facts = Facts(torch.arange(n), none, none, torch.eye(n, dtype=torch.bool), 50, 100)
    return cost_of(partial(train_step, state, chunks, facts, Processes()))


def dense(size: str, codes: Sequence[DrawingCode]) -> Cost:
    """A step of the dense form: both views of some drawings, NT-Xent within and across the codes, AdamW."""
    import torch

    from deepdxf.encoders.config import EncoderConfig
    from deepdxf.objectives import build

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = EncoderConfig(size=size).resolved()  # type: ignore[arg-type]  # one of SIZES
    model = dense_model(config).train()
    batch, adjacency, mask = padded(codes)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    loss = build("nt-xent", width=config.vector, count=len(codes))

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        (s_a, g_a), (s_b, g_b) = model(batch, adjacency, mask), model(batch, adjacency, mask)
        total = loss(z_a=s_a, z_b=s_b) + loss(z_a=g_a, z_b=g_b) + loss(z_a=s_a, z_b=g_a) + loss(z_a=s_b, z_b=g_b)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return cost_of(step)


def padded(codes: Sequence[DrawingCode]):  # type: ignore[no-untyped-def]
    """Batch of drawings that all have `PADDED` rows, (b, PADDED, PADDED) edges, and (b, PADDED) which rows are there."""
    from dataclasses import replace

    import torch

    from deepdxf.collate import collate
    from deepdxf.drawing import EntityClass

    b, ragged = len(codes), collate(codes)
    column = torch.arange(len(ragged.cls)) - ragged.start[ragged.drawing]
    row = ragged.drawing * PADDED + column

    def filled(x: torch.Tensor, value: float) -> torch.Tensor:
        return x.new_full((b * PADDED, *x.shape[1:]), value).index_copy(0, row, x)

    batch = replace(
        ragged,
        cls=filled(ragged.cls, int(EntityClass.INSERT)),  # never a row of its own
        tags=filled(ragged.tags, 0),
        values=filled(ragged.values, float("nan")),
        place=filled(ragged.place, float("nan")),
        drawing=torch.arange(b).repeat_interleave(PADDED),
    )
    adjacency = torch.zeros(b, PADDED, PADDED)
    first, second = ragged.edge
    adjacency[ragged.drawing[first], column[first], column[second]] = 1.0
    adjacency = torch.maximum(adjacency, adjacency.transpose(1, 2))
    mask = torch.zeros(b * PADDED, dtype=torch.bool).index_fill(0, row, True).reshape(b, PADDED)
    return batch, adjacency, mask


def dense_model(config):  # type: ignore[no-untyped-def]
    """The peer, for padded rows: vectors of the sequence and of the graph."""
    import torch
    from torch import Tensor, nn

    from deepdxf.collate import Batch
    from deepdxf.encoders.tokens import EntityEmbedding

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            d, g = config.width, config.graph_width
            self.embedding = EntityEmbedding(config)
            self.position = nn.Parameter(torch.randn(PADDED, d) * 0.02)
            layer = nn.TransformerEncoderLayer(
                d, config.heads, config.feedforward, 0.0, "gelu", batch_first=True, norm_first=True
            )
            self.attention = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
            self.to_graph = nn.Linear(d, g)
            self.norms = nn.ModuleList(nn.LayerNorm(g) for _ in range(config.graph_layers))
            self.graph = nn.ModuleList(
                nn.Sequential(nn.Linear(g, g), nn.LayerNorm(g), nn.ReLU(), nn.Linear(g, g))
                for _ in range(config.graph_layers)
            )
            self.pools = nn.ModuleList([nn.Linear(2 * d, config.vector), nn.Linear(2 * g, config.vector)])

        def forward(self, batch: Batch, adjacency: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
            rows = self.embedding(batch).unflatten(0, mask.shape)
            tokens = self.attention(rows + self.position, src_key_padding_mask=~mask)
            nodes = self.to_graph(rows)
            for norm, layer in zip(self.norms, self.graph, strict=True):
                x = norm(nodes)
                nodes = nodes + torch.relu(layer(x + adjacency @ x))
            return self.pooled(tokens, mask, 0), self.pooled(nodes, mask, 1)

        def pooled(self, x: Tensor, mask: Tensor, code: int) -> Tensor:
            there = mask[:, :, None]
            mean = (x * there).sum(1) / there.sum(1).clamp(min=1)
            largest = x.masked_fill(~there, torch.finfo(x.dtype).min).amax(1)
            vector: Tensor = self.pools[code](torch.cat([mean, largest], dim=1))
            return vector

    return Dense()


def cost_of(step: Callable[[], object]) -> Cost:
    """Time and memory of a step: a first one for what torch loads late, then the best of some."""
    process = psutil.Process()
    before = process.memory_info().rss
    peak = before
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.is_set():
            peak = max(peak, process.memory_info().rss)
            time.sleep(SAMPLE_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        step()
        seconds = processor_seconds(step, REPEATS)
    finally:
        ended.set()
        watcher.join()
    return Cost(seconds, (peak - before) / 1e6)
