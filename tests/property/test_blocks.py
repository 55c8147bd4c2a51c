"""Blocks, pieces, connections and the frontier against models of the simplest kind."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.model import ByteRange
from packhorse.transfer.blocks import (
    BLOCK,
    Frontier,
    Pace,
    Shares,
    block_count,
    block_range,
    cut_pieces,
    missing_ranges,
    next_connections,
    piece_size,
    worth_splitting,
)

MIB = 1 << 20
sizes = st.one_of(
    st.integers(0, 40 * MIB),
    st.integers(0, 40).map(lambda n: n * MIB),
    st.integers(0, 40).flatmap(lambda n: st.sampled_from([max(0, n * MIB - 1), n * MIB + 1])),
)


@given(sizes)
def test_blocks_are_a_mebibyte_each_and_the_whole_file_together(size: int) -> None:
    ranges = [block_range(index, size) for index in range(block_count(size))]
    assert sum(map(len, ranges)) == size
    assert all(len(one) == MIB for one in ranges[:-1])
    assert all(0 < len(one) <= MIB for one in ranges)
    assert [one.start for one in ranges] == [index * MIB for index in range(len(ranges))]


@given(sizes, st.sets(st.integers(0, 45)))
def test_missing_is_what_is_not_held(size: int, held: set[int]) -> None:
    missing = missing_ranges(held, size)
    blocks = {start // MIB for start in range(0, size, MIB)} - held
    covered = [block for span in missing for block in range(span.start // MIB, -(-span.stop // MIB))]
    assert sorted(blocks) == covered  # each once, ascending
    assert all(span.start % MIB == 0 and (span.stop % MIB == 0 or span.stop == size) for span in missing)
    assert all(one.stop < other.start for one, other in itertools.pairwise(missing))  # as few as can be


@given(sizes, st.sets(st.integers(0, 45)), st.integers(1, 40))
def test_pieces_cover_exactly_what_is_missing(size: int, held: set[int], blocks: int) -> None:
    missing = missing_ranges(held, size)
    pieces = cut_pieces(missing, blocks * MIB)
    assert all(0 < len(piece) <= blocks * MIB for piece in pieces)
    assert pieces == sorted(pieces)
    assert joined(pieces) == joined(missing)
    assert all(piece.start % MIB == 0 for piece in pieces)


@given(st.integers(0, 20 * MIB), st.integers(1, 20 * MIB), st.integers(1, 9))
def test_borders_between_pieces_are_borders_of_blocks_wherever_it_begins(start: int, length: int, blocks: int) -> None:
    pieces = cut_pieces([ByteRange(start, start + length)], blocks * MIB)
    assert (pieces[0].start, pieces[-1].stop) == (start, start + length)
    assert all(one.stop == other.start and one.stop % MIB == 0 for one, other in itertools.pairwise(pieces))
    assert all(len(piece) <= blocks * MIB for piece in pieces)


def joined(ranges: list[ByteRange]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for one in ranges:
        if out and out[-1][1] == one.start:
            out[-1] = (out[-1][0], one.stop)
        else:
            out.append((one.start, one.stop))
    return out


@given(st.integers(0, 1 << 45), st.integers(1, 64))
def test_a_piece_is_whole_blocks_and_neither_tiny_nor_huge(size: int, connections: int) -> None:
    piece = piece_size(size, connections)
    assert piece % MIB == 0
    assert MIB <= piece <= 32 * MIB
    if size >= connections * 8 * MIB:
        assert piece >= 8 * MIB
    else:  # then every connection has one, or a block is the least there is
        assert piece <= max(MIB, -(-(size // connections) // MIB) * MIB)


@given(st.integers(0, 1 << 40), st.integers(0, 64 * MIB), st.floats(0, 1e10))
def test_a_split_leaves_both_something_and_is_worth_it(position: int, left: int, rate: float) -> None:
    middle = worth_splitting(position, position + left, rate)
    if middle is None:
        assert left < MIB // 2 or left < 0.4 * rate
        return
    assert middle % (MIB if left >= 4 * MIB else 64 * 1024) == 0
    assert middle - position >= 64 * 1024
    assert position + left - middle >= 64 * 1024
    assert left >= 0.4 * rate * 0.999


paces = st.lists(st.builds(Pace, st.integers(1, 32), st.floats(0, 1e10)), max_size=8)


@given(paces, st.integers(1, 32))
def test_connections_stay_between_one_and_the_cap(measured: list[Pace], cap: int) -> None:
    assert 1 <= next_connections(measured, cap) <= cap


@pytest.mark.parametrize(
    ("measured", "cap", "next_one"),
    [
        ([], 16, 4),
        ([], 2, 2),
        ([(4, 100.0)], 16, 6),
        ([(1, 100.0)], 16, 2),
        ([(4, 100.0)], 5, 5),
        ([(4, 100.0), (6, 110.1)], 16, 9),  # a tenth more: go on
        ([(4, 100.0), (6, 105.0)], 16, 6),  # no more, no less: stay
        ([(4, 100.0), (6, 95.0)], 16, 6),
        ([(4, 100.0), (6, 80.0)], 16, 4),  # less: as many as before
        ([(4, 100.0), (6, 80.0), (4, 100.0)], 16, 4),  # and it stays so
        ([(4, 0.0), (6, 5.0)], 16, 9),
        ([(4, 100.0), (6, 200.0), (6, 100.0)], 16, 6),
        ([(4, 16e6)], 16, 4),  # each is fast by itself: more would only crowd the line
    ],
)
def test_throughput_decides(measured: list[tuple[int, float]], cap: int, next_one: int) -> None:
    assert next_connections([Pace(*one) for one in measured], cap) == next_one


def test_four_connections_that_ever_more_would_help_grow_to_the_cap_and_no_further() -> None:
    measured: list[Pace] = []
    counts = []
    for _ in range(12):
        count = next_connections(measured, 16)
        counts.append(count)
        measured.append(Pace(count, 100.0 * count))
    assert counts[:4] == [4, 6, 9, 13]
    assert counts[-1] == 16


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=40))
def test_the_frontier_is_where_the_first_byte_is_missing(spans: list[tuple[int, int]]) -> None:
    frontier, have = Frontier(), set[int]()
    for start, length in spans:
        before = frontier.position
        moved = frontier.add(start, start + length)
        have.update(range(start, start + length))
        first_gap = next(place for place in range(200) if place not in have)
        assert frontier.position == first_gap
        assert moved == (first_gap > before)


def test_the_block_is_what_the_design_says() -> None:
    assert BLOCK == MIB


@given(st.integers(1, 300), st.integers(1, 60), st.lists(st.integers(1, 299)), st.randoms())
def test_a_block_is_whole_with_its_last_share_and_not_before(
    size: int, block: int, borders: list[int], draw: Random
) -> None:
    """Pieces whose borders lie anywhere, and that end in any order, each block of theirs for itself."""
    marks = sorted({0, size, *(one for one in borders if one < size), *range(0, size, block)})
    shares = list(itertools.pairwise(marks))
    draw.shuffle(shares)
    told, written = Shares(block), set[int]()
    for start, stop in shares:
        first = start // block * block
        span = ByteRange(first, min(first + block, size))
        written.update(range(start, stop))
        assert told.add(start, stop, span) == written.issuperset(range(span.start, span.stop))
