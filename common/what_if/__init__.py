"""The weak or alternative ways that every stage can be run with; one small file a lever."""
