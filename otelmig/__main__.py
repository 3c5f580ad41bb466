"""``python -m otelmig`` is the command ``otelmig``."""

from __future__ import annotations

import sys

from otelmig.cli.main import main

sys.exit(main())
