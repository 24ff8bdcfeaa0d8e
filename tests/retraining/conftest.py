"""Stores of both kinds, as the tests of the store have them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("stores", Path(__file__).parents[1] / "store" / "conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_stores = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_stores)
postgres_url, fresh_postgres, store_url = _stores.postgres_url, _stores.fresh_postgres, _stores.store_url
