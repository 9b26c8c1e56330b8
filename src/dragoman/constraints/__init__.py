"""Constraints on an output: the tree that dialects build, its lowering to llguidance and structural tags, completions."""
