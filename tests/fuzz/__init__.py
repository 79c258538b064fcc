"""Bad input at scale: a million made-up inputs for every parser of the lab, each of which must be refused properly.

    python -m tests.fuzz --cases 1000000        a night's worth; shows how far it is, and goes on where it was stopped
    python -m tests.fuzz --only client-5 --seed 7 --case 1234      one case again

What the floors' own suites ask of a few hundred inputs with Hypothesis, each shrunk to the smallest, is asked here of a
million, since these are made in microseconds: messages of the stages' own catalogues whose fields are almost right,
recorded bytes with holes in them, and what was found before. A case is its target, a seed and a number, and nothing
else, so any one can be had again. What once broke something is a file in `corpus/`, and is tried in every test run.

Coverage-guided fuzzing (Atheris) was weighed: it has wheels for one processor only, and sees Python's branches, while
the parsing here is done inside msgspec, OpenSSL, SQLite and dnslib.

    cases       how inputs are made
    house       a server, Alice and Bob in memory, between whom an intruder's connection comes and goes
    of_…        the targets: what is done with an input, and what must be true after
    endless     the run: targets in turn, progress, what was found
"""
