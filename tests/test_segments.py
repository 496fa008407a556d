"""Packets on disk: what is written comes back, what is damaged does not count, and decoding times fit."""

import random
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from misr.io.segments import decoding_times, read_segment, segment_packets, write_segment

TICK = Fraction(1, 12800)


def packet(data: bytes, pts: int, dts: int | None, *, key: bool) -> av.Packet:
    it = av.Packet(data)
    it.pts, it.dts, it.duration, it.time_base, it.is_keyframe = pts, dts, 512, TICK, key
    return it


def stored(path: Path, n: int = 5) -> tuple[Path, list[av.Packet]]:
    order = [0, 3, 1, 2, *range(4, n)][:n]
    packets = [
        packet(bytes([i]) * (i * 40 + 1), p * 512 + 7, None if i == 1 else i * 512 - 1024, key=i == 0)
        for i, p in enumerate(order)
    ]
    write_segment(path, 40, [Fraction(i, 25) for i in range(n)], packets, TICK, b"\x01header\xff")
    return path, packets


def test_a_segment_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path, packets = stored(tmp_path / "a.seg")
    it = read_segment(path)
    assert it is not None
    assert (it.first, it.time_base, it.extradata) == (40, TICK, b"\x01header\xff")
    assert it.times == tuple(Fraction(i, 25) for i in range(5))
    assert it.pts == tuple(p.pts for p in packets)
    back = list(segment_packets(it))
    assert [bytes(p) for p in back] == [bytes(p) for p in packets]
    facts = [[(p.pts, p.dts, p.duration, p.time_base, p.is_keyframe) for p in ps] for ps in (back, packets)]
    assert facts[0] == facts[1]
    assert back[1].dts is None


def test_writing_leaves_nothing_but_the_segment(tmp_path: Path) -> None:
    stored(tmp_path / "a.seg")
    assert [p.name for p in tmp_path.iterdir()] == ["a.seg"]


@pytest.mark.parametrize("keep", [0, 1, 8, 15, 16, 60, -1])
def test_a_truncated_segment_reads_as_absent(tmp_path: Path, keep: int) -> None:
    path, _ = stored(tmp_path / "a.seg")
    path.write_bytes(path.read_bytes()[:keep])
    assert read_segment(path) is None


def test_any_single_wrong_byte_makes_a_segment_absent(tmp_path: Path) -> None:
    path, _ = stored(tmp_path / "a.seg")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert read_segment(path) is None, at


def test_a_missing_segment_reads_as_absent(tmp_path: Path) -> None:
    assert read_segment(tmp_path / "none.seg") is None


def b_frame_order(rng: random.Random) -> list[int]:
    """Presentation times in a decoding order with random reordering, irregular steps and a start anywhere."""
    shown = list(np.cumsum([rng.choice([1, 2, 40, 512]) for _ in range(rng.randint(1, 60))]) + rng.randint(-500, 500))
    order: list[int] = []
    while shown:
        group, shown = shown[: (k := rng.randint(1, 6))], shown[k:]
        head, tail = group[-1], group[:-1]
        rng.shuffle(tail)
        order += [head, *tail]
    return [int(p) for p in order]


def test_decoding_times_increase_and_never_pass_the_presentation_time() -> None:
    rng = random.Random(7)
    for _ in range(500):
        pts = b_frame_order(rng)
        dts = decoding_times(pts)
        assert len(dts) == len(pts)
        assert all(a < b for a, b in pairwise(dts)), pts
        assert all(d <= p for d, p in zip(dts, pts, strict=True)), pts


def test_without_reordering_decoding_times_are_the_presentation_times() -> None:
    assert decoding_times([3, 4, 90, 91]) == [3, 4, 90, 91]


def test_one_and_two_packets_have_decoding_times() -> None:
    assert decoding_times([]) == []
    assert decoding_times([5]) == [5]
    assert decoding_times([5, 9]) == [5, 9]
    late = decoding_times([9, 5])
    assert late[0] < late[1] <= 5
