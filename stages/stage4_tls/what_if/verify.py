"""`verify=…`: what a client leaves out of looking at the server's certificate.

no-hostname: any certificate of the authority will do, whoever it was made for.
none: any certificate will do. The connection is encrypted, to whoever answered.
"""

import ssl
from collections.abc import Callable
from typing import Final


def no_hostname(context: ssl.SSLContext) -> None:
    """Verify the chain, not the name."""
    context.check_hostname = False


def none(context: ssl.SSLContext) -> None:
    """Verify nothing."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


WAYS: Final[dict[str, Callable[[ssl.SSLContext], None]]] = {"no-hostname": no_hostname, "none": none}
