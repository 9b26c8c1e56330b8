"""What is found out about a model once, when it is loaded: its dialect, what its chat template can do, template variables."""
