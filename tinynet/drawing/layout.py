"""Where the boxes of a graph go: in ranks, from top to bottom (Sugiyama, Tagawa and Toda, 1981).

1. Ranks. A box stands right above the highest of its users: weights next to where they are used.
2. Lanes. An edge that skips ranks passes each of them in a lane of its own, a narrow item in the row. Edges from one
   output share their lanes, so that a weight used a hundred times has one line down, with a hundred branches.
3. Order. Each rank is sorted by the mean place of its neighbors above, then below, and so on (barycenters). The order
   with the fewest crossings is kept.
4. Places. Each item would like to stand where its neighbors are; the nearest places that keep order and distance are
   a least-squares problem that `spread` solves exactly.

Edges are vertical within a rank and curved between two, so none of them runs through a box.
"""

from bisect import bisect, insort
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

LANE = 10  # width of a lane; all lengths are in pixels
GAP = 22  # between items of a rank
ROUNDS = 12  # of sorting, and of placing


@dataclass
class Layout:
    """corners: (left, top) of each box. routes: of each edge, its points: vertical, curved, vertical, ... vertical."""

    corners: list
    routes: list
    width: float
    height: float


def layout(sizes, edges):
    """sizes: [(width, height)]. edges: [(source, output_index, outputs, target)], where source < target.

    An edge leaves its source at one of `outputs` places along its lower side; edges arrive along the upper side.
    """
    ranks = rank_of_each(len(sizes), edges)
    widths = [width for width, _ in sizes]
    rows = [[] for _ in range(max(ranks) + 1)]
    for box, rank in enumerate(ranks):
        rows[rank].append(box)
    depths = depth_of_each(len(sizes), edges)
    lanes = lanes_of(edges, ranks, depths, rows, widths)
    links = dict.fromkeys(pair for lane in lanes for pair in pairwise(lane))  # a shared lane counts once
    above, below = defaultdict(list), defaultdict(list)
    for upper, lower in links:
        above[lower].append(upper)
        below[upper].append(lower)
    middle = [0.0] * len(widths)
    sort_rows(rows, widths, depths, above, below, middle)
    place(rows, widths, depths, above, below, middle, len(sizes))
    return routed(sizes, edges, ranks, rows, lanes, middle)


def rank_of_each(n, edges):
    """From the end: the longest path from a box to the last rank."""
    to_end, users = [0] * n, defaultdict(list)
    for source, _, _, target in edges:
        users[source].append(target)
    for box in reversed(range(n)):
        to_end[box] = max((to_end[user] + 1 for user in users[box]), default=0)
    return [max(to_end) - steps for steps in to_end]


def depth_of_each(n, edges):
    """From the beginning: the longest path from a leaf to a box. The deeper a box, the less it makes way for others."""
    depths, inputs = [0] * n, defaultdict(list)
    for source, _, _, target in edges:
        inputs[target].append(source)
    for box in range(n):
        depths[box] = max((depths[x] + 1 for x in inputs[box]), default=0)
    return depths


def lanes_of(edges, ranks, depths, rows, widths):
    """For each edge the items that it passes, from source to target. New items go into depths, rows and widths."""
    trunks, lanes = defaultdict(dict), []  # {(source, output_index): {rank: item}}
    for source, output_index, _, target in edges:
        trunk = trunks[source, output_index]
        for rank in range(ranks[source] + 1, ranks[target]):
            if rank not in trunk:
                trunk[rank] = len(widths)
                widths.append(LANE)
                depths.append(depths[source])
                rows[rank].append(trunk[rank])
        lanes.append([source, *(trunk[rank] for rank in range(ranks[source] + 1, ranks[target])), target])
    return lanes


# ---------------------------------------------------------------------------- order


def sort_rows(rows, widths, depths, above, below, middle):
    """Put each row into an order with few crossings, and the middle of each item where it then is."""

    def key(item):
        """Of the inputs of one box, leaves stand on the outside: on the right, in the left half on the left."""
        wish = mean([middle[x] for x in neighbors[item]], middle[item])
        return wish, 0 if depths[item] else -1 if wish < -1 else 1

    best, fewest = None, None
    for row in rows:
        put_side_by_side(row, widths, middle)
    for number in range(ROUNDS):
        down = number % 2 == 0
        neighbors = above if down else below
        for row in rows if down else reversed(rows):
            row.sort(key=key)
            put_side_by_side(row, widths, middle)
        count = sum(crossings(row, below, middle) for row in rows)
        if fewest is None or count < fewest:
            best, fewest = [list(row) for row in rows], count
    for row, order in zip(rows, best, strict=True):
        row[:] = order
        put_side_by_side(row, widths, middle)


def put_side_by_side(row, widths, middle):
    left = -sum(widths[item] + GAP for item in row) / 2
    for item in row:
        middle[item] = left + (widths[item] + GAP) / 2
        left += widths[item] + GAP


