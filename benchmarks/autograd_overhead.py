"""What an operation costs when there is nothing to compute: tinynet and PyTorch, eager, in turn.

    python benchmarks/autograd_overhead.py [--rounds 15] [--ops 1000] [--long 100000]

A chain of small operations (+, *, relu, tanh, with a tensor and with a number) on tensors of 1 and of 16 elements:
forward, which records the graph, and backward through all of it, in microseconds an operation. The long chain must
cost as much an operation as the short one, so nothing grows with the square, and it runs within Python's usual
recursion limit, so nothing recurses.
"""

import statistics
import sys
import time

import common
import numpy as np


def tinynet_chain():
    import tinynet
    from tinynet import functional as F

    return tinynet.tensor, F.relu, F.tanh


def torch_chain():
    import torch

    torch.set_num_threads(1)  # never more than 16 elements
    return lambda array, requires_grad: torch.tensor(array, requires_grad=requires_grad), torch.relu, torch.tanh


CHAINS = {"tinynet": tinynet_chain, "PyTorch": torch_chain}
PASSES = "forward", "backward"


def work(args):
    tensor, relu, tanh = CHAINS[args.worker]()
    cycle = [
        lambda y, w: y + w,
        lambda y, w: y * 0.5,
        lambda y, w: relu(y),
        lambda y, w: y * w,
        lambda y, w: y - 0.25,
        lambda y, w: tanh(y),
    ]

    def turn(ops, size, repeats):
        """[seconds an operation, forward; backward]: medians of some chains."""
        x, w = (tensor(np.ones(size, np.float32), True) for _ in range(2))
        operations = [cycle[i % len(cycle)] for i in range(ops)]
        dy, times = tensor(np.ones(size, np.float32), False), []
        for _ in range(repeats):
            y = x
            start = time.perf_counter()
            for operation in operations:
                y = operation(y, w)
            between = time.perf_counter()
            y.backward(dy)
            times.append(((between - start) / ops, (time.perf_counter() - between) / ops))
        return [statistics.median(t) for t in zip(*times, strict=True)]

    common.serve(turn)


def main():
    parser = common.parser(__doc__, CHAINS, rounds=15)
    parser.add_argument("--ops", type=int, default=1000)
    parser.add_argument("--long", type=int, default=100_000)
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    workers = {name: common.Worker(name, 1) for name in common.libraries()}
    chains = {(args.ops, 1): 20, (args.ops, 16): 20, (args.long, 1): 1}  # (operations, elements): chains a turn
    seconds = {name: {} for name in workers}
    for _ in range(args.rounds):
        for (ops, size), repeats in chains.items():
            for name, turns in common.take_turns(workers, 1, ops=ops, size=size, repeats=repeats).items():
                seconds[name].setdefault((ops, size), []).append([*turns[0], sum(turns[0])])
    for worker in workers.values():
        worker.close()

    rows, marks = [], []
    for chain in chains:
        what = f"{chain[0]:,} operations on {chain[1]} element{'s' * (chain[1] > 1)}"
        columns = {name: list(zip(*of[chain], strict=True)) for name, of in seconds.items()}  # one a pass
        for i, which in enumerate((*PASSES, "both")):
            ours, theirs = (columns[name][i] if name in columns else None for name in CHAINS)
            slower = common.ratios(ours, theirs) if theirs else None
            rows.append([what, which, common.spread(ours, ".2f", 1e6),
                         common.spread(theirs, ".2f", 1e6) if theirs else "",
                         common.spread(slower, ".2f") if theirs else ""])
        if theirs and chain[0] == args.ops:
            marks.append(common.mark(f"{what}: tinynet's time / PyTorch's (aim: 2)", slower, most=4))
    both = {chain: [t for *_, t in times] for chain, times in seconds["tinynet"].items()}
    growth = common.ratios(both[args.long, 1], both[args.ops, 1])
    marks.append(common.mark(f"an operation of the chain of {args.long:,} / one of {args.ops:,}", growth, most=2))
    header = ["chain", "pass", "tinynet, µs an operation, median (min to max)", "PyTorch, µs an operation",
              "tinynet's time / PyTorch's"]
    common.report(args, "What an operation costs", [
        f"{args.rounds} rounds, recursion limit {sys.getrecursionlimit()}.", "",
        *common.table(header, rows), "", *common.marks_table(marks),
    ])


if __name__ == "__main__":
    main()
