"""`authentication=off`: passwords are sent, and nobody looks at them.

Why it is wrong: a check whose result is ignored is no check. It is here to show what the check is worth.
"""

from ..accounts import Accounts


class AnyPassword(Accounts):
    """Stands where `Accounts` stands; every password is right."""

    def verify(self, name: str, password: str) -> bool:
        return True
