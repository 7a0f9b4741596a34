from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real job results and prices, where the machine has them."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder ../shared/data with real job results is not on this machine")
    return SHARED_DATA
