"""The process in which an answer runs: it may loop forever, crash or exit, and the checker goes on.

    python -m tinynet.course.child FILE EXERCISE OUT SECONDS

It writes the verdict so far to OUT before each step, as JSON, and to OUT.hang where it was when the time was over.
"""

import faulthandler
import json
import sys
from pathlib import Path

from tinynet.course.exercise import judge
from tinynet.course.exercises import by_name


def main(path, name, out, seconds):
    def write(verdict):
        Path(out).write_text(json.dumps(verdict.as_dict()), encoding="utf-8")

    with open(f"{out}.hang", "w") as hang:
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=hang)
        write(judge(by_name(name), Path(path).read_text(encoding="utf-8", errors="replace"), path, told=write))
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
