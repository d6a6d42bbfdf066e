"""Every kernel of this folder, compiled by NVRTC for four generations of GPUs, as tables of the resources it uses.

benchmarks/kernels.py makes a page of these tables; the tests check that the page is up to date.
"""

import re
from collections import defaultdict
from itertools import product

from tinynet.kernels import loader
from tinynet.kernels.conv2d import TILES
from tinynet.kernels.nvrtc import CompileError, resource_usage

ARCHITECTURES = ["sm_75", "sm_80", "sm_90", "sm_100"]
TYPES = ["float", "double"]
# The -D options that the launchers pass for AlexNet and similar networks: {file: {type: [defines, ...]}} ...
BY_DEFAULT = {
    "conv2d": {
        "float": [tile.defines for tile in TILES[3]],
        "double": [tile.defines for tile in TILES[3] if tile.M <= 64],
    },
    "conv2d_tensor_cores": {"float": [tile.defines for tile in TILES[4]], "double": []},
    "local_response_norm": {T: [{"SIZE": 5, "THREE_QUARTERS": 1}] for T in TYPES},
}
# ... and for other arguments. A file that is in neither has no options.
OTHERWISE = {
    "local_response_norm": [{"SIZE": 5}],  # any beta
    "max_pool2d": [{"WINNER": "int"}],  # windows of more than 256 elements
}
LESSON = re.compile(r"_v[12]$")  # steps on the way to the kernel that runs by default
COLUMNS = ["kernel", "type", "options", "registers", "shared", "local", "threads", "blocks on sm_90"]


def files():
    return sorted(loader.FOLDER.glob("*.cu"))


def by_default(path, T):
    return BY_DEFAULT.get(path.stem, {}).get(T, [{}])


def variants(path):
    return [(T, defines) for T in TYPES for defines in by_default(path, T) + OTHERWISE.get(path.stem, [])]


def compile_file(nvrtc, path):
    """Compiles a file with each type and set of options, for each architecture.

    Returns ({(kernel, type, options): {architecture: Usage}}, [complaint, ...]). It complains about kernels that do
    not compile, and about those that run by default and keep variables in local memory, which is slow ("spills").
    """
    table, complaints, text = defaultdict(dict), [], path.read_text(encoding="utf-8")
    for (T, defines), architecture in product(variants(path), ARCHITECTURES):
        options = " ".join(f"{key}={value}" for key, value in defines.items())
        where = " ".join(filter(None, [path.name, T, options, architecture]))
        try:
            found, warnings = resource_usage(nvrtc, *loader.source(path, T, defines.items()), architecture)
        except CompileError as error:
            complaints.append(f"{where}: does not compile\n{error}")
            continue
        complaints += [f"{where}: {warning}" for warning in warnings]
        for name, usage in sorted(found.items(), key=lambda item: (text.find(item[0]), item[0])):  # as in the file
            table[name, T, options][architecture] = usage
            runs_by_default = defines in by_default(path, T) and not LESSON.search(name)
            if runs_by_default and (usage.stack or usage.spilled):
                complaints.append(
                    f"{where}: {name} keeps {usage.stack} bytes per thread in local memory, "
                    f"and its spills store and load {usage.spilled} bytes"
                )
    return table, complaints


def section(path, table):
    """The file's table in Markdown. The same kernels and the same compiler give the same text."""
    lines = ["", f"## {path.name}", "", row(COLUMNS), row(["---"] * len(COLUMNS))]
    for (name, T, options), by_architecture in table.items():
        usages, blocks = by_architecture.values(), "—"
        on_sm90 = by_architecture.get("sm_90")
        if on_sm90 and on_sm90.threads:
            count = on_sm90.blocks_on_sm90()
            blocks = f"{count} ({count * loader.ceil_div(on_sm90.threads, 32) / 64:.0%})"
        numbers = [
            one_or_each(usage.registers for usage in usages),
            one_or_each(usage.shared for usage in usages),
            one_or_each(f"{usage.stack} + {usage.spilled}" if usage.spilled else usage.stack for usage in usages),
            one_or_each(usage.threads or "—" for usage in usages),
        ]
        lines.append(row([f"`{name}`", T, f"`{options}`" if options else "", *numbers, blocks]))
    return "\n".join(lines) + "\n"


def one_or_each(values):
    """A single value if all architectures agree, otherwise the value of each."""
    values = [str(value) for value in values]
    return values[0] if len(set(values)) == 1 else ", ".join(values)


def row(cells):
    return f"| {' | '.join(map(str, cells))} |"
