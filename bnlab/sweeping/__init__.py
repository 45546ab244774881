"""Sweeps: which runs are asked for (`plan`), and who trains them (`local`: processes of this machine)."""
