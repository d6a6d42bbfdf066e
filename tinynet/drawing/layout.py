"""Where the boxes of a graph go: in ranks, from top to bottom (Sugiyama, Tagawa and Toda, 1981).

1. Ranks. A box stands right above the highest of its users: weights next to where they are used.
2. Lanes. An edge that skips ranks passes each of them in a lane of its own, a narrow item in the row. Edges from one
   output share their lanes, so that a weight used a hundred times has one line down, with a hundred branches.
3. Order. Each row is sorted by the mean place of its neighbors above, then below, and so on (barycenters). The order
   with the fewest crossings is kept.
4. Places. Each item would like to stand where its neighbors are; the nearest places that keep order and distance are
   a least-squares problem, which `spread` solves exactly.

Edges are vertical within a rank and curved between two, so none of them runs through a box.
"""

from bisect import bisect, insort
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise

LANE = 10  # width of a lane; all lengths are in pixels
GAP = 22  # between items of a row
ROUNDS = 12  # of sorting, and of placing


@dataclass
class Layout:
    """corners: (left, top) of each box. routes: of each edge, its points: vertical, curved, vertical, ... vertical."""

    corners: list
    routes: list
    width: float
    height: float


def layout(sizes, edges):
    """sizes: [(width, height)] of the boxes. edges: [(source, output_index, outputs, target)], where source < target.

    An edge leaves its source at one of `outputs` places along its lower side; edges arrive along the upper side.
    """
    rows = Rows(sizes, edges)
    sort(rows)
    place(rows)
    return routed(rows, sizes, edges)


