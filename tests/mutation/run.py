"""Puts small faults into the library, one at a time, and reports those that no test notices (docs/testing.md).

    python tests/mutation/run.py --sample 20 --seed 0            # the faults of KNOWN, then 20 random ones
    python tests/mutation/run.py --group ops --sample 500        # a night; --sample 0: all there are
    python tests/mutation/run.py --sample 0 --only tinynet/optim/sgd.py

cosmic-ray finds the places and makes the changes. Each mutant runs the tests of its own file (modules.py), in a copy of
the tree and in a fork of this process, in which PyTorch is loaded already. Exit code 1: a fault of KNOWN was not
noticed.
"""

import argparse
import ast
import collections
import contextlib
import importlib
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from modules import GROUPS, KNOWN, tests_of

ROOT = Path(__file__).resolve().parents[2]
PRELOAD = "numpy", "torch", "pytest", "hypothesis.extra.numpy", "PIL.Image", "safetensors", "simplejpeg"

# Of cosmic-ray's operators, those whose mutants a person might have written: a + b as a - b, not as a << b.
PAIRS = (
    "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul Pow_Mul LShift_RShift RShift_LShift "
    "BitOr_BitAnd BitAnd_BitOr BitXor_BitAnd",
    "Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is",
    "Delete_USub Delete_Not Delete_Invert",
)
OPERATORS = [
    *("ReplaceBinaryOperator_" + pair for pair in PAIRS[0].split()),
    *("ReplaceComparisonOperator_" + pair for pair in PAIRS[1].split()),
    *("ReplaceUnaryOperator_" + pair for pair in PAIRS[2].split()),
    "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator",
    "ZeroIterationForLoop",
]  # fmt: skip

Mutant = collections.namedtuple("Mutant", "path, line, code, old, new")  # code: of the whole file; old, new: its lines
OPTIONS = "-q", "-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"  # of PRELOAD
KEY = "path", "line", "old", "new"


# ------------------------------------------------------------------------------------ the mutants


def noise(source):
    """Whether (line, column) is in a raise statement, whose text is for people, in an annotation, or in strict=True.

    zip's strict=True says that two lengths are the same; a test in which they differ would need a bug first.
    """
    ranges = []
    for node in ast.walk(ast.parse(source)):
        hints = [getattr(node, name, None) for name in ("annotation", "returns")]
        noisy = [hint for hint in hints if isinstance(hint, ast.AST)]
        if isinstance(node, ast.Raise) or (isinstance(node, ast.keyword) and node.arg == "strict"):
            noisy = [node]
        ranges += [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in noisy]
    return lambda place: any(start <= place < end for start, end in ranges)


def mutants(path):
    """All of a file, in order: (operator, occurrence, line)."""
    source = (ROOT / path).read_text()
    nodes, is_noise = list(ast_nodes(get_ast(source))), noise(source)
    for name in OPERATORS:
        operator = get_operator("core/" + name)()
        places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        yield from ((name, k, place[0]) for k, place in enumerate(places) if not is_noise(place))


def made(path, name, occurrence, line):
    """The mutant itself; None if cosmic-ray cannot make it."""
    source = (ROOT / path).read_text()
    try:
        code = mutate_code(source, get_operator("core/" + name)(), occurrence)
    except AttributeError:  # "except a.b", in 8.7
        return None
    before, after = source.splitlines(), code.splitlines()
    at = next((k for k, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), line - 1)
    return Mutant(path, at + 1, code, before[at].strip(), after[at].strip())


def known(path, old, new):
    source = (ROOT / path).read_text()
    if source.count(old) != 1:
        raise SystemExit(f"KNOWN: {path} holds {source.count(old)} times, not once: {old}")
    return Mutant(path, source[: source.index(old)].count("\n") + 1, source.replace(old, new), old, new)


def explained():
    """{(path, old, new)} of survivors.txt: what is known not to be noticed, each with its reason."""
    lines = (Path(__file__).parent / "survivors.txt").read_text().splitlines()
    return {
        change(path, old[2:], new[2:])
        for path, old, new in zip(lines, lines[1:], lines[2:], strict=False)
        if old.startswith("- ") and new.startswith("+ ")
    }


def change(path, old, new):
    return path, "".join(old.split()), "".join(new.split())  # cosmic-ray adds spaces


# -------------------------------------------------------------------------------------- the tests


