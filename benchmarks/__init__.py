"""How fast the gate is, as ratios measured side by side. Run ``python -m benchmarks``."""
