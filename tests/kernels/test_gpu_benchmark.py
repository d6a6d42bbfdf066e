"""benchmarks/gpu.py, for the day there is a GPU: as far as it runs without one."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


def test_a_dry_run_finds_every_kernel_right():
    done = run("--device", "emu:0", "--batch-size", "1", "--width", "0.125", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every kernel was right." in done.stdout
    for row in ("conv5 | filter gradient", "dropout, dropout6 | backward", "off | tinynet", "on | tinynet"):
        assert f"| {row} |" in done.stdout


@pytest.mark.parametrize("more", [[], ["--all"]])
def test_without_a_gpu_it_is_one_line(more):
    done = run("--device", "cuda:99", *more)
    assert (done.returncode, done.stderr.count("\n"), done.stderr[:8]) == (2, 1, "gpu.py: "), done.stderr


def test_all_runs_each_step_whatever_the_others_do_and_keeps_what_they_print(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    gpu = importlib.import_module("gpu")
    commands = []

    def tee(command, path):
        commands.append(command)
        return original(["-c", f"print({command[-1]!r}); raise SystemExit({len(commands) % 3})"], path)

    original = gpu.tee
    monkeypatch.setattr(gpu, "tee", tee)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--all", "--quick"])
    with pytest.raises(SystemExit, match="1"):
        gpu.everything(tmp_path / "gpu-x")
    assert commands == [["-m", "tinynet", "doctor"], ["-m", "pytest", "-m", "gpu", "-rs"], [str(SCRIPT), "--quick"]]
    kept = {path.name: path.read_text() for path in (tmp_path / "gpu-x").iterdir()}
    assert kept == {"doctor.txt": "doctor\n", "tests.txt": "-rs\n", "benchmark.txt": "--quick\n"}
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("doctor: FAILED with exit code 1, tests: FAILED with exit code 2, benchmark: done")
    assert gpu.file_name("NVIDIA H200") == "gpu-nvidia-h200" and gpu.file_name("emu:0") == "gpu-emu-0"
