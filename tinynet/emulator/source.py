"""Translates the text of a .cu file to C++, line for line.

Macros in cuda_on_cpu.h do most of the work. What they cannot do is done here:

    #include "tiles.cuh"             becomes the file's own text, so that the other rules apply to it too
    __shared__ float tile[16][17];   float (&tile)[16][17] = emulator::shared("tile", [] {});
    #pragma unroll 4                 EMULATOR_UNROLL(4)
    extern "C" __global__ void f(int n) { ... }    itself, followed by EMULATOR_KERNEL(f)
"""

import re
from pathlib import Path

STRING = r'"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])*\''
COMMENT = r"//[^\n]*|/\*.*?\*/"
LINE = re.compile(r'\s*#\s*line\s+(\d+)(?:\s+"(.*)")?')
INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]*)[">]')
ONCE = re.compile(r"^\s*#\s*pragma\s+once\b", re.M)
UNROLL = re.compile(r"^([ \t]*)#[ \t]*pragma[ \t]+unroll\b[ \t]*(\d*).*", re.M)
SHARED = re.compile(rf"({STRING})|((?:\b(?:extern|static)\s+)?)\b__shared__\b((?:\s+extern\b)?)([^;]*);", re.S)
DECLARATOR = re.compile(r"(?P<type>.*?)\b(?P<name>\w+)\s*(?P<extents>(?:\[[^\]]*\]\s*)*)", re.S)
GLOBAL = re.compile(rf"({STRING})|\b__global__\b")
BOUNDS = r"__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)"
FUNCTION = re.compile(rf"(?:{BOUNDS}|[^;{{}}()])*?\b(?P<name>(?!__launch_bounds__)[\w#]+)\s*\(")
BRACKETS = re.compile(rf"(?:{STRING})|[(){{}}]")
FULL_UNROLL = 32  # iterations that a bare `#pragma unroll` unrolls at most


class SourceError(Exception):
    """In the form of a compiler's message: file:line: error: what."""


def translate(code, folders=(), defines=(), name="kernel.cu"):
    """(C++ text, {kernel: the text of each parameter}).

    folders: where to look for included files. defines: from -D options, each name or name=value. name: the file's.
    """
    code = with_includes(code, folders, name)
    code = UNROLL.sub(lambda match: f"{match[1]}EMULATOR_UNROLL({match[2] or FULL_UNROLL})", code)
    code = SHARED.sub(shared, code)
    code, parameters = with_kernels(code)
    # The macros come after our header, which they could break: -DT=float would.
    defines = [f"#define {key} {value or '1'}" for key, _, value in (text.partition("=") for text in defines)]
    return "\n".join(['#include "cuda_on_cpu.h"', *defines, f'#line 1 "{name}"', code]), parameters


# ------------------------------------------------------------------------------ #include


def without_comments(code):
    def blank(match):
        return match[1] or re.sub(r"[^\n]", " ", match[0])

    return re.sub(rf"({STRING})|{COMMENT}", blank, code, flags=re.S)


def with_includes(code, folders, name, inside=()):
    """The code without comments, and with included files in place. inside: the chain of files that include this one."""
    lines, number = [], 0
    for text in without_comments(code).split("\n"):
        number += 1
        if directive := LINE.match(text):
            number, name = int(directive[1]) - 1, directive[2] or name
        if include := INCLUDE.match(text):
            text = f'{included(include, folders, name, number, inside)}\n#line {number + 1} "{name}"'
        lines.append(text)
    return "\n".join(lines)


def included(include, folders, name, number, inside):
    if include[1] == "<":
        raise SourceError(
            f"{name}:{number}: error: #include <{include[2]}>: CUDA's functions are built in, and NVRTC, "
            "which compiles for GPUs, has no headers of the C++ library"
        )
    paths = [Path(folder, include[2]) for folder in (Path(name).parent, *folders)]
    path = next((path.resolve() for path in paths if path.is_file()), None)
    if path is None:
        raise SourceError(f'{name}:{number}: error: #include "{include[2]}": no such file in {[*map(str, folders)]}')
    if path in inside:  # it includes itself, which makes sense only with #pragma once
        return ""
    text = path.read_text(encoding="utf-8")
    once = ONCE.search(text)
    text = f'#line 1 "{path.as_posix()}"\n' + with_includes(text, folders, path.as_posix(), (*inside, path))
    if once:  # the include guard that it stands for
        guard = "EMULATOR_ONCE" + re.sub(r"\W", lambda char: f"_{ord(char[0]):x}_", path.as_posix())
        return f"#ifndef {guard}\n#define {guard}\n{ONCE.sub('', text)}\n#endif"
    return text


# ------------------------------------------------------------------------------ __shared__


def shared(match):
    """float a[4], b[8][9]   becomes   float (&a)[4] = emulator::shared("a", [] {}), (&b)[8][9] = ..."""
    string, before, after, declaration = match.groups()
    if string:
        return string
    dynamic = "extern" in before + after  # `static` adds nothing: shared variables always are
    first, *others = split_at_commas(re.sub(r"__align__\s*\([^()]*\)", "", declaration))
    found = [DECLARATOR.fullmatch(text) for text in (first, *others)]
    if not all(found):
        return match[0]  # for the compiler to complain about
    return f"{found[0]['type']}{', '.join(declarator(one['name'], one['extents'], dynamic) for one in found)};"


def declarator(name, extents, dynamic):
    if dynamic:  # [][8] becomes a pointer to rows of 8
        return f"(*{name}){extents.partition(']')[2]} = emulator::dynamic_shared()"
    return f'(&{name}){extents} = emulator::shared("{name}", [] {{}})'


def split_at_commas(text):
    """Splits the text at commas outside of brackets."""
    depth, parts = 0, [""]
    for char in text:
        depth += (char in "([{<") - (char in ")]}>")
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return parts


# ------------------------------------------------------------------------------ __global__


def with_kernels(code):
    """(the code with EMULATOR_KERNEL(name) after the body of each kernel, {kernel: the text of each parameter})."""
    parameters, result, done = {}, [], 0
    for match in GLOBAL.finditer(code):
        function = not match[1] and FUNCTION.match(code, match.end())
        if not function or not is_extern_c(code, match.start()):
            continue
        name, opening = function["name"], function.end() - 1
        closing = closing_bracket(code, opening)
        body = closing and re.compile(r"\s*\{").match(code, closing)
        end = body and closing_bracket(code, body.end() - 1)
        if not end:  # only a declaration
            continue
        start = max(code.rfind(char, 0, match.start()) for char in ";{}")  # of the declaration, or -1
        bounds = re.search(BOUNDS, code[start + 1 : opening])
        bounds = "," + bounds[0].partition("(")[2][:-1] if bounds else ""
        result.append(f"{code[done:end]} EMULATOR_KERNEL({name}{bounds})")
        parameters[name] = [" ".join(text.split()) for text in split_at_commas(code[opening + 1 : closing - 1])]
        done = end
    return "".join(result) + code[done:], parameters


def closing_bracket(code, opening):
    """The index after the bracket that closes the one at `opening`, or None."""
    depth = 0
    for token in BRACKETS.finditer(code, opening):
        depth += (token[0] in "({") - (token[0] in ")}")
        if not depth:
            return token.end()
    return None


def is_extern_c(code, index):
    """Whether extern "C" precedes `index`, or a block extern "C" { ... } is open there."""
    attribute = r'(?:__\w+__\s*(?:\([^()]*\)\s*)?)*'
    if re.search(rf'extern\s*"C"\s*{attribute}$', code[max(0, index - 200) : index]):
        return True
    opened = []
    for token in BRACKETS.finditer(code, 0, index):
        if token[0] == "{":
            opened.append(re.search(r'extern\s*"C"\s*$', code[max(0, token.start() - 50) : token.start()]))
        elif token[0] == "}" and opened:
            opened.pop()
    return any(opened)
