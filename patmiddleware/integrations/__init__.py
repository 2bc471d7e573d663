"""The gate inside the frameworks that people use: Flask, Pyramid, Paste. Each is imported by its own name only."""
