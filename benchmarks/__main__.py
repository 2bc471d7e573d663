"""Run the quick benchmarks: ``python -m benchmarks [--quick] [--rounds N] [--json]``."""

from __future__ import annotations

import sys

from .request_path import main

sys.exit(main())
