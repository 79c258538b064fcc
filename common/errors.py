"""The one error that a person is meant to read."""


class LabError(Exception):
    """Something a person can mend.

    `str(error)` is one sentence that says what was expected and what to do next; whoever catches it prints
    exactly that and no traceback.
    """
