"""Exercises: the library's own layers with their insides taken out, and a checker that says what is wrong.

    python -m tinynet.course list                    what there is
    python -m tinynet.course start softmax           writes work/softmax.py
    python -m tinynet.course check work/softmax.py   what holds, what does not, and why
    python -m tinynet.course check --all             the same for every answer in a folder, for teachers
    python -m tinynet.course train work/conv2d.py    AlexNet with your layer in the library's place
    python -m tinynet.course solution softmax        the library's own, when you have tried

**An exercise** is a record (exercise.py, `Exercise`; one file each in exercises/): a file of the library, the functions
whose bodies go, a page, a bank of known mistakes. The file that a student starts from is made from the library's own
source (stub.py), so it cannot go stale. A Python exercise (python.py, `PythonExercise`; `layer` for operations) also
says how to draw arrays for given sizes and how to run the code on them; the steps of its check follow from that
(answer.py). An exercise in another language is a subclass of Exercise with `stub` and `steps` of its own, added to
EXERCISES; `start`, `check`, `list` and the tests of the bank take it as it is. Its file's suffix is the answer's.

**A check** is a list of Steps (exercise.py, `judge`): each returns, or raises NotDone or Wrong(lines, hint, certain,
only, see). It stops at the first that fails. It runs in a process of its own (child.py, check.py), since an answer may
loop or crash.

**The bank of wrong answers** is a list of Twins: the library's own source with a few words replaced, a hint, and the
step of the page. Whoever's answer gives a twin's numbers, for all sizes that are tried, has made that mistake
(explain.py). The tests judge every twin as if it were a student's file: each must be caught, by its own hint, and the
library's own file must be right. Where no twin fits, exceptions.py looks at the exception, patterns.py at the numbers,
and shrink (explain.py) for the smallest input.
"""