class Rows:
    """Items in rows: the boxes, by their numbers, and lanes, which have the numbers after them.

    row_of, widths, depths, middle: of each item; middle is the x of its middle. above, below: its neighbors.
    paths: of each edge, the items that it passes, from source to target.
    """

    def __init__(self, sizes, edges):
        n = self.boxes = len(sizes)
        inputs, users = defaultdict(list), defaultdict(list)
        for source, _, _, target in edges:
            inputs[target].append(source)
            users[source].append(target)
        self.depths, to_end = [0] * n, [0] * n  # the longest paths from a leaf, and to the last row
        for box in range(n):
            self.depths[box] = max((self.depths[x] + 1 for x in inputs[box]), default=0)
        for box in reversed(range(n)):
            to_end[box] = max((to_end[user] + 1 for user in users[box]), default=0)
        self.row_of = [max(to_end) - steps for steps in to_end]
        self.widths = [width for width, _ in sizes]
        self.paths = self._with_lanes(edges)
        self.middle = [0.0] * len(self.widths)
        self.rows = [[] for _ in range(max(to_end) + 1)]
        for item, row in enumerate(self.row_of):
            self.rows[row].append(item)
        self.above, self.below = defaultdict(list), defaultdict(list)
        for upper, lower in dict.fromkeys(pair for path in self.paths for pair in pairwise(path)):
            self.above[lower].append(upper)
            self.below[upper].append(lower)

    def _with_lanes(self, edges):
        lanes, paths = {}, []  # lanes: {(source, output_index, row): item}
        for source, output_index, _, target in edges:
            path = [source]
            for row in range(self.row_of[source] + 1, self.row_of[target]):
                place = source, output_index, row
                if place not in lanes:
                    lanes[place] = len(self.widths)
                    self.widths.append(LANE)
                    self.depths.append(self.depths[source])
                    self.row_of.append(row)
                path.append(lanes[place])
            paths.append([*path, target])
        return paths

    def rounds(self):
        """(rows, neighbors that are done, the other ones): down, up, down, ..."""
        for _ in range(ROUNDS // 2):
            yield self.rows, self.above, self.below
            yield self.rows[::-1], self.below, self.above


# ---------------------------------------------------------------------------- order


def sort(rows):
    """Put each row into an order with few crossings."""

    def key(neighbors, item):
        """Of the inputs of one box, leaves stand on the outside: on the right, in the left half on the left."""
        places = [rows.middle[x] for x in neighbors[item]] or [rows.middle[item]]
        wish = sum(places) / len(places)
        return wish, 0 if rows.depths[item] else -1 if wish < -1 else 1

    best, fewest = None, None
    for row in rows.rows:
        put_side_by_side(rows, row)
    for some, neighbors, _ in rows.rounds():
        for row in some:
            row.sort(key=partial(key, neighbors))
            put_side_by_side(rows, row)
        count = sum(crossings(row, rows.below, rows.middle) for row in rows.rows)
        if fewest is None or count < fewest:
            best, fewest = [list(row) for row in rows.rows], count
    rows.rows = best
    for row in best:
        put_side_by_side(rows, row)


def put_side_by_side(rows, row):
    left = -sum(rows.widths[item] + GAP for item in row) / 2
    for item in row:
        rows.middle[item] = left + (rows.widths[item] + GAP) / 2
        left += rows.widths[item] + GAP


def crossings(row, below, middle):
    """How many pairs of links between this row and the next cross."""
    count, seen = 0, []
    for item in row:
        ends = sorted(middle[x] for x in below[item])
        count += sum(len(seen) - bisect(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return count


# ---------------------------------------------------------------------------- places


def place(rows):
    """Move each item towards its neighbors. The deeper a box stands in the graph, the less it makes way for others."""

    def wish(item, neighbors):
        """To go straight on: lanes below lanes, Functions below the deepest of their neighbors, along the main road."""
        lanes = [x for x in neighbors if x >= rows.boxes] if item >= rows.boxes else []
        deepest = max(rows.depths[x] for x in neighbors)
        like = lanes or [x for x in neighbors if rows.depths[x] == deepest]
        return sum(rows.middle[x] for x in like) / len(like)

    for some, done, others in rows.rounds():
        for row in some:
            wishes = [wish(item, done[item] or others[item] or [item]) for item in row]
            weights = [100 ** min(rows.depths[item], 3) for item in row]
            for item, x in zip(row, spread(wishes, weights, [rows.widths[item] for item in row]), strict=True):
                rows.middle[item] = x


def spread(wishes, weights, widths):
    """Middles x in this order, at least GAP between their items, with the least sum of weight * (x - wish)^2.

    Without its distances the row is a sequence that must not fall: isotonic regression. Where neighbors want to
    pass each other, they are pooled, and their block stands at the mean of its wishes.
    """
    offsets = list(accumulate(((a + b) / 2 + GAP for a, b in pairwise(widths)), initial=0))
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


def routed(rows, sizes, edges):
    left = min(x - width / 2 for x, width in zip(rows.middle, rows.widths, strict=True))
    middle = rows.middle = [x - left for x in rows.middle]
    top, bottom = vertical_bands(rows, sizes)
    corners = []
    for box, (width, height) in enumerate(sizes):
        row = rows.row_of[box]
        corners.append((middle[box] - width / 2, (top[row] + bottom[row] - height) / 2))
    routes, ends = [], arrivals(rows, edges)
    for (source, output_index, outputs, target), path, end in zip(edges, rows.paths, ends, strict=True):
        (x, y), (width, height) = corners[source], sizes[source]
        points = [(x + width * (output_index + 1) / (outputs + 1), y + height)]
        points.append((points[0][0], bottom[rows.row_of[source]]))
        for lane in path[1:-1]:
            points += [(middle[lane], top[rows.row_of[lane]]), (middle[lane], bottom[rows.row_of[lane]])]
        routes.append([*points, (end, top[rows.row_of[target]]), (end, corners[target][1])])
    right = max(x + width / 2 for x, width in zip(middle, rows.widths, strict=True))
    return Layout(corners, routes, right, bottom[-1])


def vertical_bands(rows, sizes):
    """(top, bottom) of each row. The further edges go sideways, the larger is the gap above."""
    sideways = [0.0] * len(rows.rows)
    for path in rows.paths:
        for upper, lower in pairwise(path):
            row = rows.row_of[lower]
            sideways[row] = max(sideways[row], abs(rows.middle[upper] - rows.middle[lower]))
    top, bottom, y = [], [], 0
    for number, row in enumerate(rows.rows):
        y += min(34 + sideways[number] / 12, 110) if number else 0
        top.append(y)
        y += max(sizes[item][1] for item in row if item < rows.boxes)
        bottom.append(y)
    return top, bottom


def arrivals(rows, edges):
    """The x at which each edge reaches its target: side by side around the middle, in the order in which they come.

    If a single one comes from nearly above, all move a little to let it go straight down.
    """
    coming, places = defaultdict(list), [0.0] * len(edges)
    for number, path in enumerate(rows.paths):
        coming[path[-1]].append((rows.middle[path[-2]], number))
    for target, found in coming.items():
        found.sort()
        width = rows.widths[target]
        apart = min(24, width / (len(found) + 1))
        left = rows.middle[target] - apart * (len(found) - 1) / 2
        shifts = [x - left - apart * i for i, (x, _) in enumerate(found)]
        shift = min(shifts, key=abs)
        straight = found[shifts.index(shift)][0]
        alone = sum(x == straight for x, _ in found) == 1
        if alone and abs(shift) + apart * (len(found) - 1) / 2 < width / 2 - 4:
            left += shift
        for i, (_, number) in enumerate(found):
            places[number] = left + apart * i
    return places