def fails(tree, tests, limit, sound=False):
    """Whether the tests fail in `tree`, within `limit` seconds: "noticed", "timeout", or None."""
    child = os.fork()
    if child == 0:
        os.setsid()
        code = 99
        try:
            code = run_tests(tree, tests, sound)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)  # whatever happens, nothing of the parent's goes on here
    end, code = time.monotonic() + limit, None
    try:
        while code is None and time.monotonic() < end:
            time.sleep(0.02)
            done, status = os.waitpid(child, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if done else None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # with it, whatever the tests started and left
    if code is None:
        os.waitpid(child, 0)
        return "timeout"
    if code in (4, 5, 99):  # of pytest: no such file, no such test
        raise SystemExit(f"pytest ended with {code}:\n" + (tree / "output").read_text()[-3000:])
    return "noticed" if code else None


def run_tests(tree, tests, sound):
    os.chdir(tree)
    output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ["PYTHONPATH"] = sys.path[0] = str(tree)
    if not sound:  # byte code is kept of files without a fault
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.dont_write_bytecode = True
    import pytest

    try:
        import tinynet
    except Exception as error:
        print(error)
        return 1
    if not tinynet.__file__.startswith(str(tree)):
        return 99
    for stage in tests:
        code = pytest.main([*OPTIONS, *stage])
        sys.stdout.flush()
        if code:
            return 1 if code == 2 else int(code)  # 2: a file of tests could not be imported
    return 0


class Trial:
    """A copy of the tree, in which mutants are tried."""

    def __init__(self, tree, limit, trust):
        self.tree, self.limit, self.trust = Path(tree), limit, trust
        for name in ("tinynet", "tests", "examples", "setup.cfg", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.tree / name)
        self.sound, self.tried = set(), 0

    def result(self, mutant):
        tests = tests_of(mutant.path)
        if tests not in self.sound and not self.trust:
            if how := fails(self.tree, tests, self.limit, sound=True):
                raise SystemExit(f"{how} without a fault: {tests}\n{(self.tree / 'output').read_text()[-3000:]}")
            self.sound.add(tests)
        file = self.tree / mutant.path
        source, times = file.read_text(), (file.stat().st_atime, file.stat().st_mtime)
        file.write_text(mutant.code)
        self.tried += 1
        os.utime(file, (self.tried, self.tried))  # a time of its own: byte code is compared by it
        try:
            return fails(self.tree, tests, self.limit)
        finally:
            file.write_text(source)
            os.utime(file, times)


# ------------------------------------------------------------------------------------------ a run


def drawn(arguments):
    """[(group, mutant)]: the sample, as many from each group as its share of all mutants."""
    rng, chosen = random.Random(arguments.seed), []
    for group, paths in GROUPS.items():
        asked = group if arguments.only else arguments.group
        if asked == group or (asked is None and group != "ranks"):  # minutes for each mutant: only if asked for
            chosen += [(group, path, *m) for path in paths for m in mutants(path) if arguments.only in (None, path)]
    print("places for mutants:", dict(collections.Counter(group for group, *_ in chosen)), flush=True)
    rng.shuffle(chosen)  # so that the start of a long run is a sample, too
    return ((group, made(*rest)) for group, *rest in chosen[: arguments.sample or None])


def interval(noticed, all_):
    """Of the share noticed, 95 % (Wilson)."""
    p, z2 = noticed / all_, 1.96**2
    middle, half = p + z2 / (2 * all_), math.sqrt(z2 * (p * (1 - p) / all_ + z2 / (4 * all_**2)))
    return f"{(middle - half) / (1 + z2 / all_):.0%} to {(middle + half) / (1 + z2 / all_):.0%}"


def arguments_of_the_command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=20, help="how many random mutants; 0: all (20)")
    parser.add_argument("--seed", type=int, default=0, help="another one, other mutants (0)")
    parser.add_argument("--group", choices=GROUPS, help="of one group of files")
    parser.add_argument("--only", metavar="FILE", help="of one file")
    parser.add_argument("--limit", type=float, default=300, help="seconds for the tests of a mutant (300)")
    parser.add_argument("--skip-known", action="store_true", help="without the faults of KNOWN")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a fault first")
    parser.add_argument("--log", metavar="FILE", help="add a line of JSON for each mutant; skip those that are there")
    return parser.parse_args()


def try_known(trial):
    """How many faults of KNOWN were not noticed."""
    lost = [mutant for mutant in (known(*fault) for fault in KNOWN) if not trial.result(mutant)]
    for mutant in lost:
        print(f"KNOWN, but not noticed: {shown(mutant)}", flush=True)
    print(f"known faults: {len(KNOWN)} run, {len(KNOWN) - len(lost)} noticed")
    return len(lost)


def shown(mutant):
    return f"{mutant.path}:{mutant.line}\n  - {mutant.old}\n  + {mutant.new}"


def try_sample(trial, arguments):
    log = Path(arguments.log or os.devnull)
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    done = {tuple(json.loads(line)[key] for key in KEY) for line in lines}
    counts, reasons = collections.defaultdict(collections.Counter), explained()
    for group, mutant in drawn(arguments):
        if mutant is None or tuple(getattr(mutant, key) for key in KEY) in done:
            continue
        start = time.monotonic()
        is_explained = change(mutant.path, mutant.old, mutant.new) in reasons
        how = trial.result(mutant) or ("explained" if is_explained else "survived")
        counts[group][how] += 1
        print(f"{how:9}  " + (shown(mutant) if how == "survived" else f"{mutant.path}:{mutant.line}"), flush=True)
        seconds = round(time.monotonic() - start, 1)
        result = {key: getattr(mutant, key) for key in KEY} | dict(group=group, how=how, seconds=seconds)
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
    for group, count in counts.items():
        noticed = count["noticed"] + count["timeout"]
        print(f"{group}: {count.total()} run, {noticed} noticed ({count['timeout']} by the time limit), "
              f"{count['explained']} explained, {count['survived']} survived; "
              f"noticed: {interval(noticed, count.total())} with 95 % confidence")  # fmt: skip


def main():
    arguments = arguments_of_the_command_line()
    for name in PRELOAD:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as tree:
        trial = Trial(tree, arguments.limit, arguments.trust)
        lost = 0 if arguments.skip_known else try_known(trial)
        try_sample(trial, arguments)
    return min(lost, 1)


if __name__ == "__main__":
    sys.exit(main())
