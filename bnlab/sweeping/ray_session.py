"""Being connected to a Ray cluster: the user's own, or one on this machine that lasts as long as the sweep.

Ray listens on every network interface, so a cluster that bnlab starts asks each caller for a token made for it alone,
which is never written to a disk. For any other cluster Ray finds the user's token where its documentation says:
RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from bnlab.assets import EXTENSIONS, extensions_dir
from bnlab.errors import BadInput, EnvironmentFault
from bnlab.sweeping.local import cores

SECONDS_TO_ANSWER = 20.0
# A machine that is very busy misses the 15 s that Ray gives its own processes to start.
STARTS = 2
# Results go through the file system; Ray's store of objects carries a few hundred bytes per run.
OBJECT_STORE_BYTES = 80 * 2**20
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
SILENCE = {"log_to_driver": False, "logging_level": "ERROR"}
# The reason for a refused token stands in a warning only, and is tried again 20 times.
TALKATIVE = {"RAY_BACKEND_LOG_LEVEL": "warning", "RAY_NUM_REDIS_GET_RETRIES": "3"}
# Joining a cluster that does not answer, or not to this token, blocks for minutes; a process can be given up.
_JOIN = f"import sys, ray; ray.init(sys.argv[1], **{SILENCE})"


@contextlib.contextmanager
def connected(address: str) -> Iterator[ModuleType]:
    """The module `ray`, connected to the cluster at `address`, or to a new one where that is empty.

    Errors: BadInput for an address of another kind; EnvironmentFault where Ray is not installed, no cluster answers,
    or none can be started.
    """
    if "://" in address:
        where = "give the host:port of its head, or auto, on one of its machines"
        raise BadInput(f"launcher.address={address}: bnlab joins a cluster as one of its drivers; {where}")
    with _environment(QUIET if address else QUIET | _of_own_cluster()):
        ray = _import_ray()
        heard = signal.getsignal(signal.SIGTERM)  # Ray puts a handler of its own in its place
        try:
            _join(ray, address) if address else _start(ray)
            signal.signal(signal.SIGTERM, heard)
            yield ray
        finally:
            ray.shutdown()
            signal.signal(signal.SIGTERM, heard)


def _import_ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise EnvironmentFault("launcher=ray needs Ray, which is not installed: pip install 'bnlab[ray]'") from error
    return ray


def _of_own_cluster() -> dict[str, str]:
    import bnlab

    path = [str(Path(bnlab.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PYTHONPATH": os.pathsep.join(entry for entry in path if entry),
        **_extensions(),
    }


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _start(ray: ModuleType) -> None:
    options = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    for tries_left in reversed(range(STARTS)):
        try:
            ray.init("local", num_cpus=cores(), **options, **SILENCE)
            return
        except Exception as error:
            ray.shutdown()
            if not tries_left:
                raise EnvironmentFault(f"launcher=ray: Ray cannot start here: {_first_line(str(error))}") from error


def _join(ray: ModuleType, address: str) -> None:
    _try_to_join(address)
    found = _extensions()
    ray.init(address, runtime_env={"env_vars": found} if found else None, **SILENCE)
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":  # which Ray sets where it finds a token
        _warn_of_open_cluster(ray.get_runtime_context().gcs_address)


def _extensions() -> dict[str, str]:
    """What workers need to find the extensions, in whatever folder they are started."""
    folder = extensions_dir()
    return {EXTENSIONS: str(folder)} if folder else {}


def _try_to_join(address: str) -> None:
    """Errors: EnvironmentFault with what stands in the way."""
    process = [sys.executable, "-c", _JOIN, address]
    options = {"capture_output": True, "text": True, "env": os.environ | TALKATIVE, "start_new_session": True}
    try:
        tried = subprocess.run(process, timeout=SECONDS_TO_ANSWER, **options)
    except subprocess.TimeoutExpired:
        fault = f"no Ray cluster answered within {SECONDS_TO_ANSWER:g} s; is it up, and is this one of its machines?"
        raise EnvironmentFault(f"launcher.address={address}: {fault}") from None
    if "InvalidAuthToken" in tried.stderr:
        token = "the cluster refuses this token; RAY_AUTH_TOKEN must be the one that it was started with"
        raise EnvironmentFault(f"launcher.address={address}: {token}")
    if tried.returncode:
        raise EnvironmentFault(f"launcher.address={address}: {_reason(tried.stderr)}")


def _warn_of_open_cluster(address: str) -> None:
    if not ipaddress.ip_address(address.rpartition(":")[0].strip("[]")).is_loopback:
        fix = "start it with RAY_AUTH_MODE=token and a RAY_AUTH_TOKEN"
        print(f"bnlab: whoever reaches {address} can run code on that Ray cluster; {fix}", file=sys.stderr, flush=True)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:150]


def _reason(traceback: str) -> str:
    """The message of the exception at the end of a traceback."""
    lines = [line for line in traceback.splitlines() if line and not line.startswith((" ", "["))]
    return _first_line(lines[-1].partition(": ")[2] if lines else "Ray ended without a word")
