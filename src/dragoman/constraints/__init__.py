"""What an output must look like: the tree that dialects build, its lowering to llguidance and structural tags, completion."""
