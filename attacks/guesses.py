"""What is tried first by whoever guesses, and how long it takes: what the attacks that guess share."""


def common_passwords() -> list[str]:
    """30,000 passwords, the most common first (the package zxcvbn, from 10 million leaked ones)."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return list(FREQUENCY_LISTS["passwords"])


def duration(seconds: float) -> str:
    """In the unit in which a person thinks of it."""
    for unit, size in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0), ("s", 1.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds * 1000:.0f} ms"
