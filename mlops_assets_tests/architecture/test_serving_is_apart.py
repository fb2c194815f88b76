from __future__ import annotations

import sys

from mlops_assets_tests.architecture.source_code import ROOT, modules

CONTRACT_MAY_IMPORT = {"numpy", "pydantic", "serving"}


def test_the_package_serving_is_empty() -> None:
    assert (ROOT / "serving" / "__init__.py").read_text(encoding="utf-8") == ""


def test_the_contract_imports_only_numpy_pydantic_and_the_standard_library() -> None:
    allowed = CONTRACT_MAY_IMPORT | set(sys.stdlib_module_names)
    strays = {
        m.path: sorted(extra)
        for m in modules("serving/contract")
        if (extra := m.imported_packages - allowed)
    }
    assert not strays
