"""What can be asked of a learner's own run: each fact is computed from the run's folder, never written down.

A fact is a function of the run's capture: it returns what is right, and which wrong answers people give and what those
are; or raises Absent, where this run cannot say it. Its name in a handout is the function's with hyphens. What is read
from frames alone can be read by the learner too, with Wireshark's filter in the docstring. To add one: write the
function, put it into FACTS, and compare it with tshark in `tests/lab/test_run_facts.py`.
"""

from collections.abc import Callable
from typing import Final

from common.errors import LabError
from lab import message_facts, wire_facts
from lab.fact import Fact
from lab.last_run import Absent, Run

_FUNCTIONS: Final[tuple[Callable[[Run], Fact], ...]] = (
    message_facts.frame_of_room_canary,
    message_facts.password_frame,
    message_facts.whisper_frame,
    message_facts.room_canary,
    message_facts.whisper_canary,
    message_facts.messages_of_type_say,
    message_facts.nonce_of_first_say,
    message_facts.ciphertext_length_of_first_say,
    message_facts.key_requests_of_bob,
    wire_facts.server_port_of_client,
    wire_facts.alice_udp_port,
    wire_facts.syn_frame,
    wire_facts.dns_query_frame,
    wire_facts.tls_version,
    wire_facts.certificate_name,
    wire_facts.first_tls_application_frame,
    wire_facts.arp_claims,
    wire_facts.first_arp_claim,
    wire_facts.frames_to_mallory,
)
FACTS: Final = {function.__name__.replace("_", "-"): function for function in _FUNCTIONS}


def compute(name: str, run: Run) -> Fact:
    """A fact of a run; what is right in the run's control scene is known to be wrong here. Raises Absent, and LabError
    where there is no such fact."""
    if name not in FACTS:
        raise LabError(f"There is no fact {name}; there are: {', '.join(FACTS)}.")
    fact = FACTS[name](run)
    try:
        other = FACTS[name](run.control).right if run.control else ()
    except Absent:
        other = ()
    says = f"{{n}} belongs to control.pcapng, where nobody attacked; asked is {run.path.name} beside it."
    known = [
        ([value for value in values if value not in fact.right], why) for values, why in (*fact.wrong, (other, says))
    ]
    return Fact(fact.right, [(values, why) for values, why in known if values], fact.read)
