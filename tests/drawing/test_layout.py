"""The layout: what it promises, on any graph."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawing_checks import assert_clear
from tinynet.drawing.layout import GAP, crossings, layout, spread
from tinynet.drawing.svg import path_through


@st.composite
def graphs(draw):
    """(sizes, edges): each box has inputs among those before it, some of them twice; some have several outputs."""
    n = draw(st.integers(1, 14))
    sizes = draw(st.lists(st.tuples(st.integers(20, 300), st.integers(20, 120)), min_size=n, max_size=n))
    outputs = draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    edges = []
    for target in range(1, n):
        for source in draw(st.lists(st.integers(0, target - 1), max_size=4)):
            edges.append((source, draw(st.integers(0, outputs[source] - 1)), outputs[source], target))
    return sizes, edges


@settings(max_examples=60, deadline=None, derandomize=True)
@given(graphs())
def test_boxes_do_not_overlap_and_edges_go_down_around_them(graph):
    sizes, edges = graph
    found = layout(sizes, edges)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(found.corners, sizes, strict=True)]
    assert_clear(boxes, [path_through(route) for route in found.routes])
    for left, top, right, bottom in boxes:
        assert min(left, top) >= -1e-6 and right <= found.width + 1e-6 and bottom <= found.height + 1e-6
    for (source, *_, target), route in zip(edges, found.routes, strict=True):
        (x, y), (to_x, to_y) = route[0], route[-1]
        assert boxes[source][0] < x < boxes[source][2] and y == boxes[source][3]
        assert boxes[target][0] < to_x < boxes[target][2] and to_y == boxes[target][1]
        assert (np.diff([y for _, y in route]) > -1e-6).all() and y < to_y
        assert min(x for x, _ in route) >= -1e-6 and max(x for x, _ in route) <= found.width + 1e-6


@settings(max_examples=60, deadline=None, derandomize=True)
@given(graphs())
def test_edges_of_one_box_leave_and_arrive_apart(graph):
    sizes, edges = graph
    routes = layout(sizes, edges).routes
    ends = {route[-1] for route in routes}
    assert len(ends) == len(edges)
    starts = {(source, index): route[0] for (source, index, _, _), route in zip(edges, routes, strict=True)}
    assert len(set(starts.values())) == len(starts)


def test_a_box_stands_right_above_its_first_user():
    """Weights next to their layers, not all of them in the first row."""
    sizes, edges = [(50, 20)] * 7, [(0, 0, 1, 2), (1, 0, 1, 2), (2, 0, 1, 4), (3, 0, 1, 4), (4, 0, 1, 6), (5, 0, 1, 6)]
    tops = [y for _, y in layout(sizes, edges).corners]
    assert tops[0] == tops[1] < tops[2] == tops[3] < tops[4] == tops[5] < tops[6]


def test_a_chain_is_straight_whatever_hangs_on_it():
    """Ten layers with a weight and a bias each: 0 -> 3 -> 6 ... below each other."""
    sizes, edges = [(100, 40)], []
    for layer in range(10):
        sizes += [(180, 60), (90, 30), (100 + 7 * layer, 40)]
        edges += [(3 * layer + i, 0, 1, 3 * layer + 3) for i in range(3)]
    found = layout(sizes, edges)
    middles = [found.corners[i][0] + sizes[i][0] / 2 for i in range(3, len(sizes), 3)]
    assert max(middles) - min(middles) < 10


@pytest.mark.parametrize("seed", range(5))
def test_a_tree_is_drawn_without_crossings(seed):
    """Sixteen leaves, listed in any order, join two by two."""
    leaves = list(np.random.default_rng(seed).permutation(16))
    users, row, n = {}, leaves, 16
    while len(row) > 1:
        users |= {box: n + i // 2 for i, box in enumerate(row)}
        row, n = range(n, n + len(row) // 2), n + len(row) // 2
    lefts = [x for x, _ in layout([(40, 20)] * n, [(box, 0, 1, user) for box, user in users.items()]).corners]
    depth = {box: 0 for box in leaves}
    for box in sorted(users, key=users.get):
        depth[users[box]] = depth[box] + 1
    crossed = [(a, b) for a in users for b in users
               if depth[a] == depth[b] and lefts[a] < lefts[b] and lefts[users[a]] > lefts[users[b]]]  # fmt: skip
    assert crossed == []


def test_weights_stand_on_the_outside_of_two_columns():
    """0 -> a -> a -> 9 and 0 -> b -> b -> 9, with a leaf for each."""
    beside = [(1, 0, 3), (2, 0, 4), (5, 3, 7), (6, 4, 8)]  # (leaf, the other input, the box that uses both)
    edges = [(0, 0, 2, 3), (0, 1, 2, 4), (3, 0, 1, 7), (4, 0, 1, 8), (7, 0, 1, 9), (8, 0, 1, 9)]
    edges += [(leaf, 0, 1, user) for leaf, _, user in beside]
    lefts = [x for x, _ in layout([(80, 30)] * 10, edges).corners]
    for leaf, other, user in beside:
        assert (lefts[leaf] < lefts[other]) == (lefts[user] < lefts[9])


def test_a_long_edge_has_a_lane_and_edges_of_one_output_share_it():
    """0 is used by each of a chain of ten."""
    sizes = [(50, 20)] * 11
    edges = [(i, 0, 1, i + 1) for i in range(10)] + [(0, 0, 1, i) for i in range(2, 11)]
    routes = layout(sizes, edges).routes[10:]
    for shorter, longer in pairwise(routes):
        assert longer[: len(shorter) - 2] == shorter[:-2]
    assert len({x for x, _ in routes[-1][2:-2]}) == 1  # straight down


def test_two_chains_side_by_side_do_not_cross():
    """0 -> five boxes, 0 -> five boxes, both -> 11; every second row is listed in the other order."""
    chains = [[0, 1, 4, 5, 8, 9, 11], [0, 2, 3, 6, 7, 10, 11]]
    edges = [(a, number if a == 0 else 0, 2 if a == 0 else 1, b)
             for number, chain in enumerate(chains) for a, b in pairwise(chain)]  # fmt: skip
    lefts = [x for x, _ in layout([(80, 30)] * 12, edges).corners]
    assert len({lefts[box] < lefts[0] for box in chains[0][1:-1]}) == 1
    assert len({lefts[box] for box in chains[0][1:-1]}) == len({lefts[box] for box in chains[1][1:-1]}) == 1
    assert lefts[0] == lefts[11] == pytest.approx((lefts[1] + lefts[2]) / 2)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12, unique=True))
def test_crossings_are_counted(links):
    below = {item: [10 + b for a, b in links if a == item] for item in range(7)}
    middle = {10 + b: float(b) for b in range(7)}
    pairs = [(p, q) for i, p in enumerate(links) for q in links[i + 1 :]]
    expected = sum((p[0] - q[0]) * (p[1] - q[1]) < 0 for p, q in pairs)
    assert crossings(range(7), below, middle) == expected


item = st.tuples(st.floats(-500, 500), st.floats(0.5, 20), st.integers(10, 100), st.floats(-300, 300))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(item, min_size=1, max_size=8))
def test_spread_is_the_nearest_row_in_order(row):
    """No other row with these distances is nearer to the wishes."""
    wishes, weights, widths, others = map(np.array, zip(*row, strict=True))
    apart = (widths[1:] + widths[:-1]) / 2 + GAP
    found = np.array(spread(list(wishes), list(weights), list(widths)))
    assert (np.diff(found) >= apart - 1e-6).all()
    offsets = np.concatenate([[0], np.cumsum(apart)])
    other = np.sort(wishes - offsets + others) + offsets  # any other such row
    for share in (1, 0.1, 0.001):
        mixed = found + share * (other - found)
        assert (weights * (found - wishes) ** 2).sum() <= (weights * (mixed - wishes) ** 2).sum() + 1e-6


@pytest.mark.parametrize("n", [1, 3])
def test_boxes_without_edges(n):
    found = layout([(30, 10)] * n, [])
    assert len(found.corners) == n and found.routes == []
