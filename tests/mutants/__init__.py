"""Mutation testing: the files that hold a stage's decision, and the referee, are broken in small ways, one at a time.

    python -m tests.mutants              break and look (make mutants); ten minutes
    python -m tests.mutants --report     look again at what the last run found

A mutant that neither a test nor the type checker notices must stand in `survivors.toml` with the reason why nobody
could notice it, or why nobody should; any other fails the run, and so does an entry that is true no more. mutmut makes
the mutants and runs the tests, as `[tool.mutmut]` in pyproject.toml says, in a copy: `mutants/`.
"""
