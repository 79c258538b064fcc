"""CVSS 4.0 scores, computed by the library `cvss` from a vector of base metrics (FIRST, CVSS v4.0 specification).

The rating that goes with a score is a finding's severity, so severity is never an opinion.
"""

from dataclasses import dataclass
from typing import Final

from common.errors import LabError

RATINGS: Final = ("Critical", "High", "Medium", "Low")
"""Section 6 of the specification: from 9.0, from 7.0, from 4.0, above 0."""

VECTOR: Final = (
    r"CVSS:4\.0/AV:[NALP]/AC:[LH]/AT:[NP]/PR:[NLH]/UI:[NPA]/VC:[HLN]/VI:[HLN]/VA:[HLN]/SC:[HLN]/SI:[HLN]/SA:[HLN]"
)
"""What a vector looks like: all eleven base metrics in the specification's order, and no others."""


@dataclass(frozen=True, slots=True)
class Score:
    """A number from 0 to 10, and what it is called."""

    value: float
    rating: str

    def __str__(self) -> str:
        return f"{self.value} ({self.rating})"


def score(vector: str) -> Score:
    """What a vector comes to. Raises LabError where the library is missing."""
    try:
        from cvss import CVSS4
    except ImportError:
        raise LabError("Scores need the library cvss, one of the developers' tools; run: make audits") from None
    scored = CVSS4(vector)
    return Score(float(scored.base_score), str(scored.severity))
