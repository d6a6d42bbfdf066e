"""python -m tinynet.course, as a student and as a teacher call it."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from course_answers import faulty
from tinynet.course import train
from tinynet.course.__main__ import main
from tinynet.course.bench import load
from tinynet.course.exercises import EXERCISES, by_name
from tinynet.course.report import next_steps

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the process that an answer runs in


def write(name, text, folder="work"):
    path = Path(folder) / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


# ---------------------------------------------------------------------------- start, list, solution


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_a_stub_keeps_all_but_the_bodies(exercise):
    """Where it is Python: the same functions with the same arguments and docstrings, less those that were removed."""
    if not exercise.file.endswith(".py"):
        pytest.skip("not in Python")
    stub, own = (signatures(text) for text in (exercise.stub("work/x.py"), exercise.source()))
    gone = {name for name in own if any(name == r or name.startswith(f"{r}.") for r in exercise.removed)}
    assert list(stub) == [name for name in own if name not in gone]
    assert all(stub[name] == own[name] for name in stub)
    for hole in exercise.holes:
        assert f'raise NotImplementedError("{hole}")' in exercise.stub("work/x.py")
    assert not set(exercise.hide) & set(exercise.stub("work/x.py").splitlines())


def signatures(text, prefix=""):
    found = {}
    for node in ast.walk(ast.parse(text)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef) and isinstance(node, ast.ClassDef | ast.Module):
                name = f"{node.name}.{child.name}" if isinstance(node, ast.ClassDef) else child.name
                found[name] = ast.unparse(child.args)
    return found


def test_start_writes_a_file_once(capsys):
    assert main(["start", "softmax"]) == 0
    path = Path("work/softmax.py")
    assert "python -m tinynet.course check work/softmax.py" in path.read_text(encoding="utf-8")
    assert "sum_i dy_i * y_i" not in path.read_text(encoding="utf-8")
    path.write_text("mine", encoding="utf-8")
    assert main(["start", "softmax"]) == 2
    assert path.read_text(encoding="utf-8") == "mine"
    assert (
        capsys.readouterr().err
        == "work/softmax.py exists already; --force starts over, and keeps it as softmax.py.bak\n"
    )
    assert main(["start", "softmax", "--force"]) == 0
    assert "NotImplementedError" in path.read_text(encoding="utf-8")
    assert Path("work/softmax.py.bak").read_text(encoding="utf-8") == "mine"
    path.write_text("mine, too", encoding="utf-8")
    assert main(["start", "softmax", "--force"]) == 0
    assert Path("work/softmax.py.bak").read_text(encoding="utf-8") == "mine"
    assert Path("work/softmax.py.bak1").read_text(encoding="utf-8") == "mine, too"


def test_list(capsys):
    main(["start", "relu", "--folder", "mine"])
    write("sgd", by_name("sgd").source(), "mine")
    capsys.readouterr()
    assert main(["list", "--folder", "mine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [e.name for e in EXERCISES]
    states = {line.split()[0]: line.split()[3] for line in lines[1:]}
    assert (states["relu"], states["sgd"], states["adam"]) == ("started", "written", "-")


def state(name, capsys):
    main(["list"])
    return next(line.split()[3] for line in capsys.readouterr().out.splitlines() if line.startswith(f"{name} "))


def test_list_knows_what_was_right_as_it_is(capsys):
    right = by_name("relu").source()
    main(["check", write("relu", right)])
    capsys.readouterr()
    assert state("relu", capsys) == "right"
    write("relu", right + "\n# changed")
    assert state("relu", capsys) == "written"
    write("relu", right)
    assert state("relu", capsys) == "right"
    Path("work/.right.json").write_text("no JSON", encoding="utf-8")
    assert state("relu", capsys) == "written"


def test_solution_only_after_trying(capsys):
    assert main(["solution", "relu"]) == 2
    main(["start", "relu"])
    assert main(["solution", "relu"]) == 2
    assert "try first" in capsys.readouterr().err
    write("relu", by_name("relu").source().replace("y > 0), dy", "y > 1), dy"))
    assert main(["solution", "relu"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if line.startswith(("-  ", "+  "))] == [
        "-        return elementwise(lambda dx, dy, y: gate(dx, dy, y > 1), dy, y)",
        "+        return elementwise(lambda dx, dy, y: gate(dx, dy, y > 0), dy, y)",
    ]


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["start", "rleu"], "there is no exercise 'rleu'; there are graph, relu"),
        (["check", "work/relu.py"], "there is no file work/relu.py; python -m tinynet.course start relu makes one"),
        (["check", "work/relu.txt"], "answers to relu are in files called relu.py, got relu.txt"),
        (["check"], "check needs a file such as work/relu.py, or --all"),
        (["check", "work/relu.py", "--all"], "check needs a file such as work/relu.py, or --all"),
        (["check", "--all"], "there is no folder work"),
        (
            ["check", "--all", "--folder", "."],
            ". holds no answers: files called graph.py, relu.py, ..., or folders of them",
        ),
        (["train", "work/relu.py"], "cannot read work/relu.py: No such file or directory"),
    ],
)
def test_what_cannot_be_done(arguments, line, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(line)


# ---------------------------------------------------------------------------- check


def test_a_right_answer(capfd):
    assert main(["check", write("relu", by_name("relu").source())]) == 0
    out = capfd.readouterr().out
    assert out.endswith(
        "right.\nNow: python -m tinynet.course solution relu\n     python -m tinynet.course train work/relu.py\n"
    )
    assert "backward" in out
    assert "your prints" not in out


def test_what_cannot_be_trained_and_lies_elsewhere(capfd):
    assert next_steps(Path("mine/relu_kernel.cu")) == [
        "Now: python -m tinynet.course solution relu_kernel --folder mine"
    ]


@pytest.mark.parametrize("lines, more", [(3, []), (10, []), (13, ["    ... and 3 more"])])
def test_prints_come_after_the_report(lines, more, capfd):
    main(["check", write("relu", f"for i in range({lines}):\n    print('hello', i)\nstop")])
    out = capfd.readouterr().out.splitlines()
    assert out[out.index("your prints:") + 1 :] == [*(f"    hello {i}" for i in range(min(lines, 10))), *more]
    assert any("NameError" in line for line in out[: out.index("your prints:")])


def test_a_stub(capfd):
    main(["start", "sgd"])
    assert main(["check", "work/sgd.py"]) == 1
    out = capfd.readouterr().out
    assert "2 runs  NOT DONE" in out
    assert "not done yet: SGD.update" in out


def test_a_known_mistake_a_pattern_and_where_to_read(capfd):
    twin = next(twin for twin in by_name("softmax").twins if twin.see == "Step 3")
    assert main(["check", write("softmax", twin.source(by_name("softmax").source()))]) == 1
    out = " ".join(capfd.readouterr().out.split())
    assert f"A known mistake does exactly the same: {twin.hint}" in out
    assert f'Read again: docs/softmax_cross_entropy.md, "{twin.see}".' in out
    assert main(["check", write("softmax", faulty("softmax", "Softmax.backward", "3 * dx"))]) == 1
    assert "dx is right up to a factor: it is 3 times what it should be." in capfd.readouterr().out


BODY = "        return elementwise(lambda dx, dy, y: gate(dx, dy, y > 0), dy, y)"


@pytest.mark.parametrize(
    "instead, expected",
    [
        ("return dy @ no_such_name", "line {line}: NameError: name 'no_such_name' is not defined"),
        ("import os; os.kill(os.getpid(), 11)", "crashed Python (signal 11)"),
        ("import os; os._exit(0)", "ended early"),
        ("raise SystemExit", "line {line}: SystemExit"),
        ("return (", "line {line}: '(' was never closed"),
        ("return None", "relu.backward: input 0 has shape (4, 5) and is float64, its cotangent is None"),
    ],
    ids=["exception", "crash", "exit", "SystemExit", "syntax", "None"],
)
def test_an_answer_that_breaks(instead, expected, capfd):
    source = by_name("relu").source()
    line = source[: source.index(BODY)].count("\n") + 1
    assert main(["check", write("relu", source.replace(BODY, f"        {instead}"))]) == 1
    out, err = capfd.readouterr()
    assert expected.format(line=line) in out
    assert "Traceback" not in out + err


def test_an_endless_loop(capfd):
    """In the first function that runs, so that a slow machine comes that far."""
    text = faulty("relu", "Relu.forward", "[0 for _ in iter(int, 1)]")
    line = text[: text.index("iter(int, 1)")].count("\n") + 1
    assert main(["check", write("relu", text), "--seconds", "4"]) == 1
    out = capfd.readouterr().out
    assert "2 runs  WRONG" in out
    assert f"relu.py was still running after 4 seconds, at line {line}: does a loop never end?" in out


def test_a_teacher_checks_a_class(capsys):
    right, twin = by_name("relu").source(), by_name("sgd").twins[0]
    write("relu", right, "class/ada")
    write("sgd", twin.source(by_name("sgd").source()), "class/ada")
    write("relu", "\0 no Python", "class/bob")
    Path("class/eve").mkdir()
    Path("class/eve/relu.py").write_bytes(b"\xff\xfe")
    Path("class/eve/notes.txt").write_text("not an answer", encoding="utf-8")
    assert main(["check", "--all", "--folder", "class", "--json", "grades.json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[:-1]] == [
        ["ada", "relu", "right"], ["ada", "sgd", "wrong"], ["bob", "relu", "wrong"], ["eve", "relu", "wrong"],
    ]  # fmt: skip
    assert twin.hint in lines[1]
    assert lines[-1] == "1 of 4 are right"
    grades = json.loads(Path("grades.json").read_text(encoding="utf-8"))
    assert list(grades) == ["ada", "bob", "eve"]
    assert grades["ada"]["sgd"]["state"] == "wrong"
    assert grades["ada"]["sgd"]["hint"] == twin.hint


# ---------------------------------------------------------------------------- train


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(train, "WIDTH", 1 / 16)
    monkeypatch.setattr(train, "BATCH", 2)


def test_train_with_a_right_and_a_wrong_layer(small, capsys):
    assert main(["train", write("relu", by_name("relu").source()), "--steps", "2"]) == 0
    out = capsys.readouterr().out
    assert "the same losses" in out
    assert out.endswith("(2 steps are too few for the loss to fall.)\n")
    assert main(["train", write("relu", faulty("relu", "Relu.backward", "2 * dx")), "--steps", "2"]) == 1
    steps = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]
    assert steps[0][1] == steps[0][2]  # the forward pass is right
    assert steps[1][1] != steps[1][2]


def test_train_with_what_is_no_python(capsys):
    assert main(["train", write("relu", "def relu(")]) == 1
    assert capsys.readouterr().err.startswith("SyntaxError: '(' was never closed (relu.py, line 1)")


@pytest.mark.parametrize("option", ["--seconds=0", "--seconds=nan", "--steps=-1", "--steps=two"])
def test_numbers_that_make_no_sense(option, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "work/relu.py", option])
    assert end.value.code == 2
    assert "invalid positive" in capsys.readouterr().err


def test_train_with_a_layer_that_is_not_done(capsys):
    main(["start", "conv2d"])
    assert main(["train", "work/conv2d.py"]) == 1
    assert re.search(r"step 1 failed. work/conv2d.py, line \d+: NotImplementedError", capsys.readouterr().err)


def test_train_takes_every_exercise_in_python():
    assert list(train.PLACES) == [e.name for e in EXERCISES if e.file.endswith(".py")]


@pytest.mark.parametrize("name", train.PLACES)
def test_train_uses_the_answer(name, small):
    """Where the library looks them up differs: each is seen to be called."""
    calls = []
    answer = getattr(load(by_name(name).source(), name), train.PLACES[name][1])

    def counted(*arguments, **more):
        calls.append(name)
        return answer(*arguments, **more)

    run = train.Training(name, counted)
    run.step(0)
    assert calls


# ---------------------------------------------------------------------------- the pages


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_pages_have_what_hints_point_to(exercise):
    text = (ROOT / exercise.page).read_text(encoding="utf-8")
    headings = re.findall(r"(?m)^##+ (.*)", text)
    for see in {exercise.section, *(twin.see for twin in exercise.twins if twin.see)}:
        assert sum(re.match(rf"{re.escape(see)}(?!\w)", heading) is not None for heading in headings) == 1, see


def test_the_course_as_a_program():
    run = subprocess.run([sys.executable, "-m", "tinynet.course", "list"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "local_response_norm" in run.stdout


def test_nobody_reads_on():
    """As in `list | head -1`."""
    program = subprocess.Popen(
        [sys.executable, "-m", "tinynet.course", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    program.stdout.close()
    assert program.stderr.read() == b""
    assert program.wait() == 0
    program.stderr.close()
