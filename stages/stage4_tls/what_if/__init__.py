"""The weak or alternative ways that this stage can be run with; one small file a lever."""
