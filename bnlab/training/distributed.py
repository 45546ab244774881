"""Several processes that train one run together, each on its share of every batch.

Process 0 is the run: it starts the others, or torchrun has started all of them. The others write nothing; they are told
the configuration and the state to start from, and leave at the step at which process 0 leaves.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bnlab.config import RunConfig, from_dict, to_dict
from bnlab.errors import BnlabError, EnvironmentFault
from bnlab.norms import together

# The import path of this process is handed over, so that all processes run the same code.
_START = (
    "import json, sys; request = json.loads(sys.argv[1]); sys.path[:] = request['path']; "
    "from bnlab.running import follow; follow(request)"
)
HERE = "127.0.0.1"
SECONDS_TO_MEET = 300.0  # an import of torch on a machine that is busy with other things
SECONDS_TO_DIE = 5.0  # a closed connection is seen before the end of the process that closed it


class ReplicaLost(BnlabError):
    """A process of the run ended before the run did; like any process that dies, it costs this run only."""


class Replicas:
    """The processes of a run as one of them sees them; a run of one process sees only itself, and never waits."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def share(self, batch: Sequence[Tensor]) -> Sequence[Tensor]:
        """This process's rows of each tensor."""
        return batch if self.size == 1 else [x.tensor_split(self.size)[self.rank] for x in batch]

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process; all of them have to ask."""
        if self.size == 1:
            return flag
        flags = torch.tensor([flag], dtype=torch.uint8)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags.item())

    def forward(self, net: nn.Module) -> Callable[[Tensor], Tensor]:
        """The forward pass of training: after its backward pass, gradients are those of the mean loss of all shares.

        Every pass starts from the running statistics of process 0, with which the run is saved and evaluated.
        """
        if self.size == 1:
            return net
        replicated = DistributedDataParallel(net)

        def forward(x: Tensor) -> Tensor:
            with together(net):
                return replicated(x)

        return forward

    def begin(self, config: RunConfig, state: dict) -> None:
        """From process 0: let all the others train `config` from `state` on."""
        if self.size > 1:
            buffer = io.BytesIO()
            torch.save(state, buffer)
            dist.broadcast_object_list([to_dict(config), buffer.getvalue()], src=0)

    def dismiss(self) -> None:
        """From process 0: there is nothing more to train."""
        dist.broadcast_object_list([None, None], src=0)

    def next_run(self) -> tuple[RunConfig, dict] | None:
        """In any process but 0: what `begin` was given, or None after `dismiss`."""
        message = [None, None]
        dist.broadcast_object_list(message, src=0)
        if message[0] is None:
            return None
        return from_dict(message[0]), torch.load(io.BytesIO(message[1]), map_location="cpu", weights_only=True)


ALONE = Replicas()


@contextlib.contextmanager
def replicated(config: RunConfig) -> Iterator[Replicas]:
    """Start the other processes of a run on this machine, with this one as process 0, and end them at the end.

    Errors: ReplicaLost, in place of what the loss of a process led to here; EnvironmentFault where GPUs are lacking.
    """
    if config.replicas == 1:
        yield ALONE
        return
    backend = backend_for(config.device, config.replicas)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # else gloo looks the host's name up, which may lead anywhere
    store = dist.TCPStore(HERE, 0, is_master=True, wait_for_workers=False)
    others = [_start(config, rank, store.port) for rank in range(1, config.replicas)]
    try:
        _meet(store, others)
        with joined(backend, 0, config.replicas, store) as replicas:
            yield from _watched(replicas, store, others)
    finally:
        for process in others:
            process.kill()
            process.wait()
            process.stdin.close()


@contextlib.contextmanager
def joined(backend: str, rank: int, size: int, store: dist.Store | None = None) -> Iterator[Replicas]:
    """Be process `rank` of `size`; without a store, torchrun's environment says where the others are."""
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield Replicas(rank, size)
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def invited(request: dict) -> Iterator[Replicas]:
    """Be the process that `replicated` started with `request`; what fails here is told to process 0."""
    threading.Thread(target=_end_with_process_0, daemon=True).start()
    store = dist.TCPStore(HERE, request["port"], is_master=False)
    store.add("met", 1)
    try:
        backend = backend_for(request["device"], request["size"], request["rank"])
        with joined(backend, request["rank"], request["size"], store) as replicas:
            yield replicas
    except Exception as error:
        store.set(f"error{request['rank']}", f"{type(error).__name__}: {error}".splitlines()[0])
        raise


def _end_with_process_0() -> None:
    """Its end of the pipe closes however it dies, and nobody else holds one."""
    sys.stdin.read()
    os._exit(1)


def _start(config: RunConfig, rank: int, port: int) -> subprocess.Popen:
    path = [entry or os.getcwd() for entry in sys.path]
    request = {"path": path, "rank": rank, "size": config.replicas, "port": port, "device": config.device}
    return subprocess.Popen([sys.executable, "-c", _START, json.dumps(request)], stdin=subprocess.PIPE)


def _meet(store: dist.Store, others: Sequence[subprocess.Popen]) -> None:
    """Wait until all have come: the group itself would wait half an hour for one that cannot."""
    deadline = time.monotonic() + SECONDS_TO_MEET
    while store.add("met", 0) < len(others):
        _complain(store, others)
        if time.monotonic() > deadline:
            raise ReplicaLost(f"replicas={len(others) + 1}: not all were there after {SECONDS_TO_MEET:g} s; run again")
        time.sleep(0.02)


def _watched(replicas: Replicas, store: dist.Store, others: Sequence[subprocess.Popen]) -> Iterator[Replicas]:
    try:
        yield replicas
        replicas.dismiss()
    except RuntimeError:  # of torch, in words about sockets
        deadline = time.monotonic() + SECONDS_TO_DIE
        while time.monotonic() < deadline:
            _complain(store, others)
            time.sleep(0.02)
        raise  # all are well, so it was something else


def _complain(store: dist.Store, others: Sequence[subprocess.Popen]) -> None:
    """Raises ReplicaLost when a process has ended; one that a signal ended comes before those that missed it."""
    ended = sorted((code, rank) for rank, process in enumerate(others, 1) if (code := process.poll()) is not None)
    if not ended:
        return
    code, rank = ended[0]
    words = f"failed with exit code {code}"
    if code < 0:
        words = f"was ended by {signal.Signals(-code).name}"
    elif store.check([f"error{rank}"]):
        words = f"failed: {store.get(f'error{rank}').decode()[:120]}"
    raise ReplicaLost(f"replicas={len(others) + 1}: process {rank} {words}; the same command goes on")


def backend_for(device: str, processes_here: int, local_rank: int = 0) -> str:
    """Choose this process's device, and what carries its messages. Errors: EnvironmentFault."""
    if device == "cpu" or not torch.cuda.is_available():
        return "gloo"
    if processes_here > torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise EnvironmentFault(f"replicas={processes_here}: one GPU each, and this machine has {found}; use device=cpu")
    torch.cuda.set_device(local_rank)
    return "cpu:gloo,cuda:nccl"
