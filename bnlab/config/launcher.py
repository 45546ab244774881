"""Where the processes of a sweep run."""

from __future__ import annotations

from dataclasses import dataclass

from bnlab.ranges import number, one_of, refuse

LAUNCHERS = ("local", "ray", "slurm")


@dataclass(frozen=True)
class LauncherConfig:
    """Where the processes of a sweep run; no part of any run. What a launcher has no use for stays at its default."""

    name: str = "local"
    address: str = ""  # ray: host:port of a running cluster, or auto; empty starts one on this machine
    cpus: float = 0.0  # ray and slurm: cores that one run takes of its node (ray: or part of one); 0: its threads
    gpus: float = 0.0  # ray and slurm: GPUs that one run takes (ray: or part of one); 0: one where device=cuda
    memory_gb: float = 0.0  # ray and slurm: memory that one run takes; 0 leaves it to the scheduler
    partition: str = ""  # slurm: of the cluster; empty takes its default
    account: str = ""  # slurm: who pays
    minutes: int = 60  # slurm: longest time of one job; a run that needs more saves and is put back into the queue
    engine: str = "slurm"  # slurm: the scheduler, or local: submitit's stand-in on this machine

    def __post_init__(self) -> None:
        one_of("launcher", self.name, LAUNCHERS)
        number("launcher.cpus", self.cpus, 0)
        number("launcher.gpus", self.gpus, 0)
        number("launcher.memory_gb", self.memory_gb, 0)
        number("launcher.minutes", self.minutes, 1)
        one_of("launcher.engine", self.engine, ("slurm", "local"))
        if self.name == "slurm":
            for key in ("cpus", "gpus"):
                if getattr(self, key) % 1:
                    refuse(f"launcher.{key}", getattr(self, key), "SLURM lends whole ones; give a whole number")

    @property
    def is_here(self) -> bool:
        """Whether all runs are processes of this machine, which nobody but bnlab keeps from taking too many cores."""
        return self.name == "local" or (self.name == "slurm" and self.engine == "local")
