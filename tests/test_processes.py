"""Exchange between processes; two that train are in test_train."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from deepdxf.errors import DeepDXFError
from deepdxf.processes import DistributedConfig, Processes, processes


def test_one_process_exchanges_nothing() -> None:
    with processes(DistributedConfig()) as among:
        assert among == Processes() and among.first and not dist.is_initialized()
    whole, begin = among.gather(torch.ones(2, 3, requires_grad=True))
    assert begin == 0 and whole.shape == (2, 3) and not whole.requires_grad
    assert among.from_first("x") == "x"


@pytest.mark.parametrize("n", [1, 2, 5, 16])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_shares_follow_each_other_and_are_nearly_equal(n: int, world: int) -> None:
    shares = [list(range(n))[Processes(rank, world).part(n)] for rank in range(world)]
    assert [thing for share in shares for thing in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_parts_of_different_length_are_joined_by_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [torch.arange(6.0).reshape(3, 2), torch.arange(10.0, 12.0).reshape(1, 2)]

    def all_gather(out: list[torch.Tensor], mine: torch.Tensor) -> None:
        for slot, part in zip(out, parts, strict=True):
            if slot.shape == (1,):
                slot[0] = len(part)
            else:
                slot[: len(part)] = part
                slot[len(part) :] = -1  # padding, which must not come back

    monkeypatch.setattr(dist, "all_gather", all_gather)
    for rank, begin in ((0, 0), (1, 3)):
        whole, own = Processes(rank, 2).gather(parts[rank])
        assert torch.equal(whole, torch.cat(parts)) and own == begin


def test_a_process_that_is_gone_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: object) -> None:
        raise RuntimeError("[pair.cc:553] Connection closed by peer")

    monkeypatch.setattr(dist, "broadcast_object_list", gone)
    with pytest.raises(DeepDXFError, match="another process of this run has ended or is stuck"):
        Processes(1, 2).from_first(1)


def test_processes_that_do_not_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with (
        pytest.raises(DeepDXFError, match=r"the 2 processes do not find each other .* start them by torchrun"),
        processes(DistributedConfig()),
    ):
        pass