def crossings(row, below, middle):
    """How many pairs of links between this row and the next cross."""
    count, seen = 0, []
    for item in row:
        ends = sorted(middle[x] for x in below[item])
        count += sum(len(seen) - bisect(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return count


def mean(values, default):
    return sum(values) / len(values) if values else default


# ---------------------------------------------------------------------------- places


def place(rows, widths, depths, above, below, middle, n):
    """Move each item towards its neighbors, row by row, down and up in turn. Order and distances stay."""

    def wish(item, neighbors):
        """To go straight on: lanes below lanes, Functions below the deepest of their neighbors, along the main road."""
        like = [x for x in neighbors if x >= n] if item >= n else []
        deepest = max(depths[x] for x in neighbors)
        like = like or [x for x in neighbors if depths[x] == deepest]
        return sum(middle[x] for x in like) / len(like)

    weights = [100 ** min(depth, 3) for depth in depths]
    for number in range(ROUNDS):
        first, second = (above, below) if number % 2 == 0 else (below, above)
        for row in rows if first is above else reversed(rows):
            wishes = [wish(item, first[item] or second[item] or [item]) for item in row]
            places = spread(wishes, [weights[item] for item in row], [widths[item] for item in row])
            for item, x in zip(row, places, strict=True):
                middle[item] = x


def spread(wishes, weights, widths):
    """Middles x in this order, at least GAP between their items, with the least sum of weight * (x - wish)^2.

    Without its distances the row is a sequence that must not fall: isotonic regression. Where neighbors want to
    pass each other, they are pooled, and their block stands at the mean of its wishes.
    """
    offsets, offset = [], 0
    for before, width in zip([None, *widths], widths, strict=False):
        offset += 0 if before is None else (before + width) / 2 + GAP
        offsets.append(offset)
    blocks = []  # [mean wish, weight, how many items]
    for wish, weight, offset in zip(wishes, weights, offsets, strict=True):
        blocks.append([wish - offset, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            x, w, k = blocks.pop()
            y, v, j = blocks[-1]
            blocks[-1] = [(x * w + y * v) / (w + v), w + v, k + j]
    starts = [x for x, _, k in blocks for _ in range(k)]
    return [x + offset for x, offset in zip(starts, offsets, strict=True)]


# ---------------------------------------------------------------------------- routes


def routed(sizes, edges, ranks, rows, lanes, middle):
    n = len(sizes)
    left = min(middle[box] - sizes[box][0] / 2 for box in range(n))
    left = min([left, *(middle[item] - LANE / 2 for row in rows for item in row if item >= n)])
    middle = [x - left for x in middle]
    top, bottom = vertical_bands(rows, sizes, lanes, middle)
    corners = []
    for box, (width, height) in enumerate(sizes):
        center = (top[ranks[box]] + bottom[ranks[box]]) / 2
        corners.append((middle[box] - width / 2, center - height / 2))
    arriving = arrivals(sizes, edges, lanes, middle)
    routes = []
    for number, ((source, output_index, outputs, target), lane) in enumerate(zip(edges, lanes, strict=True)):
        x = corners[source][0] + sizes[source][0] * (output_index + 1) / (outputs + 1)
        points = [(x, corners[source][1] + sizes[source][1]), (x, bottom[ranks[source]])]
        for rank, item in enumerate(lane[1:-1], ranks[source] + 1):
            points += [(middle[item], top[rank]), (middle[item], bottom[rank])]
        points += [(arriving[number], top[ranks[target]]), (arriving[number], corners[target][1])]
        routes.append(points)
    right = max(middle[item] + (sizes[item][0] if item < n else LANE) / 2 for row in rows for item in row)
    return Layout(corners, routes, right, bottom[-1])


def vertical_bands(rows, sizes, lanes, middle):
    """(top, bottom) of each rank. The further edges go sideways, the higher is the gap above."""
    sideways = defaultdict(float)
    rank_of = {item: rank for rank, row in enumerate(rows) for item in row}
    for lane in lanes:
        for upper, lower in pairwise(lane):
            rank = rank_of[lower]
            sideways[rank] = max(sideways[rank], abs(middle[upper] - middle[lower]))
    top, bottom, y = [], [], 0
    for rank, row in enumerate(rows):
        y += min(34 + sideways[rank] / 12, 110) if rank else 0
        top.append(y)
        y += max(sizes[item][1] for item in row if item < len(sizes))
        bottom.append(y)
    return top, bottom


def arrivals(sizes, edges, lanes, middle):
    """{number of the edge: x at its target}: side by side around the middle, in the order in which they come.

    If a single one comes from nearly above, all move a little to let it go straight down.
    """
    coming, places = defaultdict(list), {}
    for number, lane in enumerate(lanes):
        coming[edges[number][-1]].append((middle[lane[-2]], number))
    for target, found in coming.items():
        found.sort()
        width = sizes[target][0]
        apart = min(24, width / (len(found) + 1))
        left = middle[target] - apart * (len(found) - 1) / 2
        shifts = [x - left - apart * i for i, (x, _) in enumerate(found)]
        shift = min(shifts, key=abs)
        alone = sum(x == found[shifts.index(shift)][0] for x, _ in found) == 1
        if alone and abs(shift) + apart * (len(found) - 1) / 2 < width / 2 - 4:
            left += shift
        places |= {number: left + apart * i for i, (_, number) in enumerate(found)}
    return places
