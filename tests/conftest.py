"""Fixtures of all tests; the servers behind them are started only by tests that ask for them."""

pytest_plugins = [
    "tests.support.fixtures_controlplane",
    "tests.support.fixtures_service",
    "tests.support.fixtures_workplace",
]
