"""What is measured while a run trains; nothing measured here changes the training.

A new probe is a module with one `Probe` in it and a line in `PROBES`; the tests over the registry then hold it to
bit-identical training.
"""

from bnlab.extensions import Registry
from bnlab.probes.activations import ACTIVATIONS
from bnlab.probes.affine import AFFINE
from bnlab.probes.curves import CURVES
from bnlab.probes.ics import ICS
from bnlab.probes.landscape import LANDSCAPE
from bnlab.probes.modes import MODES
from bnlab.probes.moments import MOMENTS
from bnlab.probes.probe import Measurement, Moment, Probe
from bnlab.probes.probing import Probing
from bnlab.probes.taps import tapping
from bnlab.probes.undisturbed import undisturbed

PROBES: dict[str, Probe] = Registry(
    "probes", {probe.name: probe for probe in (CURVES, ACTIVATIONS, MOMENTS, ICS, LANDSCAPE, AFFINE, MODES)}
)

__all__ = ["PROBES", "Measurement", "Moment", "Probe", "Probing", "tapping", "undisturbed"]
