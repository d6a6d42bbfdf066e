"""Which arrays were changed in place, and when, so that backward can refuse to use one that it saved before.

    loss_1, loss_2 = f(w), g(w)
    loss_1.backward(); optimizer.step()     # w is another number now
    loss_2.backward()                       # would multiply by the new w: a wrong gradient

Time is counted in tickets. Each Function draws one as it runs, and so does each change. What changes the array of
a tensor after it was made (optimizers, load_state_dict, the initializers) calls mark_changed. The array knows nothing
of this, so whoever writes into `.data` without that call goes unnoticed.
"""

import itertools

draw_ticket = itertools.count(1).__next__  # one call, so no two threads get the same
latest = 0  # the ticket of the latest change of any array: one comparison tells backward that there was none
_changed = {}  # id of the array that owns the memory -> ticket of its latest change


def mark_changed(array):
    """To be called after a change of `array`: views share its memory and have changed with it."""
    global latest
    # If another array has this address later on, the ticket is older than any Function that saves that array.
    _changed[id(owner(array))] = latest = draw_ticket()


def changed_since(array, ticket):
    return _changed.get(id(owner(array)), 0) > ticket


def owner(array):
    """The array whose memory `array` is, or is a view of."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array
